"""How people are told that they wait, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.events import Queued

NEAR: Final = 3
"""Places up to this one are told one by one."""
STEP: Final = 0.2
"""Beyond, a place is told again when it has changed by this part: a hundred who wait are no hundred events a second."""


def _before(place: int) -> str:
    if place == 1:
        return "You are next."
    return f"Your launch is number {place}: {place - 1} {'is' if place == 2 else 'are'} before it."  # noqa: PLR2004


MESSAGES: Final[Mapping[str, Callable[[int], str]]] = {
    "sessions": lambda place: f"All places are taken. {_before(place)}",
    "starting": lambda place: f"Other sessions are just starting. {_before(place)}",
    "repository": lambda place: f"This repository has as many sessions as it may have. {_before(place)}",
    "person": lambda _: "You have as many sessions as one person may have: stop one of them, and this one starts.",
}
"""By what there is too much of."""


def worth_telling(told: Queued | None, now: Queued) -> bool:
    """Whether people are told anew."""
    if told is None or told.reason != now.reason:
        return True
    if told.place == now.place:
        return False
    return now.place <= NEAR or abs(told.place - now.place) >= STEP * told.place
