"""How much of a daemon (builders/sandbox.py) a command in an evaluator reaches: its socket, a gate, or nothing."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from builders import sandbox_files as files
from builders.process import Command, running
from builders.sandbox_start import starting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from builders.sandbox import Daemon

_BESIDE = Path(__file__).resolve().parents[1]


class Reach(Enum):
    """How much of the daemon."""

    DAEMON = "daemon"
    """All: for what runs nothing that a stranger wrote, or for a tool whose language cannot speak to it."""
    GATE = "gate"
    """What `Tool.gate` lets pass, and of the stores' folders none of `Tool.withheld`."""
    NOTHING = "nothing"
    """As GATE, and no socket."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a command in an evaluator may."""

    network: bool = False
    reach: Reach = Reach.DAEMON
    keeps: Mapping[str, str] = field(default_factory=dict)
    """Folders of the stores, as in `Tool`, that it writes; never one that runs what a stranger wrote."""


WHOLE = Rights()
"""All of the daemon, and nothing else."""


@dataclass(frozen=True, slots=True)
class Door:
    """What an evaluator is given. Made by `door` only."""

    socket: Path | None
    """The folder of the socket, whether or not somebody listens there yet."""
    ready: Callable[[], Awaitable[None]]
    """Wait until somebody does. Raises EngineDown, BuildBroken."""
    told: list[str] = field(default_factory=list)
    """What the gate has said so far, line by line: what the daemon builds for the evaluator."""


@asynccontextmanager
async def door(of: Daemon, rights: Rights, name: str) -> AsyncIterator[Door]:
    """What the evaluator `name` is to have."""
    if rights.reach is not Reach.GATE:
        yield Door(of.folder / files.DAEMON if rights.reach is Reach.DAEMON else None, of.listening)
        return
    folder = of.folder / name
    await asyncio.to_thread(files.folders, (folder,), None)
    listen = folder / of.tool.socket
    told: list[str] = []
    async with (
        running(_gate(of, listen)) as child,
        starting(child, of.tool.image, f"{of.tool.name}’s gate", listen, told.append) as start,
    ):

        async def ready() -> None:
            await of.listening()
            await start.done()

        yield Door(folder, ready, told)


def _gate(of: Daemon, listen: Path) -> Command:
    daemon = of.folder / files.DAEMON / of.tool.socket
    module, *told = of.tool.gate
    given = (str(listen), str(daemon), str(files.owner() + 1), str(of.workshop.limits.disk))
    return Command(
        argv=(sys.executable, "-m", module, *given, *told),
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        cwd=_BESIDE,
        leash=True,
    )
