"""What the build worker was told of this installation, and what its builder processes are given because of it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders.errors import BuildBroken
from builders.leftovers import CALL, KIND, LIFE
from builders.requests import LIMITS_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WITH_LOGIN = frozenset({"inspect", "push", "archive", "archived", "restore", "holdings", "forget", "clear"})
"""They speak to the registry."""
READ_S = 120
"""Seconds, of the clock and of a processor, in which a repository has to be read."""
CPU_S: Mapping[str, int] = {"read": READ_S, "detect": 300}
READ_BYTES = 2 << 30
"""What a process that reads a repository may use itself: what strangers wrote may be made to take for ever."""
KEEP_S = 6 * 3600
"""How long filling the site's cache may take."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the worker was told of this installation."""

    installation: str
    checkouts: Path
    contents: Path
    scratch: Path
    env: Mapping[str, str]
    """What builder processes may know of our environment."""
    registry: Mapping[str, str]
    """How the registry is spoken to: the variables of it that `builders/variables.py` names, the login among them."""
    build_s: int
    build_limit: int
    client: int = 0
    """User whose the checkouts are."""
    archive_bytes: int = 0
    """What an archived checkout may be, packed."""
    limits: tuple[str, ...] = ()
    """Options of `python -m builders build` and `detect`: what one of them may use."""
    local_images: str = ""
    """Patterns of the images of this machine that may be built on, with commas."""

    @property
    def local(self) -> str:
        """What stands before the key in the names that our images have in the engine."""
        return f"repolaunch-{self.installation}-env:"

    def marks(self, life: str, call: str) -> tuple[str, ...]:
        """By which what a killed builder process left is found: of this life of the worker, of this call."""
        marks = (f"repolaunch.installation={self.installation}", KIND, f"{LIFE}={life}", f"{CALL}={call}")
        return tuple(f"--mark={mark}" for mark in marks)

    def checkout(self, fields: Mapping[str, Any]) -> Path:
        """The folder, if it is one of its own: a link could lead anywhere. Raises BuildBroken."""
        path = self.checkouts / str(fields["checkout"])
        try:
            if stat.S_ISDIR(path.lstat().st_mode):
                return path
        except OSError:
            pass
        raise BuildBroken("the checkout is gone")

    def limit(self, verb: str) -> tuple[str, ...]:
        """The option of a builder process that says how long it may take."""
        limits = {**LIMITS_S, "keep": KEEP_S, "read": READ_S, "build": self.build_s, "detect": self.build_s}
        return (f"--time-limit={limits[verb]}",) if verb in limits else ()

    def environment(self, verb: str) -> dict[str, str]:
        """What a builder process is given; the registry's login too, where it speaks to it."""
        env = {**self.env, "LANG": "C.UTF-8"}
        return {**env, **self.registry} if verb in WITH_LOGIN else env


def prlimit(verb: str) -> tuple[str, ...]:
    """The command before a builder process that holds it to what it may use itself."""
    most = CPU_S.get(verb)
    return ("prlimit", f"--cpu={most}:{most + 5}", f"--data={READ_BYTES}", "--") if most else ()
