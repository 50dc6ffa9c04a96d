"""Guix as it builds at a site: what the site's caches have is copied; one that is wrong or hangs costs a build."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from builders import site_cache
from builders.guix.keeping import NAME, trusted
from builders.guix.tool import SITE_CACHE, tool
from builders.lines import Log
from builders.sandbox import daemon
from builders.site_cache import CopyFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from builders.guix.means import Means
    from builders.interface import Workshop
    from builders.lines import Tell
    from builders.sandbox import Daemon, Tool

Made = TypeVar("Made")
WITHOUT = "What the site’s caches have cannot be copied: everything is built here."


def copying(means: Means, stores: Path) -> Tool:
    """With the site's own cache first, as soon as something is in it. Blocks. Raises BuildBroken."""
    place, key = site_cache.chosen(), trusted(stores)
    if place is None or not place.folder or not key:
        return tool(means.substitutes, means.folders, means.keys)
    folders = {**means.folders, place.part(NAME).folder: SITE_CACHE}
    return tool((f"file://{SITE_CACHE}", *means.substitutes), folders, (key, *means.keys))


async def copied_or_built(
    means: Means, workshop: Workshop, work: Callable[[Daemon], Awaitable[Made]], tell: Tell
) -> Made:
    """What `work` gives with a daemon that copies what caches have; where they are wrong, with one that does not.

    What a derivation fetches is fetched by the daemon, and has to have the hash that was declared.
    """
    caching = await asyncio.to_thread(copying, means, workshop.common)
    try:
        async with daemon(caching, workshop, network=True, tell=tell) as of:
            return await work(of)
    except CopyFailed as error:
        if caching == tool((), means.folders):
            raise error.plain() from error
        tell(Log(WITHOUT))
    try:
        async with daemon(tool((), means.folders), workshop, network=True, tell=tell) as of:
            return await work(of)
    except CopyFailed as error:
        raise error.plain() from error
