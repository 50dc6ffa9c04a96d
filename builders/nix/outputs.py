"""Which outputs of a flake are an environment, and which of those that there are was perhaps meant to be one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

OUTPUTS = ("packages.{}.binder", "devShells.{}.default", "packages.{}.default")
_LIKE = 0.8
"""Of each part of a name: one letter of five."""
_SHOWN = 100


def lacking(system: str, there: Sequence[str]) -> str:
    """What to tell the author of a flake that has none of them, but those of `there`."""
    wanted = [one.format(system) for one in OUTPUTS]
    said = "it has none of the outputs " + ", ".join(f"“{one}”" for one in wanted)
    likes = [(like, found, meant) for meant in wanted for found in there if (like := _like(found, meant)) >= _LIKE]
    if not likes:
        return said
    _, found, meant = max(likes, key=lambda each: each[0])
    return f"{said}; “{clean(found)[:_SHOWN]}” is nearly “{meant}”"


def _like(found: str, meant: str) -> float:
    """How alike the least alike of their parts are; a whole name that is the beginning of another is not like it."""
    # `devShell.<system>` was the name once: what comes after it is not asked for.
    pairs = list(zip(found.split("."), meant.split("."), strict=False))
    if all(one == other for one, other in pairs):
        return 0
    return min(difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio() for one, other in pairs)
