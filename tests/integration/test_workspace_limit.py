"""How large a workspace may become, on a running service: people are told, the session stops, files can be deleted.

And that a workspace is all that a session can fill: whatever else it can write to has a size.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from launcher.operate.installation import free_port
from tests.fixtures.faults import MIB, fine, metric, ready, states
from tests.fixtures.service import Service, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.registry import RunningRegistry
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import SessionClient, Visitor

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

LIMIT = 200 * MIB
WRITABLE = """
import os
for line in open("/proc/mounts"):
    _, where, kind, options, *_ = line.split()
    if "rw" in options.split(",") and os.path.isdir(where) and kind not in ("proc", "mqueue"):
        if any(os.access(one, os.W_OK) for one in (where, *os.scandir(where))):
            print(where, kind, *[one for one in options.split(",") if one.startswith("size=")])
"""
GROW = "open('/workspace/work/large', 'wb').write(b'x' * {mib} * 2**20)"
DELETE = "import os; os.remove('/workspace/work/large')"


@pytest.fixture
def service(tmp_path: Path, registry: RunningRegistry) -> Iterator[Service]:
    """One whose workspaces may hold 200 MiB."""
    env = {"REPOLAUNCH_REGISTRY": registry.host, "REPOLAUNCH_REGISTRY_TLS": "false"}
    one = Service(tmp_path / "data", free_port(), {**env, "REPOLAUNCH_WORKSPACE_MAX_BYTES": str(LIMIT)})
    try:
        one.start()
        yield one
    finally:
        one.remove()


@pytest.mark.long
async def test_from_the_warning_to_the_way_back(service: Service, git_daemon: GitHost) -> None:
    repo = fine(git_daemon)
    async with visiting(service) as visitor:
        await visitor.enter()
        project, session = await opened(visitor, await visitor.launch(repo.url, "main"))
        assert_all_else_is_bounded(await session.run(WRITABLE))
        # -- nearly
        await session.run(GROW.format(mib=185))
        told = await until_told(visitor, project, "workspace-nearly-full")
        assert told["seen"] == "It holds 185 MiB and may hold 200 MiB."
        assert (await states(visitor))[project] == "running"
        # -- beyond
        with contextlib.suppress(AssertionError):  # it may be stopped while it writes
            await session.run(GROW.format(mib=260))
        told = await until_told(visitor, project, "workspace-stopped")
        held = told["seen"].removesuffix(" MiB and may hold 200 MiB. Every file is as it was saved.")
        assert 200 <= int(held.removeprefix("It holds ")) <= 261
        await until_stopped(visitor, project)
        page, html = await stopped_page(visitor, session)
        assert page == 503
        assert "The session was stopped: its workspace is too large" in html
        assert await metric(service, "repolaunch_workspace_stops_total") == 1
        # -- the way back: told at once, and time to delete
        events = await visitor.launch(repo.url, "main")
        assert (
            f"The workspace holds more than it may. {held} MiB and may hold 200 MiB. Delete what you no longer need "
            "within 15 minutes; else its session is stopped. No file is removed."
        ) in [event.get("message") for event in events]
        again, session = await opened(visitor, events)
        assert again == project
        await until_told(visitor, project, "workspace-over")
        await session.run(DELETE)
        await until_told(visitor, project, None)
        assert (await states(visitor))[project] == "running"
        assert await metric(service, "repolaunch_workspace_stops_total") == 1


def assert_all_else_is_bounded(mounts: str) -> None:
    """The root is only read; what is written elsewhere is memory of a given size."""
    found = [line.split() for line in mounts.splitlines()]
    assert "/workspace" in [where for where, *_ in found]
    for where, kind, *sizes in found:
        assert where != "/"
        assert where.startswith("/workspace") or (kind == "devpts" and not sizes) or (kind == "tmpfs" and sizes), where


async def opened(visitor: Visitor, events: list[dict[str, Any]]) -> tuple[str, SessionClient]:
    """The project of a launch, and its session."""
    return ready(events), await visitor.session(events[-1]["url"])


async def until_told(visitor: Visitor, project: str, code: str | None) -> dict[str, Any]:
    """Until the project's people are told just this."""
    notice: dict[str, Any] | None = None
    async with asyncio.timeout(180):
        while True:
            status, found = await visitor.call("GET", f"/api/v1/projects/{project}")
            assert status == 200, found
            notice = found["notice"]
            if (notice or {}).get("code") == code:
                return notice or {}
            await asyncio.sleep(0.5)


async def until_stopped(visitor: Visitor, project: str) -> None:
    async with asyncio.timeout(60):
        while (await states(visitor))[project] != "stopped":
            await asyncio.sleep(0.5)


async def stopped_page(visitor: Visitor, session: SessionClient) -> tuple[int, str]:
    """What a browser is shown where the session was."""
    async with visitor.http.get(f"{session.prefix}lab", headers={"Accept": "text/html"}) as answer:
        return answer.status, await answer.text()
