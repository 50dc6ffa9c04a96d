"""How people are told that they wait, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from launcher.catalogue import text

if TYPE_CHECKING:
    from launcher.events import Queued

REASONS: Final = ("starting", "sessions", "repository", "person")
"""What there is too much of."""
NEAR: Final = 3
"""Places up to this one are told one by one."""
STEP: Final = 0.2
"""Beyond, a place is told again when it has changed by this part: a hundred who wait are no hundred events a second."""


def waits(language: str, reason: str, place: int) -> str:
    """How a launch stands that waits for this `reason`; `""`: one that this version does not know."""
    if reason not in REASONS:
        return ""
    seen = text(language, f"queue.{reason}")
    if reason == "person":  # what helps is theirs to do, whoever is before them
        return seen
    return f"{seen} {text(language, 'queue.next') if place == 1 else text(language, 'queue.place', place=place)}"


def worth_telling(told: Queued | None, now: Queued) -> bool:
    """Whether people are told anew."""
    if told is None or told.reason != now.reason:
        return True
    if told.place == now.place:
        return False
    return now.place <= NEAR or abs(told.place - now.place) >= STEP * told.place
