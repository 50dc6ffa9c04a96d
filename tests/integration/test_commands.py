"""`repolaunch build`, `badge`, `logs`, `cancel` and `admin`, as an operator types them, on the running service."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.fixtures.engine import BASE_IMAGE
from tests.fixtures.service import ROOT

if TYPE_CHECKING:
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service

pytestmark = pytest.mark.engine


def typed(service: Service, *words: str, code: int = 0) -> tuple[str, str]:
    """What a command prints on both streams; its exit code is checked."""
    argv = [sys.executable, "-m", "launcher", *words, "--data", str(service.data)]
    env = {**os.environ, **service.environment}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout, done.stderr


async def launches(service: Service) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession(service.base_url, headers=service.operator) as http,
        http.get("/api/v1/launches") as answer,
    ):
        found: list[dict[str, Any]] = await answer.json()
        return found


async def test_an_image_is_built_found_again_and_its_log_read(service: Service, git_daemon: GitHost) -> None:
    word = secrets.token_hex(8)
    repo = git_daemon.make_repo(files={"Dockerfile": f"FROM {BASE_IMAGE}\nRUN echo said-{word}\n"})
    out, log = await asyncio.to_thread(typed, service, "build", repo.url, "--ref=main")
    assert "@sha256:" in out
    assert f"said-{word}" in log
    again, _ = await asyncio.to_thread(typed, service, "build", repo.url, "--ref=main", "--json", "--quiet")
    assert json.loads(again)["image"] == out.strip()
    newest = (await launches(service))[0]
    assert newest["project"] is None, "no project is made"
    first = (await launches(service))[1]
    told, _ = await asyncio.to_thread(typed, service, "logs", first["id"])
    assert f"said-{word}" in told
    lines, _ = await asyncio.to_thread(typed, service, "logs", first["id"], "--json")
    assert json.loads(lines.splitlines()[-1])["type"] == "ready"
    said, _ = await asyncio.to_thread(typed, service, "cancel", first["id"])
    assert said == "The launch had ended: ready.\n"
    _, refused = await asyncio.to_thread(typed, service, "logs", "0" * 32, code=1)
    assert refused.startswith("There is no such launch.")


async def test_a_build_is_cancelled_and_one_that_fails_says_so(service: Service, git_daemon: GitHost) -> None:
    slow = git_daemon.make_repo(
        files={"Dockerfile": f"FROM {BASE_IMAGE}\nRUN echo {secrets.token_hex(4)} && sleep 600\n"}
    )
    building = asyncio.create_task(asyncio.to_thread(typed, service, "build", slow.url, "--ref=main", code=1))
    async with asyncio.timeout(60):
        while not (mine := [one for one in await launches(service) if one["url"] == slow.url]):
            await asyncio.sleep(0.3)
    said, _ = await asyncio.to_thread(typed, service, "cancel", mine[0]["id"])
    assert said == "The launch is stopped.\n"
    _, log = await building
    assert "Stopped by operator." in log
    bad = git_daemon.make_repo(files={"Dockerfile": f"FROM {BASE_IMAGE}\nRUN false {secrets.token_hex(4)}\n"})
    out, log = await asyncio.to_thread(typed, service, "build", bad.url, "--ref=main", code=1)
    assert out == ""
    assert "RUN false" in log


def test_badges_limits_and_the_queue(service: Service) -> None:
    link = f"{service.base_url}/v2/gh/ada/nice/HEAD"
    image = f"{service.base_url}/badge_logo.svg"
    out, note = typed(service, "badge", "https://github.com/ada/nice")
    assert out == f"[![Launch with repolaunch]({image})]({link})\n"
    assert "follows a branch" in note
    assert typed(service, "badge", "https://github.com/ada/nice", "--format", "link")[0] == f"{link}\n"
    assert "a path on somebody's own computer" in typed(service, "badge", "file:///etc", "--format", "svg", code=1)[1]
    assert typed(service, "badge", "ada/nice", "--format", "link")[0] == f"{link}\n"
    assert typed(service, "badge", "https://github.com/ada/nice", "--format", "svg")[0].startswith("<svg")
    assert "█" in typed(service, "badge", "https://github.com/ada/nice", "--format", "qr")[0]
    every = json.loads(typed(service, "badge", "https://github.com/ada/nice", "--json")[0])
    assert set(every) >= {"link", "markdown", "rst", "html", "latex", "org"}
    told = typed(service, "admin", "limits")[0].splitlines()
    assert told[0].split() == ["open", "to", "guests"]
    assert json.loads(typed(service, "admin", "queue", "--json")[0]) == []
