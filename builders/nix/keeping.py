"""Fills a site's own cache from Nix's store: what was built, signed with the site's key."""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from builders.errors import BuildBroken
from builders.nix.tool import NIX
from builders.sandbox import daemon
from builders.site_cache import KEY, asked, private_key, save_keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builders.interface import Workshop
    from builders.lines import Tell
    from builders.sandbox import Daemon
    from builders.site_cache import Place

NAME = "nix"
"""Of the cache's part, and of the key."""
_FOLDER = "/site-cache"
_SEED, _PUBLIC = 32, 32
# The key is in a memory of the container's own, for as long as that is there: nothing of a stranger's runs in it.
_COPY = f"""
umask 077; printf %s "${KEY}" >/tmp/key; unset {KEY}; umask 022
to=$1; shift
exec nix --extra-experimental-features nix-command copy --to "$to&secret-key=/tmp/key" "$@"
"""
_MAKE = 'exec nix --extra-experimental-features nix-command key generate-secret --key-name "$1"'


class NixKeeper:
    """A Keeper (builders/site_cache.py)."""

    name = NAME
    store = "/nix/store/"

    def fills(self, _: Place) -> bool:
        """As Keeper.fills."""
        return True

    async def keep(self, workshop: Workshop, paths: Sequence[str], place: Place, tell: Tell) -> None:
        """As Keeper.keep."""
        part = place.part(NAME)
        folders = {**NIX.folders, **({part.folder: _FOLDER} if part.folder else {})}
        to = f"{part.url or f'file://{_FOLDER}'}?compression=zstd"
        # One of its own: no evaluator is ever given its socket.
        async with daemon(replace(NIX, folders=folders), workshop, network=bool(part.url), tell=tell) as of:
            key = await _key(of, workshop.stores)
            await asked(of, key, _COPY, to, *paths)


async def _key(of: Daemon, stores: Path) -> str:
    if key := await asyncio.to_thread(private_key, stores, NAME):
        return key
    key = (await asked(of, "", _MAKE, f"repolaunch-{secrets.token_hex(4)}-1")).strip()
    await asyncio.to_thread(save_keys, stores, NAME, key, public(key))
    return key


def public(key: str) -> str:
    """The public half of a key as Nix writes it: `name:base64 of the seed and the public key`. Raises BuildBroken."""
    name, _, text = key.partition(":")
    try:
        both = base64.b64decode(text, validate=True)
    except binascii.Error:
        both = b""
    if not name or len(both) != _SEED + _PUBLIC:
        raise BuildBroken("what Nix made is no key")
    return f"{name}:{base64.b64encode(both[_SEED:]).decode()}"
