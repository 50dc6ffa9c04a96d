"""An environment that is not pinned, built afresh by the whole service."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.fixtures.engine import BASE_IMAGE
from tests.fixtures.service import ROOT, SessionClient, phases, visiting

if TYPE_CHECKING:
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service

pytestmark = [pytest.mark.engine, pytest.mark.long]
WHEN = "print(open('/srv/when').read())"


def typed(service: Service, *words: str) -> tuple[dict[str, Any], str]:
    """`repolaunch launch …`: its answer, and what it told."""
    argv = [sys.executable, "-m", "launcher", "launch", *words, "--data", str(service.data), "--json"]
    env = {**os.environ, **service.environment}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer, done.stderr


@pytest.mark.timeout(900)
async def test_who_asks_gets_other_bytes_and_keeps_the_files_and_others_keep_their_image(
    service: Service, git_daemon: GitHost
) -> None:
    steps = f"# {secrets.token_hex(4)}\nFROM {BASE_IMAGE}\nUSER root\nRUN date +%s%N >/srv/when\nUSER 1000\n"
    repo = git_daemon.make_repo(files={"Dockerfile": steps})
    async with visiting(service) as guest, aiohttp.ClientSession(service.base_url) as http:
        await guest.enter()
        first = await guest.launch(repo.url, "main")
        assert "build" in phases(first)
        assert first[-1]["pinning"] == "not-pinned"
        assert first[-1]["built"] is not None
        theirs = await guest.session(first[-1]["url"])
        old = await theirs.run(WHEN)
        # By the operator's command line, which finds the image there is.
        mine, told = typed(service, repo.url, "--ref=main")
        assert "Build" not in told
        entered = SessionClient(http, mine["url"], {"Authorization": f"token {mine['token']}"})
        assert await entered.run(WHEN) == old
        await entered.write("kept.txt", "kept")

        again, told = typed(service, repo.url, "--ref=main", "--afresh")
        assert again["project"] == mine["project"]
        entered = SessionClient(http, again["url"], {"Authorization": f"token {again['token']}"})
        new = await entered.run(WHEN)
        assert int(new) > int(old)
        assert await entered.read("kept.txt") == "kept"
        # The guest's session goes on, and starts again from the image that it had.
        assert await theirs.run(WHEN) == old
        project = first[-1]["project"]
        assert (await guest.call("DELETE", f"/api/v1/sessions/{project}"))[0] == 204
        resumed = await guest.launch(repo.url, "main")
        assert (resumed[-1]["type"], resumed[-1]["project"]) == ("ready", project)
        assert await (await guest.session(resumed[-1]["url"])).run(WHEN) == old
        # Somebody new gets the new one, and builds nothing.
        async with visiting(service) as other:
            await other.enter()
            latest = await other.launch(repo.url, "main")
            assert "build" not in phases(latest)
            assert await (await other.session(latest[-1]["url"])).run(WHEN) == new
            status, refused = await other.post("/api/v1/launches", {"url": repo.url, "ref": "main", "afresh": True})
            assert (status, refused["error"]["code"]) == (403, "forbidden")
