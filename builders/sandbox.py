"""A pair of containers in which strangers' expressions are evaluated and built, for tools with a daemon and a store.

The *daemon* owns the store: it is the only one that writes there, and it makes a sandbox of its own for every step. The
*evaluator* runs what a stranger wrote: another uid, a read-only root, the store read-only, no network unless it is
asked for, and of the daemon only its socket. Neither has a capability, neither runs as root.

A store is a folder: `<stores>/nix` is seen as `/nix`. What belongs to one pair is in `<stores>/run/<id>` and goes with
it. A container ends when this process does: it holds a leash, the end of its stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from builders import engine, transfer
from builders import sandbox_files as files
from builders.errors import BuildBroken, BuildOutOfMemory, EngineDown
from builders.lease import leased
from builders.process import MAX_LINE, Command, ProgramMissing, finish, output, running
from builders.sandbox_commands import daemon_command, evaluator_command, stores_seen
from builders.sandbox_door import WHOLE, Rights, door
from builders.sandbox_start import NO_ENGINE, Start, starting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from builders.errors import BuilderError
    from builders.interface import Workshop
    from builders.lease import Lease
    from builders.lines import Tell
    from builders.process import Child

_NO_TOOL = "the docker command-line client is not installed"
_TOOL_S = 60
_APPEARS_S, _LOOK_S = 4.0, 0.5
"""How long a container may take to appear whose client was ended while it made it, and how often it is looked for."""
_NOT_THERE = "No such container"
_KILLED = 137
"""How `docker run` ends when the program was killed."""
# Of control groups version 2, and of version 1.
_OOM_EVENTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


@dataclass(frozen=True, slots=True)
class Tool:
    """What a pair is made for: Nix or Guix."""

    name: str
    image: str
    folders: Mapping[str, str]
    """Folders of the stores, and where they are seen: `{"nix": "/nix"}`. Made if they are missing."""
    shared: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """The same of the site's stores, also where the stores are a private repository's own: caches."""
    daemon: tuple[str, ...]
    """The daemon's command; it stays in the foreground and listens at `socket`."""
    socket: str
    """The name of its socket in SOCKETS."""
    daemon_env: Mapping[str, str] = field(default_factory=dict)
    evaluator_env: Mapping[str, str] = field(default_factory=dict)
    gate: tuple[str, ...] = ()
    """The process that stands between the socket and what a stranger wrote (builders/sandbox_door.py): its module, and
    what it is told after all else."""
    withheld: tuple[str, ...] = ()
    """Where folders are seen that what a stranger wrote does not see."""
    unlisted: tuple[str, ...] = ()
    """Folders of the stores whose names nobody but the daemon may list; who knows one may read what it is of."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an evaluator ended."""

    status: int
    out_of_memory: bool


@dataclass(eq=False)
class Daemon:
    """A running daemon. Made by `daemon` only."""

    tool: Tool
    workshop: Workshop
    folder: Path
    """What is this pair's own: `work/` (the daemon's), `source/` (yours to fill), gone afterwards."""
    env: Mapping[str, str]
    """Of the `docker` tool."""
    container: str
    lease: Lease
    start: Start | None = None
    _ended: list[asyncio.Future[None]] = field(default_factory=list)
    """Containers that are being removed."""

    async def listening(self) -> None:
        """Wait until it listens, which evaluators do by themselves. Raises EngineDown, BuildBroken."""
        if self.start is None:
            raise RuntimeError
        await self.start.done()

    def forget(self, container: str, *, may_appear: bool) -> None:
        """Have a container removed: it need not be waited for before the pair ends."""
        self._ended.append(asyncio.ensure_future(_remove_container(container, self.env, may_appear=may_appear)))

    async def forgotten(self) -> None:
        """Wait until that was done."""
        if self._ended:
            await asyncio.wait(self._ended)

    @property
    def source(self) -> Path:
        """The folder that evaluators see as SOURCE: yours to fill."""
        return self.folder / files.SOURCE

    async def passed(self, step: str) -> BuilderError | None:
        """Which limit of the pair was passed, if one was; asked once, when something has failed."""
        if (error := await self.lease.passed(step)) is not None:
            return error
        return BuildOutOfMemory(self.workshop.limits.memory, step) if await self.out_of_memory() else None

    async def out_of_memory(self) -> bool:
        """Whether the kernel has ended something in the daemon's container for want of memory."""
        # The engine itself says so only of a container that has ended.
        asked = ("docker", "exec", self.container, "cat", *_OOM_EVENTS)
        _, text = await output(Command(asked, self.env), time_limit_s=_TOOL_S)
        return bool(re.search(r"^oom_kill [1-9]", text, re.MULTILINE))


@dataclass(eq=False)
class Evaluator:
    """A running evaluator. Made by `evaluator` only."""

    child: Child
    container: str
    env: Mapping[str, str]
    told: list[str]
    """As `Door.told`."""

    async def ending(self) -> Ending:
        """Wait for its end; read its lines first. Raises EngineDown."""
        status = await self.child.wait()
        if status == NO_ENGINE:
            raise EngineDown("the engine could not start the evaluator")
        return Ending(status, status == _KILLED and await _out_of_memory(self.container, self.env))


@asynccontextmanager
async def daemon(
    tool: Tool, workshop: Workshop, *, network: bool, tell: Tell = lambda _: None
) -> AsyncIterator[Daemon]:
    """A daemon with the store of `tool`, for as long as the block runs; `network`: for steps whose hash is known.

    It may still be starting: what an evaluator is given can be prepared meanwhile.
    Where there is a build engine, the pair runs there: behind its walls, and within the limits of one lease. Raises
    EngineDown, BuildBroken.
    """
    folder = workshop.stores / files.RUN / secrets.token_hex(8)
    with engine.tool_environment(0) as plain, contextlib.ExitStack() as held:
        try:
            async with leased(workshop.limits, tell) as lease:
                if lease.parent:
                    await asyncio.to_thread(transfer.bring, (tool.image,), tell)
                env = {**plain, **lease.environment}
                made = Daemon(tool, workshop, folder, env, f"repolaunch-{tool.name}-{folder.name}", lease)
                stores = [source for source, _ in stores_seen(made)]
                held.enter_context(await asyncio.to_thread(files.prepare, stores, folder))
                await asyncio.to_thread(files.unlist, [workshop.stores / name for name in tool.unlisted])
                async with _running(made, network=network):
                    yield made
        except ProgramMissing as error:
            raise BuildBroken(_NO_TOOL) from error
        finally:
            await asyncio.to_thread(files.remove, folder)


@asynccontextmanager
async def _running(made: Daemon, *, network: bool) -> AsyncIterator[None]:
    command = daemon_command(made, network=network)
    socket = made.folder / files.DAEMON / made.tool.socket
    async with (
        _removed(made),
        _contained(made, made.container, command) as child,
        starting(child, made.tool.image, made.tool.name, socket) as made.start,
    ):
        yield


@asynccontextmanager
async def evaluator(
    of: Daemon,
    argv: tuple[str, ...],
    rights: Rights = WHOLE,
    *,
    max_line: int = MAX_LINE,
) -> AsyncIterator[Evaluator]:
    """Run a command as the evaluator; its lines (stderr's and stdout's) are the child's. Raises BuildBroken."""
    name = f"{of.container}-{secrets.token_hex(4)}"
    try:
        async with door(of, rights, name) as opened:
            kept = [of.workshop.stores / each for each in rights.keeps]
            await asyncio.to_thread(files.folders, kept, files.owner() + 1)
            command = evaluator_command(of, name, rights, opened.socket, argv)
            async with _contained(of, name, replace(command, max_line=max_line)) as child:
                await opened.ready()
                yield Evaluator(child, name, of.env, opened.told)
    except ProgramMissing as error:
        raise BuildBroken(_NO_TOOL) from error


@asynccontextmanager
async def _contained(of: Daemon, container: str, command: Command) -> AsyncIterator[Child]:
    """Run the client of a container. Afterwards the client is ended, and only then its container is removed, by name.

    While a client lives, or what it has asked of the engine is on its way, a container may appear that was not there.
    """
    was_cut_short = True
    try:
        async with running(command) as child:
            try:
                yield child
            finally:
                was_cut_short = not child.ended or await child.wait() < 0
    finally:
        of.forget(container, may_appear=was_cut_short)


@asynccontextmanager
async def _removed(of: Daemon) -> AsyncIterator[None]:
    """Wait until the containers of a pair are removed, however often we are told to end."""
    try:
        yield
    finally:
        await finish(asyncio.ensure_future(of.forgotten()))


async def _remove_container(container: str, env: Mapping[str, str], *, may_appear: bool) -> None:
    until = asyncio.get_running_loop().time() + (_APPEARS_S if may_appear else 0)
    # One that could not be removed carries marks: whoever gave them finds it.
    with contextlib.suppress(TimeoutError, ProgramMissing):
        while True:
            asked = ("docker", "rm", "--force", "--volumes", container)
            _, said = await output(Command(asked, env), time_limit_s=_TOOL_S)
            if _NOT_THERE not in said or asyncio.get_running_loop().time() >= until:
                return
            await asyncio.sleep(_LOOK_S)


async def _out_of_memory(container: str, env: Mapping[str, str]) -> bool:
    asked = ("docker", "inspect", "--format={{.State.OOMKilled}}", container)
    status, text = await output(Command(asked, env), time_limit_s=_TOOL_S)
    return status == 0 and text.strip() == "true"
