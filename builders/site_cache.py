"""A site's own cache: what Nix and Guix have built here, signed with a key of the site's own, for this site and others.

REPOLAUNCH_STORE_CACHE is an http(s) address that takes PUT, or a folder below the folder of the stores; Nix's part is
`nix` in it and Guix's `guix`. The keys are in `<stores>/site/keys`, which nobody but the builder may read; what
others need to trust them, the public ones, are beside it. A store that lacks something looks there before it builds.
"""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from builders.errors import BuildBroken, BuildFailed
from builders.process import Command, output
from builders.text import without_paths
from builders.variables import STORE_CACHE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builders.interface import Workshop
    from builders.lines import Tell
    from builders.sandbox import Daemon

KEY = "REPOLAUNCH_SITE_KEY"
"""What a script of ours has the private key in."""
COPY_S = 3000
"""Seconds in which what one image was made from has to be copied."""
_SHOWN = 300
KEYS, SITE = "site/keys", "site"
"""In the stores: the private keys, and the public ones."""


@dataclass(eq=False)
class CopyFailed(BuildFailed):
    """No build failed: a cache gave what cannot be used, or nothing. Never leaves the builders."""

    def plain(self) -> BuildFailed:
        """The same, where there is no cache."""
        return BuildFailed(self.builder, self.step, self.tail, self.status)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cache is: one of the two."""

    url: str = ""
    folder: str = ""
    """Relative to the folder of the stores."""

    def part(self, name: str) -> Place:
        """One tool's part of it."""
        return Place(f"{self.url}/{name}" if self.url else "", posixpath.join(self.folder, name) if self.folder else "")


_STORES_OWN = {"nix", "gnu", "images", "views", "wheels", "run", "site", "server", "private", "verify"}


class Keeper(Protocol):
    """What fills a cache from a store."""

    name: str
    store: str
    """What the paths of its store begin with."""

    def fills(self, place: Place, /) -> bool:
        """Whether it can copy to such a place at all; `keep` is asked of no other."""
        ...

    async def keep(self, workshop: Workshop, paths: Sequence[str], place: Place, tell: Tell) -> None:
        """Copy paths of the store, and all that they refer to, signed with the site's key, which is made if there is
        none. Never run by two at one time. Raises BuildBroken, EngineDown, DiskFull, TimeoutError.
        """  # noqa: D205  # one sentence
        ...


def _is_free(folder: str) -> bool:
    """Whether it is below the stores' folder, and none that the stores themselves have."""
    parts = PurePosixPath(folder).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts and parts[0] not in _STORES_OWN


def chosen(text: str | None = None) -> Place | None:
    """What the variable says; None: the site has none. Raises BuildBroken."""
    said = (os.environ.get(STORE_CACHE, "") if text is None else text).rstrip("/")
    if not said:
        return None
    if said.startswith(("http://", "https://")):
        if urlsplit(said).hostname and not set(said) & set(" \t\n?#'\"\\"):
            return Place(url=said)
    elif _is_free(said) and not set(said) & set("\n,:\"'"):
        return Place(folder=posixpath.normpath(said))
    raise BuildBroken(f"{STORE_CACHE} is neither an http address nor a folder in the stores")


# --------------------------------------------------------------------------- keys
def private_key(stores: Path, name: str) -> str:
    """`""`: none was made yet. Blocks."""
    try:
        return (stores / KEYS / name).read_text("utf-8")
    except FileNotFoundError:
        return ""


def public_key(stores: Path, name: str) -> str:
    """`""`: none was made yet, so nothing is signed with it. Blocks."""
    try:
        return (stores / SITE / f"{name}-key.pub").read_text("utf-8").strip()
    except FileNotFoundError:
        return ""


def save_keys(stores: Path, name: str, private: str, public: str) -> None:
    """Keep a pair; never half of one, and never readable to others. Blocks. Raises OSError."""
    folder = stores / KEYS
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    shown = stores / SITE / f"{name}-key.pub"
    shown.write_text(f"{public}\n", "utf-8")
    shown.chmod(0o644)
    made = folder / f".{name}.new"
    made.unlink(missing_ok=True)
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(private)
        file.flush()
        os.fsync(file.fileno())
    made.replace(folder / name)


async def asked(of: Daemon, key: str, script: str, *argv: str) -> str:
    """What a script of ours says in the daemon's container, where nothing of a stranger's runs.

    Only of a pair that never had an evaluator. Raises BuildBroken, EngineDown, TimeoutError.
    """
    await of.listening()
    # By name only: no list of processes shows its value.
    command = ("docker", "exec", f"--env={KEY}", of.container, "sh", "-euc", script, "sh", *argv)
    status, said = await output(Command(command, {**of.env, KEY: key}), time_limit_s=COPY_S)
    if status:
        raise BuildBroken(f"the site's cache was not filled: {without_paths(said.strip())[-_SHOWN:]}")
    return said
