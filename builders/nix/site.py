"""What a site has chosen: the nixpkgs for those who say `<nixpkgs>` and thereby choose none, and caches to copy from.

REPOLAUNCH_NIXPKGS is a JSON object: `url` of a tarball, its `sha256` (of what is in it), `rev` and `date`; in place of
the first two may be `folder`, one of this machine. REPOLAUNCH_NIX_CACHES is a JSON list of objects: `url` of a binary
cache (http or https), or `folder`, one inside the folder of the stores; and `key`, whose signatures count.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from builders import site_cache
from builders.errors import BuildBroken
from builders.variables import NIX_CACHES, NIXPKGS


@dataclass(frozen=True, slots=True)
class Nixpkgs:
    """One state of nixpkgs."""

    rev: str
    date: str
    url: str = ""
    sha256: str = ""
    folder: Path | None = None

    @property
    def said(self) -> str:
        """For people: which it is."""
        return f"{self.rev[:12]} of {self.date}"

    @property
    def advice(self) -> tuple[str, ...]:
        """The lines that would pin it."""
        if not self.url:
            return ()
        return (
            "import (builtins.fetchTarball {",
            f'  url = "{self.url}";',
            f'  sha256 = "{self.sha256}";',
            "})",
        )


@dataclass(frozen=True, slots=True)
class Cache:
    """A binary cache that finished store paths are copied from, where it has them and they are signed with its key."""

    key: str
    """Name and public key, as `nix-store --generate-binary-cache-key` writes them."""
    url: str = ""
    folder: str = ""
    """Relative to the folder of the stores; `""`: it is at `url`."""


def caches() -> tuple[Cache, ...]:
    """What the variable says. Raises BuildBroken."""
    try:
        listed = json.loads(os.environ.get(NIX_CACHES) or "[]")
        found = tuple(Cache(str(one["key"]), str(one.get("url", "")), str(one.get("folder", ""))) for one in listed)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BuildBroken(f"{NIX_CACHES} is no JSON list of objects with key, and url or folder") from None
    for one in found:
        inside = bool(one.folder) and ".." not in one.folder.split("/") and not one.folder.startswith("/")
        if not (one.url.startswith(("http://", "https://")) or inside) or set(one.key + one.url) & set(" \n"):
            raise BuildBroken(
                f"{NIX_CACHES} names a cache that is neither at an http address nor a folder in the stores"
            )
    return found


def own_cache(stores: Path) -> tuple[Cache, ...]:
    """The cache that this site fills itself, as soon as something is in it. Blocks. Raises BuildBroken."""
    place, key = site_cache.chosen(), site_cache.public_key(stores, "nix")
    if place is None or not key:
        return ()
    part = place.part("nix")
    return (Cache(key, part.url, part.folder),)


def nixpkgs() -> Nixpkgs | None:
    """What the variable says; None: the site has chosen none. Raises BuildBroken."""
    text = os.environ.get(NIXPKGS)
    if not text:
        return None
    try:
        body = json.loads(text)
        folder = Path(body["folder"]) if "folder" in body else None
        chosen = Nixpkgs(
            str(body["rev"]), str(body["date"]), str(body.get("url", "")), str(body.get("sha256", "")), folder
        )
    except (ValueError, KeyError, TypeError):
        raise BuildBroken(f"{NIXPKGS} is no JSON object with rev, date, url and sha256") from None
    if not chosen.folder and not (chosen.url and chosen.sha256):
        raise BuildBroken(f"{NIXPKGS} names neither a url with its sha256 nor a folder")
    return chosen
