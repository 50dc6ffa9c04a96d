"""A lease at the build engine (deploy/images/build-engine/supervisor.py): one build, its limits and what became of it.

Without REPOLAUNCH_BUILD_ENGINE there is none: the build runs on the engine of DOCKER_HOST, without limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from builders.engine import DISK, build_address, build_control
from builders.errors import (
    BuildDiskFull,
    BuilderError,
    BuildOutOfMemory,
    BuildTooManyProcesses,
    DiskFull,
    EngineDown,
)
from builders.lines import Progress
from builders.sockets import open_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from builders.interface import Limits
    from builders.lines import Tell

WAIT_S = 60.0
"""How long a build waits for a build engine that is being started."""
ANSWER_S = 60.0
GRACE_S = 3.0
"""How long a build whose steps were ended may take to notice it."""


@dataclass(eq=False)
class Lease:
    """One build. Made by `leased` only."""

    limits: Limits
    image: str = ""
    """The image's name in the build engine, which nobody else can guess; `""`: the order's own."""
    parent: str = ""
    """The cgroup of the build's steps."""
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the build has passed a limit, or the build engine has gone."""
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    _listening: asyncio.Task[dict[str, Any]] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the `docker` tool must be told besides."""
        return {"DOCKER_HOST": build_address()} if self.parent else {}

    async def passed(self, step: str) -> BuilderError | None:
        """Which limit the build has passed, if any; asked after the build has ended. Raises EngineDown."""
        if self._streams is None or self._listening is None:
            return None
        with contextlib.suppress(OSError):
            self._streams[1].write(b'{"ended": true}\n')
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._listening
                # The first line may be that a limit was passed; the verdict says the same.
        except TimeoutError:
            raise EngineDown("the build engine did not answer in time") from None
        if answer.keys().isdisjoint({"limit", "verdict"}):
            raise EngineDown("the build engine ended while it built")
        return self._error(str(answer.get("limit") or answer.get("verdict") or ""), step)

    def _error(self, which: str, step: str) -> BuilderError | None:
        match which:
            case "":
                return None
            case "memory":
                return BuildOutOfMemory(self.limits.memory, step)
            case "processes":
                return BuildTooManyProcesses(self.limits.processes, step)
            case "disk":
                return BuildDiskFull(self.limits.disk, step)
            case _:
                return DiskFull(DISK, step)

    async def listen(self) -> dict[str, Any]:
        """The next line; an empty one if the build engine has gone."""
        assert self._streams is not None  # noqa: S101  # `leased` made it
        answer = await _line(self._streams[0])
        self.told.set()
        return answer


@asynccontextmanager
async def leased(limits: Limits, tell: Tell) -> AsyncIterator[Lease]:
    """Hold a lease for one build; on leaving, the build engine ends what is left of it. Raises EngineDown."""
    control = build_control()
    if control is None:
        yield Lease(limits)
        return
    reader, writer = await _connect(control, tell)
    try:
        name = secrets.token_hex(12)
        image = f"repolaunch-building:{name}"
        wanted = {key: value for key, value in asdict(limits).items() if key != "log"}
        answer = await _ask(reader, writer, {"lease": {"id": name, "image": image, **wanted}})
        if "parent" not in answer:
            raise EngineDown(f"the build engine gives no lease: {answer.get('error', 'it says nothing')}")
        lease = Lease(limits, image, str(answer["parent"]), _streams=(reader, writer))
        lease._listening = asyncio.create_task(lease.listen())  # noqa: SLF001  # one module, two halves
        try:
            yield lease
        finally:
            lease._listening.cancel()  # noqa: SLF001
    finally:
        writer.close()


async def _connect(control: Path, tell: Tell) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a build engine that answers."""
    deadline = asyncio.get_running_loop().time() + WAIT_S
    waited = False
    while True:
        with contextlib.suppress(OSError):
            if (await _once(control, {"ping": True})).get("ready"):
                return await open_socket(control)
        if asyncio.get_running_loop().time() > deadline:
            raise EngineDown("the build engine does not run")
        if not waited:
            tell(Progress("Waiting for the build engine"))
        waited = True
        await asyncio.sleep(0.5)


async def _once(control: Path, request: dict[str, Any]) -> dict[str, Any]:
    reader, writer = await open_socket(control)
    try:
        return await _ask(reader, writer, request)
    finally:
        writer.close()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: dict[str, Any]) -> dict[str, Any]:
    writer.write(json.dumps(request).encode() + b"\n")
    try:
        async with asyncio.timeout(ANSWER_S):
            return await _line(reader)
    except TimeoutError:
        raise EngineDown("the build engine did not answer in time") from None


async def _line(reader: asyncio.StreamReader) -> dict[str, Any]:
    try:
        answer = json.loads(await reader.readline() or b"{}")
    except (OSError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}
