"""Turns at what many use at one time, and what is cleared up now and then while nobody does: stores, our own registry.

Locks of the kernel on two files: they end with whoever holds them, however that ends. Who comes while it is cleared up
waits and goes on by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import math
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from builders.lines import Progress
from builders.variables import STORES as _STORES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from builders.lines import Tell

OWN_REGISTRY = "REPOLAUNCH_OWN_REGISTRY"
"""Of a registry that is ours to clear up: the fields of `Own`, as JSON."""
STORES = "collect"
"""In the folder of the stores: beside which turns at them are taken."""
PATIENCE_S = 600.0
HELD_S = 120.0
"""How long clearing up waits for a moment when nobody uses the thing; then whoever comes next waits for it instead."""
_POLL_S = 0.2


def stores() -> Path:
    """The folder of the stores: as we were told, else one of whoever runs this."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(_STORES) or Path(cache, "repolaunch", "stores"))


def building(stores: Path, tell: Tell) -> AbstractAsyncContextManager[None]:
    """A turn at the stores: for all the time in which something is built there and has no root yet."""
    return using(stores / STORES, tell, "Waiting until the store is cleared up")


@dataclass(frozen=True, slots=True)
class Own:
    """A registry of our own: nobody but builder processes puts anything there."""

    folder: Path
    """Where it keeps what it has, as the distribution's `filesystem` driver does."""
    turns: Path
    """Beside which file turns are taken."""
    collect: tuple[str, ...]
    """The command of its own collector."""


def own_registry(environ: Mapping[str, str] = os.environ) -> Own | None:
    """What the variable OWN_REGISTRY says; None: it is somebody else's."""
    if not (text := environ.get(OWN_REGISTRY)):
        return None
    body = json.loads(text)
    return Own(Path(body["folder"]), Path(body["turns"]), tuple(body["collect"]))


def uploading(tell: Tell) -> AbstractAsyncContextManager[None]:
    """A turn at the registry: for all the time in which layers are put there that no manifest names yet."""
    own = own_registry()
    return using(own.turns, tell, "Waiting until the registry is cleared up") if own else contextlib.nullcontext()


def alone_in(own: Own) -> AbstractAsyncContextManager[None]:
    """Have a registry for oneself. Who waits for a backup of it, which takes hours, makes nobody else wait for it."""
    return alone(own.turns, math.inf)


@asynccontextmanager
async def using(place: Path, tell: Tell, waiting: str) -> AsyncIterator[None]:
    """Use the thing, as others do. Not twice in one another. `waiting` is told where it is being cleared up."""
    with contextlib.ExitStack() as stack:
        with await _opened(place, "turn") as turn:
            if not _taken(turn, fcntl.LOCK_SH):
                tell(Progress(waiting))
                await _until_taken(turn, fcntl.LOCK_SH)
            used = stack.enter_context(await _opened(place, "used"))
            await _until_taken(used, fcntl.LOCK_SH)
        yield


@asynccontextmanager
async def alone(place: Path, patience_s: float = PATIENCE_S) -> AsyncIterator[None]:
    """Have the thing for oneself, when nobody uses it.

    After `patience_s` nobody new may use it, for HELD_S at most: who uses it for hours must not make all others wait.
    """
    until = asyncio.get_running_loop().time() + patience_s
    with await _opened(place, "turn") as turn, await _opened(place, "used") as used:
        while True:
            await _until_taken(turn, fcntl.LOCK_EX)
            is_next = asyncio.get_running_loop().time() >= until
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HELD_S if is_next else 0):
                    await _until_taken(used, fcntl.LOCK_EX)
                break
            if is_next:
                until = asyncio.get_running_loop().time() + patience_s
            fcntl.flock(turn, fcntl.LOCK_UN)
            await asyncio.sleep(_POLL_S)
        yield


async def _opened(place: Path, name: str) -> IO[bytes]:
    return await asyncio.to_thread(_open, place.with_name(f"{place.name}.{name}"))


def _open(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb")


def _taken(file: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _until_taken(file: IO[bytes], how: int) -> None:
    # Not a blocking call in a thread: nobody could cancel that.
    while not _taken(file, how):  # noqa: ASYNC110  # the kernel tells of no event
        await asyncio.sleep(_POLL_S)
