"""Nix environments through the whole service: git, Nix, assembler, registry, hub, proxy, a kernel and a terminal.

A stand-in, as in `test_closure.py`: the package set is `deploy/closure`, for a closed network has no nixpkgs.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.fixtures.authors import ANALYSIS, ANSWER, CELL, NO_KERNEL, layouts, publish
from tests.fixtures.service import SessionClient, phases, visiting

if TYPE_CHECKING:
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("whose_packages")]


@pytest.mark.usefixtures("filled")
async def test_a_link_to_a_flake_becomes_a_session_whose_kernel_has_the_authors_packages_alone(
    service: Service, git_daemon: GitHost
) -> None:
    repo = publish(git_daemon, layouts(ANALYSIS)["flake binder"] | {"notes.txt": "from git\n"})
    async with visiting(service) as visitor:
        await visitor.enter()
        events = await visitor.launch(repo.url, "main")
        assert phases(events)[-1] == "ready", events[-1]
        (declared,) = (event for event in events if event["type"] == "declared")
        assert (declared["builder"], declared["pinning"]) == ("nix", "reproducible")
        session = await visitor.session(events[-1]["url"])
        assert await session.run(CELL) == ANSWER
        assert await session.run("print(open('notes.txt').read(), end='')") == "from git\n"

        # The environment is the store's own files, mounted: the engine has no layer of it.
        sees = "print([line.split()[4:6] for line in open('/proc/self/mountinfo') if line.split()[4] == '/nix'])"
        assert (await session.run(sees)).startswith("[['/nix', 'ro,")
        sessions = [
            one for one in service.containers() if any(at["Destination"] == "/nix" for at in one.attrs["Mounts"])
        ]
        images = [service.engine().images.get(one.attrs["Image"]) for one in sessions]
        assert {len(one.attrs["RootFS"]["Layers"]) for one in images} == {1}

        settings = f"{session.prefix}lab/api/settings/@jupyterlab/apputils-extension:notification"
        async with session.http.get(settings, headers=session.headers) as answer:
            assert (await answer.json())["schema"]["properties"]["fetchNews"]["default"] == "false"

        # A notebook is no part of the environment.
        repo.add({"notes.txt": "changed\n"})
        again = await visitor.launch(repo.url, "main")
        assert "build" not in phases(again)


@pytest.mark.long
@pytest.mark.usefixtures("filled")
async def test_an_environment_without_a_kernel_has_a_terminal(service: Service, git_daemon: GitHost) -> None:
    repo = publish(git_daemon, layouts(NO_KERNEL)["shell.nix"])
    async with visiting(service) as visitor:
        await visitor.enter()
        events = await visitor.launch(repo.url, "main")
        assert phases(events)[-1] == "ready", events[-1]
        session = await visitor.session(events[-1]["url"])
        async with session.http.get(f"{session.prefix}api/kernelspecs", headers=session.headers) as answer:
            assert (await answer.json())["kernelspecs"] == {}
        assert "sum: 6" in await typed(session, "python3 -c 'import numpy; print(\"sum:\", numpy.arange(4).sum())'")


async def typed(session: SessionClient, line: str) -> str:
    """What a terminal showed until it showed a line that begins with `sum:`."""
    async with session.http.post(f"{session.prefix}api/terminals", headers=session.headers) as answer:
        assert answer.status == 200, await answer.text()
        name = (await answer.json())["name"]
    path = f"{session.prefix}terminals/websocket/{name}"
    shown = ""
    async with asyncio.timeout(120), session.http.ws_connect(path, headers=session.headers) as ws:
        await ws.send_json(["stdin", f"{line}\r"])
        async for raw in ws:
            assert raw.type is aiohttp.WSMsgType.TEXT, raw
            kind, *rest = _message(raw.data)
            shown += str(rest[0]) if kind == "stdout" else ""
            if "\nsum:" in shown and shown.rpartition("\nsum:")[2].strip():
                return shown
    return shown


def _message(text: str) -> list[Any]:
    message: list[Any] = json.loads(text)
    return message
