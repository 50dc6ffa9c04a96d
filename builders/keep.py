"""Fills the site's own cache with what images were assembled from: the verb `keep`, which nobody waits for.

A note beside an image's record says into which cache it was copied, and by which keepers: each copies it once, whoever
was killed meanwhile, and one that learns to fill such a cache later finds what it has not copied.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from typing import IO, TYPE_CHECKING

from builders.lines import Progress
from builders.oci import record
from builders.turns import building

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from builders.interface import Workshop
    from builders.lines import Tell
    from builders.site_cache import Keeper, Place

_LOCK = "keep.lock"


def _are_there(stores: Path, paths: Iterable[str]) -> bool:
    # One that is a link leads to a place that is not there on this machine.
    return all(os.path.lexists(stores / path[1:]) for path in paths)


async def keep(workshop: Workshop, keepers: Sequence[Keeper], place: Place, tell: Tell) -> int:
    """Copy what is not in the cache yet; how many images' environments those were. One that is busy does it all.

    Only by the keepers that can fill such a cache. Raises BuildBroken, EngineDown, DiskFull, TimeoutError, OSError.
    """
    able = [keeper for keeper in keepers if keeper.fills(place)]
    said = f"{place} by {', '.join(keeper.name for keeper in able)}"
    with contextlib.ExitStack() as held:
        lock = held.enter_context(await asyncio.to_thread(_lock_file, workshop.stores))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        done = 0
        for engine_id in await asyncio.to_thread(record.without_note, workshop.stores, said):
            recipe = await asyncio.to_thread(record.find, workshop.stores, engine_id)
            if recipe is None or not await asyncio.to_thread(_are_there, workshop.stores, recipe.root):
                continue  # it was forgotten meanwhile, or the store has let it go
            tell(Progress(f"Copying what the image {engine_id[:19]} was made from into the site's cache"))
            async with building(workshop.stores, tell):  # none of it is collected meanwhile
                for keeper in able:
                    # Not the notebook server's: every site has its own from set-up.
                    paths = sorted(one for one in recipe.root - recipe.first if one.startswith(keeper.store))
                    if paths:
                        await keeper.keep(workshop, paths, place, tell)
            await asyncio.to_thread(record.note, workshop.stores, engine_id, said)
            done += 1
        return done


def _lock_file(stores: Path) -> IO[str]:
    stores.mkdir(parents=True, exist_ok=True)
    return (stores / _LOCK).open("w")
