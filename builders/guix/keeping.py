"""Fills a site's own cache from Guix's store: files as `guix publish` serves them, signed with the site's key."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

from builders.errors import BuildBroken
from builders.guix.tool import PROGRAMS, SITE_CACHE, tool
from builders.sandbox import daemon
from builders.sandbox_commands import SOCKETS
from builders.site_cache import asked, private_key, public_key, save_keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builders.interface import Workshop
    from builders.lines import Tell
    from builders.sandbox import Daemon
    from builders.site_cache import Place

NAME = "guix"
"""Of the cache's part, and of the key."""
_RUN = f"""
printf %s "$1" >/tmp/keep.scm; shift
export GUIX_DAEMON_SOCKET={SOCKETS}/socket
exec guix repl -- /tmp/keep.scm "$@"
"""
_ANSWER = "@repolaunch "
_POINT = re.compile(r"\(q\s+#([0-9A-F]{64})#\s*\)")


class GuixKeeper:
    """A Keeper (builders/site_cache.py)."""

    name = NAME
    store = "/gnu/store/"

    def fills(self, place: Place) -> bool:
        """As Keeper.fills: not a cache that is an address, for `guix publish` and its like only serve."""
        return bool(place.folder)

    async def keep(self, workshop: Workshop, paths: Sequence[str], place: Place, tell: Tell) -> None:
        """As Keeper.keep."""
        folders = {place.part(NAME).folder: SITE_CACHE}
        async with daemon(tool(folders=folders), workshop, network=False, tell=tell) as of:
            key = await _key(of, workshop.stores)
            await _asked(of, key, SITE_CACHE, *paths)


async def _key(of: Daemon, stores: Path) -> str:
    if key := await asyncio.to_thread(private_key, stores, NAME):
        return key
    made = await _asked(of, "", SITE_CACHE)
    key, public = str(made.get("private")), str(made.get("public"))
    point(public)
    await asyncio.to_thread(save_keys, stores, NAME, key, public)
    return key


def point(public: str) -> str:
    """What a public key is, without what all have in common: `Means.keys` has it. Raises BuildBroken."""
    found = _POINT.search(public)
    if not found:
        raise BuildBroken("what Guix made is no key")
    return found[1]


def trusted(stores: Path) -> str:
    """The site's own, as `Means.keys` has it; `""`: none was made yet. Blocks. Raises BuildBroken."""
    public = public_key(stores, NAME)
    return point(public) if public else ""


async def _asked(of: Daemon, key: str, *argv: str) -> dict[str, object]:
    """What the program answers last."""
    script = await asyncio.to_thread((PROGRAMS / "keep.scm").read_text, "utf-8")
    said = [line for line in (await asked(of, key, _RUN, script, *argv)).splitlines() if line.startswith(_ANSWER)]
    try:
        body = json.loads(said[-1].removeprefix(_ANSWER))
    except (IndexError, ValueError):
        body = None
    if not isinstance(body, dict):
        raise BuildBroken("Guix did not say what it copied")
    return body
