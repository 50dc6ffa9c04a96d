"""Builds that want too much are stopped, each with its own words; a sibling build and a session notice nothing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.fixtures.builds import LONG_S, MIB, SMALL, error, eventually, leases, said
from tests.fixtures.faults import at_work, counted, fine
from tests.fixtures.faults import said as told
from tests.fixtures.service import visiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.build_engine import RunningBuildEngine
    from tests.fixtures.builds import Builds
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service, SessionClient, Visitor

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

OFFENDERS = {
    "memory": ("RUN tail /dev/zero; echo the status was $?", "BuildOutOfMemory", {"bytes": 200 * MIB}),
    "processes": ("RUN f() { f | f & }; f; sleep 1000", "BuildTooManyProcesses", {"processes": 200}),
    "disk": ("RUN head -c 2000000000 /dev/zero > /big; sleep 1000", "BuildDiskFull", {"bytes": 100 * MIB}),
    "log": ("RUN head -c 1000000000 /dev/zero | base64", "BuildLogTooLong", {"bytes": MIB}),
    "time": ("RUN sleep 100000", "BuildTimeout", {"seconds": 20}),
}
LIMITS = {"MEMORY": 200 * MIB, "PROCESSES": 200, "DISK": 100 * MIB, "LOG": MIB, "TIMEOUT_S": 60, "CPUS": 0.5}
TOLD = {
    "memory": (
        *("build-out-of-memory", 422, "The build ran out of memory"),
        "Its steps may use 200 MiB of memory together, and wanted more.",
    ),
    "processes": (
        *("build-too-many-processes", 422, "The build started too many processes"),
        "Its steps may have 200 processes and threads at one time, and wanted more.",
    ),
    "disk": (
        *("build-disk-full", 422, "The build wrote too much"),
        "Its steps may write 100 MiB, and wrote more.",
    ),
    "log": (
        *("build-log-too-long", 422, "The build printed too much"),
        "It was stopped after 1 MiB of output.",
    ),
    "time": ("build-timeout", 504, "The build took too long", "It was stopped after 60 seconds."),
}


async def answering(session: SessionClient, kernel: str) -> int:
    """Ask the kernel until cancelled; each answer within what a person would wait, and the next number."""
    number = 0
    while True:
        async with asyncio.timeout(LONG_S / 4):
            number += 1
            assert await counted(session, kernel) == number
        await asyncio.sleep(0.2)


async def test_each_offender_is_stopped_and_nobody_else_is_harmed(
    builds: Builds, build_engine: RunningBuildEngine, service: Service, git_daemon: GitHost
) -> None:
    async with visiting(service) as visitor:
        await visitor.enter()
        async with at_work(visitor, fine(git_daemon).url) as (_, session, kernel):
            asking = asyncio.create_task(answering(session, kernel))
            before = time.perf_counter()
            work = "RUN for i in $(seq 15); do echo $i; sleep 1; done; echo done > /srv/done"
            sibling = asyncio.create_task(asyncio.to_thread(said, builds.start(work, *SMALL)))
            # All are heard at the same time: a builder that nobody listens to waits.
            ends = {
                name: asyncio.create_task(asyncio.to_thread(error, builds.start(lines, *SMALL, *_clock(name))))
                for name, (lines, _, _) in OFFENDERS.items()
            }
            for name, end in ends.items():
                _, kind, facts = OFFENDERS[name]
                got, seen = await end
                assert (got, {key: seen[key] for key in facts}) == (kind, facts), (name, seen)
                assert name == "time" or seen["step"].startswith("[3/3] RUN"), (name, seen)
            final = (await sibling)[-1]
            print(f"all have ended after {time.perf_counter() - before:.1f} s")
            assert final["type"] == "built", final
            assert not asking.done(), asking
            asking.cancel()
    eventually(lambda: not leases(build_engine), "no cgroup is left")
    assert "repolaunch-building" not in build_engine.images()


def _clock(name: str) -> tuple[str, ...]:
    return ("--time-limit=20",) if name == "time" else ()


# --------------------------------------------------------------------------- through the whole service
@pytest.fixture
def strict(own_service: Service) -> Iterator[Service]:
    """A service with a build engine of its own and low limits."""
    limits = {f"REPOLAUNCH_BUILD_{name}": str(value) for name, value in LIMITS.items()}
    own_service.env |= {"REPOLAUNCH_BUILD_ENGINE": "own", "REPOLAUNCH_BUILD_LIMIT": "6", **limits}
    own_service.start()
    yield own_service
    own_service.stop()


@pytest.mark.long
async def test_people_are_told_by_what_their_build_was_stopped(strict: Service, git_daemon: GitHost) -> None:
    """At `up` with all of its own: the first launch waits for the base image, then every offender at one time."""
    async with visiting(strict) as visitor:
        await visitor.enter()
        async with at_work(visitor, fine(git_daemon).url) as (_, session, kernel):
            asking = asyncio.create_task(answering(session, kernel))
            launches = {
                name: asyncio.create_task(visitor.launch(fine(git_daemon, f"USER root\n{lines}\n").url, "main"))
                for name, (lines, _, _) in OFFENDERS.items()
            }
            sibling = asyncio.create_task(visitor.launch(fine(git_daemon, "RUN sleep 10\n").url, "main"))
            for name, launch in launches.items():
                code, status, title, seen, _ = told((await launch)[-1])
                assert (code, status, title, seen.partition("\n")[0]) == TOLD[name], (name, seen)
            assert (await sibling)[-1]["type"] == "ready"
            await _killed_in_mid_build(strict, visitor, git_daemon)
            assert not asking.done(), asking
            asking.cancel()


async def _killed_in_mid_build(strict: Service, visitor: Visitor, git_daemon: GitHost) -> None:
    """The launch says what was away, `up` starts the build engine again, and the next launch works."""
    engine = strict.engine().containers.get(f"repolaunch-{strict.id}-builds")
    launch = asyncio.create_task(visitor.launch(fine(git_daemon, "RUN sleep 4242\n").url, "main"))
    async with asyncio.timeout(LONG_S):
        while not any("4242" in " ".join(one) for one in (await asyncio.to_thread(engine.top))["Processes"]):
            await asyncio.sleep(0.5)
    await asyncio.to_thread(engine.kill)
    assert told((await launch)[-1])[:3] == ("engine-down", 503, "The container engine does not answer")
    assert (await visitor.launch(fine(git_daemon).url, "main"))[-1]["type"] == "ready"
