"""What killed processes left in the engine is found by the installation's label and removed by id; nothing else is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from launcher.operate import leftovers
from launcher.operate.installation import open_installation
from tests.fixtures.engine import BASE_IMAGE
from tests.made import remove_installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker

    from launcher.operate.installation import Installation

pytestmark = pytest.mark.engine


class Users(RequestHandler):
    """The hub's answer: the server of one project is known."""

    status = 200

    def get(self) -> None:
        self.set_status(self.status)
        self.write(json.dumps([{"name": "project-known", "servers": {}}]))


@pytest.fixture
def home(tmp_path: Path, engine: docker.DockerClient) -> Iterator[Installation]:
    one = open_installation(tmp_path / "data")
    yield one
    remove_installation(engine, one.id)


def made(engine: docker.DockerClient, installation: str, project: str, *, started: bool = True) -> str:
    labels = {"repolaunch.installation": installation, "repolaunch.project": project, "repolaunch.kind": "session"}
    container = engine.containers.create(
        BASE_IMAGE, ["sleep", "600"], entrypoint=["tini", "--"], labels=labels, network_disabled=True
    )
    if started:
        container.start()
    return str(container.id)


def here(engine: docker.DockerClient, *identities: str) -> list[bool]:
    everything: list[dict[str, Any]] = engine.api.containers(all=True)
    return [identity in {one["Id"] for one in everything} for identity in identities]


@pytest.mark.parametrize("status", [200, 503])
async def test_sessions_that_the_hub_does_not_know_are_ended(
    home: Installation, installation: str, engine: docker.DockerClient, status: int
) -> None:
    """Running or just made; of this installation; and only when the hub says which it knows."""
    handler: Any = type("Handler", (Users,), {"status": status})
    server = HTTPServer(Application([(r"/users", handler)]))
    (listener,) = bind_sockets(0, "127.0.0.1")
    server.add_socket(listener)
    known, unknown = made(engine, home.id, "known"), made(engine, home.id, "unknown")
    created = made(engine, home.id, "created", started=False)
    foreign = made(engine, installation, "unknown")
    try:
        await leftovers.end_unknown_sessions(f"http://127.0.0.1:{listener.getsockname()[1]}", home)
    finally:
        server.stop()
        await server.close_all_connections()
    away = status != 200
    assert here(engine, known, unknown, created, foreign) == [True, away, away, True]


async def test_a_container_of_a_name_is_removed_when_it_is_ours(
    home: Installation, installation: str, engine: docker.DockerClient
) -> None:
    ours, foreign = made(engine, home.id, "a"), made(engine, installation, "b")
    for identity in (ours, foreign):
        name = str(engine.containers.get(identity).name)
        await leftovers.remove_container(name, home)
    assert here(engine, ours, foreign) == [False, True]
