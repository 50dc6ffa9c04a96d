"""Sessions on a real engine, behind a real hub and proxy."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest
import requests
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from launcher.errors import SpawnFailed, SpawnRefused
from launcher.model import Account, Event, Kind, Progress

if TYPE_CHECKING:
    from launcher.model import Project
    from tests.fixtures.hub import HubSite

pytestmark = pytest.mark.engine
NOBODY = Account("", Kind.ANONYMOUS)


def _get(site: HubSite, project: Project, path: str, token: str) -> requests.Response:
    url = f"{site.public}/user/{project.account}/{path}"
    return requests.get(url, headers={"Authorization": f"token {token}"}, timeout=10)


async def _run_cell(site: HubSite, project: Project, token: str, code: str) -> str:
    """Run code in a new kernel, over its websocket; what it prints."""
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
        if answer["msg_type"] == "stream":
            printed += answer["content"]["text"]
        if answer["msg_type"] == "execute_reply":
            socket.close()
            assert answer["content"]["status"] == "ok", answer
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
