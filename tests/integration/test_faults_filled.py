"""The disk of the sessions' container engine full: while it builds, fetches an image, and starts a session.

On an engine of the test's own (tests/fixtures/own_engine.py), which here also builds (`build_engine = "shared"`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fixtures.faults import (
    FLOOR,
    FULL,
    KEPT,
    MIB,
    ROOM,
    at_work,
    containers,
    counted,
    fine,
    forget,
    full,
    on,
    pushed,
    ready,
    remove_image,
    said,
    until_ill,
)
from tests.fixtures.service import serving, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.own_engine import OwnEngine
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(900)]

ENGINE = full("container engine")


@pytest.fixture(scope="module")
def served(own_engine: OwnEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on the engine of our own."""
    with serving(tmp_path_factory.mktemp("faults") / "data", on(own_engine)) as one:
        yield one


async def test_at_a_sessions_start(served: Service, own_engine: OwnEngine, git_daemon: GitHost) -> None:
    """Nothing new begins; what exists can be opened, as long as there is room for a container; all goes on after."""
    disk, repo = own_engine.disk, fine(git_daemon)
    async with visiting(served) as visitor:
        await visitor.enter()
        async with at_work(visitor, repo.url) as (project, _, _):
            pass
        disk.fill(leave=FLOOR // 2)
        try:
            told = await until_ill(served, "disk of the container engine")
            low = told["disk of the container engine"]
            assert low.endswith(" MiB free; a new launch begins only with 64 MiB or more.")
            refused = await visitor.launch(fine(git_daemon).url, "main")
            assert said(refused[-1]) == ("disk-low", 507, "There is too little room on this server", low, KEPT)
            async with at_work(visitor, repo.url) as (again, session, kernel):
                assert again == project
                disk.fill()  # a session that runs does not need the engine's disk
                assert await counted(session, kernel) == 1
                await session.write("kept.txt", "kept")
            forget(own_engine, project)
            disk.fill()
            failed = await visitor.launch(repo.url, "main")
            assert said(failed[-1]) == ENGINE
            assert project not in containers(served)
        finally:
            disk.empty()
        assert await until_ill(served) == {}
        async with at_work(visitor, repo.url) as (again, session, _):
            assert again == project
            assert await session.read("kept.txt") == "kept"


async def test_in_mid_build(served: Service, own_engine: OwnEngine, git_daemon: GitHost) -> None:
    """It says at which step, and whose disk; the next try finds nothing in its way."""
    step = "RUN head -c 300M /dev/zero > /tmp/large"
    repo = fine(git_daemon, f"{step}\n")
    async with visiting(served) as visitor:
        await visitor.enter()
        own_engine.disk.fill(leave=2 * FLOOR)
        try:
            failed = await visitor.launch(repo.url, "main")
        finally:
            own_engine.disk.empty()
        code, status, title, seen, todo = said(failed[-1])
        assert (code, status, title, todo) == ("disk-full", 507, FULL, ROOM)
        assert seen.startswith(f"{ENGINE[3]}\nStep: [3/3] {step}\nIts last lines:\n")
        assert "No space left on device" in seen
        project = ready(await visitor.launch(repo.url, "main"))
        assert (await visitor.call("DELETE", f"/api/v1/sessions/{project}"))[0] == 204


async def test_in_mid_pull(served: Service, own_engine: OwnEngine, git_daemon: GitHost) -> None:
    """An image that has to be fetched and does not fit."""
    repo = fine(git_daemon, "RUN head -c 120M /dev/urandom > /tmp/large\n")
    async with visiting(served) as visitor, visiting(served) as other:
        await visitor.enter()
        await other.enter()
        async with at_work(visitor, repo.url) as (project, _, _):
            image = await pushed(visitor, project)
        forget(own_engine, project)
        remove_image(own_engine, image)
        own_engine.disk.fill(leave=FLOOR + 16 * MIB)
        try:
            for who in (other, visitor):  # one has the image looked at, the other's session fetches it
                failed = await who.launch(repo.url, "main")
                assert said(failed[-1]) == ENGINE
            assert project not in containers(served)
        finally:
            own_engine.disk.empty()
        async with at_work(visitor, repo.url) as (again, _, _):
            assert again == project
