"""The same person with the same link again: led back to the one session, whether it runs, starts or was stopped."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixtures.engine import BASE_IMAGE
from tests.fixtures.service import visiting
from tests.integration.test_private_service import sign_in

if TYPE_CHECKING:
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service, Visitor

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


def containers(service: Service, project: str) -> list[tuple[str, str]]:
    """Each with when it was started."""
    found = [one for one in service.containers() if one.labels.get("repolaunch.project") == project]
    return [(one.id, one.attrs["State"]["StartedAt"]) for one in found]


async def begin(visitor: Visitor, url: str, urlpath: str) -> str:
    status, launch = await visitor.post("/api/v1/launches", {"url": url, "ref": "main", "urlpath": urlpath})
    assert status == 201, launch
    return str(launch["id"])


async def end(visitor: Visitor, launch: str) -> dict[str, Any]:
    events = [event async for event in visitor.follow(launch)]
    assert events[-1]["type"] == "ready", events[-1]
    return events[-1]


@pytest.mark.parametrize("kind", ["guest", "member"])
async def test_who_launches_a_link_again_is_led_back(service: Service, git_daemon: GitHost, kind: str) -> None:
    repo = git_daemon.make_repo(files={"Dockerfile": f"# {secrets.token_hex(4)}\nFROM {BASE_IMAGE}\n"})
    async with visiting(service) as visitor:
        await (visitor.enter() if kind == "guest" else sign_in(visitor, "ada"))
        first = await end(visitor, await begin(visitor, repo.url, "lab"))
        runs = await asyncio.to_thread(containers, service, first["project"])
        assert len(runs) == 1
        # It runs: the same server, whatever page of it the link names.
        for urlpath in ("lab", "tree"):
            again = await end(visitor, await begin(visitor, repo.url, urlpath))
            assert again["project"] == first["project"]
        assert await asyncio.to_thread(containers, service, first["project"]) == runs
        await (await visitor.session(first["url"])).write("mine.txt", "kept")
        # It was stopped, and is started by several tabs at one time.
        status, _ = await visitor.call("DELETE", f"/api/v1/sessions/{first['project']}")
        assert status == 204
        tabs = [await begin(visitor, repo.url, urlpath) for urlpath in ("lab", "tree", "lab/tree/mine.txt", "lab")]
        assert tabs[3] == tabs[0], "a double click is one launch"
        assert len(set(tabs)) == 3
        ready = await asyncio.gather(*(end(visitor, launch) for launch in tabs[:3]))
        assert {one["project"] for one in ready} == {first["project"]}
        (now,) = await asyncio.to_thread(containers, service, first["project"])
        assert now != runs[0]
        assert await (await visitor.session(ready[0]["url"])).read("mine.txt") == "kept"
        status, listed = await visitor.call("GET", "/api/v1/projects")
        assert status == 200
        assert [one["id"] for one in listed if one["url"] == repo.url] == [first["project"]]
        assert (await visitor.call("DELETE", f"/api/v1/sessions/{first['project']}"))[0] == 204
