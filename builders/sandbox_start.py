"""Waits until the daemon of a pair (builders/sandbox.py) listens, while others go on: containers start side by side."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from builders.errors import BuildBroken, EngineDown
from builders.text import clean, without_paths

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from builders.errors import BuilderError
    from builders.process import Child

NO_ENGINE = 125
"""How `docker run` ends when the engine refused."""
WAITING = 'until [ -S "$0" ]; do sleep 0.02; done; exec "$@"'
"""What a container does that needs the socket `$0`, before its command."""
_TAIL, _SHOWN = 5, 300
_START_S = 60
_POLL_S = 0.02


class Start:
    """The start of one daemon. Made by `starting` only."""

    def __init__(self, listening: asyncio.Task[None]) -> None:
        """`listening` ends when it listens, or raises why it does not."""
        self._listening = listening

    async def done(self) -> None:
        """Wait until it listens. Raises EngineDown, BuildBroken."""
        await asyncio.shield(self._listening)


@asynccontextmanager
async def starting(
    child: Child, image: str, name: str, socket: Path, hear: Callable[[str], object] = lambda _: None
) -> AsyncIterator[Start]:
    """While the block runs, what the daemon says is read: it would stop if nobody did. `hear` hears each line."""
    said: deque[str] = deque(maxlen=_TAIL)

    async def read() -> None:
        async for line in child.lines():
            said.append(clean(line))
            hear(line)

    async def listen() -> None:
        deadline = asyncio.get_running_loop().time() + _START_S
        while not _exists(socket):
            if reading.done() or asyncio.get_running_loop().time() > deadline:
                raise await _not_started(child, image, name, " ".join(said))
            await asyncio.sleep(_POLL_S)

    reading = asyncio.create_task(read())
    listening = asyncio.create_task(listen())
    try:
        yield Start(listening)
    finally:
        listening.cancel()
        reading.cancel()
        # What it raised is told to those who asked.
        await asyncio.wait({listening, reading})
        _ = listening.cancelled() or listening.exception()


def _exists(socket: Path) -> bool:
    return socket.exists()


async def _not_started(child: Child, image: str, name: str, said: str) -> BuilderError:
    if "No such image" in said:
        return BuildBroken(f"the image {image} is missing")
    if child.ended and await child.wait() == NO_ENGINE:
        return EngineDown(without_paths(said)[:_SHOWN] or "it says nothing")
    return BuildBroken(f"the daemon of {name} did not start: {without_paths(said)[-_SHOWN:]}")
