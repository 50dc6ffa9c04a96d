"""Sessions on a real engine, behind a real hub and proxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING

import docker.errors
import pytest
import requests
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from launcher.errors import SpawnFailed, SpawnRefused
from launcher.events import Event, Progress
from launcher.model import Account, Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from launcher.model import Project
    from tests.fixtures.hub import HubSite

pytestmark = pytest.mark.engine
NOBODY = Account("", Kind.ANONYMOUS)


@pytest.fixture(autouse=True)
async def nothing_left(hub_site: HubSite) -> AsyncIterator[None]:
    """A test that failed leaves no session to the next one."""
    yield
    sessions = hub_site.sessions()
    await asyncio.gather(*(sessions.stop(one.project) for one in await sessions.list()))


def _get(site: HubSite, project: Project, path: str, token: str) -> requests.Response:
    return site.ask(f"{site.public}/user/{project.account}/{path}", token)


async def _run_cell(site: HubSite, project: Project, token: str, code: str) -> str:
    """Run code in a new kernel, over its websocket; what it prints.

    What it prints and the reply come on two channels, in any order: only `idle`, on the first, says that all was heard.
    """
    headers = {"Authorization": f"token {token}"}
    base = f"{site.public}/user/{project.account}/api/kernels"
    made = await asyncio.to_thread(requests.post, base, headers=headers, timeout=30, json={"name": "python3"})
    url = f"{base}/{made.json()['id']}/channels".replace("http:", "ws:")
    socket = await websocket_connect(HTTPRequest(url, headers=headers))
    header = {"msg_id": "m1", "msg_type": "execute_request", "username": "", "session": "s1", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    await socket.write_message(json.dumps(message))
    printed = ""
    while True:
        heard = await asyncio.wait_for(socket.read_message(), 30)
        assert heard is not None
        answer = json.loads(heard)
        if answer["parent_header"].get("msg_id") != "m1":
            continue
        assert answer["msg_type"] != "error", answer
        if answer["msg_type"] == "stream":
            printed += answer["content"]["text"]
        if answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
            socket.close()
            return printed


async def test_a_project_gets_a_server_that_runs_code(hub_site: HubSite) -> None:
    project = hub_site.project()
    sessions = hub_site.sessions()
    told: list[Event] = []
    began = time.perf_counter()
    session = await sessions.start(project, NOBODY, told.append)
    seconds = time.perf_counter() - began
    print(f"\nstart {seconds:.2f} s")
    assert session.path == f"/user/{project.account}/"
    token = await sessions.token_for(project)
    assert _get(hub_site, project, "api/status", token).status_code == 200
    assert [event.message for event in told if isinstance(event, Progress)][-1] == "Waiting for the server to answer"
    printed = await _run_cell(hub_site, project, token, "import os; print(os.getcwd(), os.environ['HOME'])")
    assert printed == "/workspace/work /workspace/home\n"
    await sessions.stop(project.id)


async def test_a_stopped_session_starts_again_on_the_same_files(hub_site: HubSite) -> None:
    project = hub_site.project()
    sessions = hub_site.sessions()
    await sessions.start(project, NOBODY, lambda _: None)
    hub_site.run_inside(project, "sh", "-c", "echo kept > note.txt; mkdir -p ~/.local; echo kept > ~/.local/note")
    first = hub_site.container(project).id
    await sessions.stop(project.id)
    assert hub_site.container(project).status == "exited"  # its log can still be read
    assert await sessions.list() == ()
    await sessions.start(project, NOBODY, lambda _: None)
    assert hub_site.container(project).id != first
    assert hub_site.run_inside(project, "cat", "note.txt", "/workspace/home/.local/note") == "kept\nkept\n"
    assert [(one.project, one.state) for one in await sessions.list()] == [(project.id, "running")]
    await sessions.stop(project.id)


async def test_a_running_session_is_joined_and_stopping_nothing_is_no_error(hub_site: HubSite) -> None:
    project = hub_site.project()
    sessions = hub_site.sessions()
    await sessions.stop(project.id)
    both = await asyncio.gather(*(sessions.start(project, NOBODY, lambda _: None) for _ in range(2)))
    assert both[0] == both[1]
    container = hub_site.container(project).id
    # A launcher that was restarted does not know the account yet.
    assert await hub_site.sessions().start(project, NOBODY, lambda _: None) == both[0]
    assert hub_site.container(project).id == container
    await sessions.stop(project.id)


async def test_a_session_that_is_stopping_is_waited_for_and_started_again(hub_site: HubSite) -> None:
    project = hub_site.project()
    sessions = hub_site.sessions()
    await sessions.start(project, NOBODY, lambda _: None)
    stopping = asyncio.create_task(sessions.stop(project.id))
    await asyncio.sleep(0.05)
    await sessions.start(project, NOBODY, lambda _: None)
    stopping.cancel()
    assert hub_site.container(project).status == "running"
    await sessions.stop(project.id)


async def test_what_somebody_else_is_removing_keeps_no_session_from_starting(hub_site: HubSite) -> None:
    """After a hub was killed, the supervisor ends what it was starting, while the next hub starts it again."""
    project = hub_site.project()
    labels = {
        "repolaunch.installation": hub_site.installation,
        "repolaunch.project": project.id,
        "repolaunch.kind": "session",
    }
    image = project.image.facts.engine_id
    left = [
        hub_site.engine.containers.run(image, ["sleep", "600"], entrypoint=["tini", "--"], labels=labels, detach=True)
        for _ in range(6)
    ]

    def remove() -> None:
        for container in left:  # the engine lists the newest first
            with contextlib.suppress(docker.errors.APIError):
                container.remove(force=True)

    starting = hub_site.sessions().start(project, NOBODY, lambda _: None)
    _, started = await asyncio.gather(asyncio.to_thread(remove), starting, return_exceptions=True)
    assert not isinstance(started, BaseException), started
    assert hub_site.container(project).status == "running"
    await hub_site.sessions().stop(project.id)


async def test_a_token_opens_its_own_server_only(hub_site: HubSite) -> None:
    mine, other = hub_site.project(), hub_site.project()
    sessions = hub_site.sessions()
    await asyncio.gather(*(sessions.start(project, NOBODY, lambda _: None) for project in (mine, other)))
    token = await sessions.token_for(mine)
    assert _get(hub_site, mine, "api/status", token).status_code == 200
    assert _get(hub_site, other, "api/status", token).status_code == 403
    started = hub_site.ask(f"{hub_site.api}/users/{other.account}/server", token, body={})
    assert started.status_code in {403, 404}
    assert hub_site.ask(f"{hub_site.api}/users", token).status_code == 403
    await asyncio.gather(sessions.stop(mine.id), sessions.stop(other.id))


@pytest.mark.parametrize("token_entry, status", [(True, 200), (False, 403)])
async def test_only_a_programs_session_is_entered_by_a_token_in_its_address(
    hub_site: HubSite, token_entry: bool, status: int
) -> None:
    project = hub_site.project(token_entry=token_entry)
    sessions = hub_site.sessions()
    await sessions.start(project, NOBODY, lambda _: None)
    token = await sessions.token_for(project)
    url = f"{hub_site.public}/user/{project.account}/api/status?token={token}"
    assert hub_site.ask(url).status_code == status
    await sessions.stop(project.id)


async def test_a_session_has_walls(hub_site: HubSite) -> None:
    project = hub_site.project()
    sessions = hub_site.sessions()
    await sessions.start(project, NOBODY, lambda _: None)

    def inside(command: str) -> str:
        return hub_site.run_inside(project, "sh", "-c", command).strip()

    status = dict(line.split(":\t", 1) for line in inside("cat /proc/self/status").splitlines())
    assert status["CapEff"] == status["CapBnd"] == "0" * 16
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert inside("id -u; id -g; id -un") == "1000\n1000\njovyan"
    assert inside("touch /usr/new 2>/dev/null || touch /home/jovyan/new 2>/dev/null || echo read-only") == "read-only"
    assert inside("touch ~/new /tmp/new /workspace/work/new && echo $HOME") == "/workspace/home"
    assert inside("dd if=/dev/zero of=/tmp/big bs=1M count=100 2>&1 | grep -c 'No space'; rm /tmp/big") == "1"
    assert inside("cat /proc/self/oom_score_adj") == "500"
    assert inside("ls /var/run/docker.sock 2>/dev/null || echo none") == "none"
    assert inside("env | grep -c REPOLAUNCH || true") == "0"
    host = hub_site.container(project).attrs["HostConfig"]
    limits = hub_site.stand_in.limits
    assert (host["Memory"], host["MemorySwap"]) == (limits.memory, limits.memory)
    assert (host["NanoCpus"], host["PidsLimit"]) == (1_500_000_000, limits.processes)
    assert (host["IpcMode"], host["Privileged"], host["PortBindings"] or {}) == ("private", False, {})
    fork = "import os,time\nn=0\ntry:\n  while n<400:\n    if os.fork()==0: time.sleep(2); os._exit(0)\n    n+=1\n"
    assert inside(f"python3 -c '{fork}except OSError: print(\"limited\")'") == "limited"
    await sessions.stop(project.id)


async def test_neighbours_cannot_reach_one_another(hub_site: HubSite) -> None:
    one, other = hub_site.project(), hub_site.project()
    sessions = hub_site.sessions()
    await asyncio.gather(*(sessions.start(project, NOBODY, lambda _: None) for project in (one, other)))
    address = hub_site.container(other).attrs["NetworkSettings"]["Networks"][hub_site.network]["IPAddress"]
    reach = (
        "import socket,sys; s=socket.socket(); s.settimeout(2); print(s.connect_ex((sys.argv[1], int(sys.argv[2]))))"
    )
    hub = hub_site.run_inside(one, "python3", "-c", reach, hub_site.gateway, str(hub_site.hub_port))
    neighbour = hub_site.run_inside(one, "python3", "-c", reach, address, "8888")
    assert hub.strip() == "0"
    assert neighbour.strip() != "0"
    await asyncio.gather(sessions.stop(one.id), sessions.stop(other.id))


async def test_an_image_without_a_server_is_a_sentence(hub_site: HubSite) -> None:
    project = hub_site.with_facts(hub_site.project(), server=("no-such-server",), entrypoint=("/usr/bin/env",))
    with pytest.raises(SpawnFailed) as failed:
        await hub_site.sessions().start(project, NOBODY, lambda _: None)
    lacks = "The image lacks a program that its server needs to start; no-such-server was to be run."
    assert failed.value.reason == lacks
    assert "no-such-server" in failed.value.tail[-1]


async def test_a_server_that_ends_fails_at_once_with_its_last_words(hub_site: HubSite) -> None:
    words = 'import sys; print("one"); sys.stderr.write("the \\x1b[31mlast words\\n"); sys.exit(3)'
    project = hub_site.with_facts(hub_site.project(), server=("python3", "-c", words))
    began = time.perf_counter()
    with pytest.raises(SpawnFailed) as failed:
        await hub_site.sessions().start(project, NOBODY, lambda _: None)
    assert failed.value.reason == "The server ended before it answered (exit code 3)."
    assert "the [31mlast words" in failed.value.tail
    assert time.perf_counter() - began < 20
    # The hub remembers a failure; the next start is a new one.
    fixed = hub_site.with_facts(project, server=("repolaunch-singleuser",))
    await hub_site.sessions().start(fixed, NOBODY, lambda _: None)
    await hub_site.sessions().stop(fixed.id)


async def test_an_image_that_is_gone_is_a_sentence(hub_site: HubSite) -> None:
    project = hub_site.with_facts(hub_site.project(), engine_id="sha256:" + "0" * 64)
    with pytest.raises(SpawnFailed) as failed:
        await hub_site.sessions().start(project, NOBODY, lambda _: None)
    assert failed.value.reason == "The image is no longer on this machine; launch the link again."


async def test_a_project_that_is_gone_is_refused(hub_site: HubSite) -> None:
    project = hub_site.project()
    del hub_site.stand_in.projects[project.id]
    with pytest.raises(SpawnRefused) as refused:
        await hub_site.sessions().start(project, NOBODY, lambda _: None)
    assert refused.value.reason == "There is no such project any more."
