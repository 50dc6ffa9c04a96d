"""Where launch links stand, by what became of their launches here: for a badge that asks nobody and starts nothing."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from launcher.events import Ready, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.events import Event
    from launcher.model import RepoRef
    from launcher.store.launches import Ended

MOST: Final = 10_000
"""Links that are remembered; those launched longest ago are forgotten first."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one link. `ended`: how its last launch that came to an end did; `pinning` as Image has it."""

    running: int = 0
    ended: State | None = None
    pinning: str = ""


class Standings:
    """Told of each launch by `Launches`; knows at start what the database has."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, str], Standing] = OrderedDict()

    def of(self, ref: RepoRef) -> Standing:
        """Where this link stands."""
        return self._known.get(_link(ref), Standing())

    def recall(self, ended: Iterable[Ended]) -> None:
        """What ended before this process was; the oldest first."""
        for one in ended:
            self._keep((one.provider, one.spec), Standing(0, one.state, one.pinning))

    def began(self, ref: RepoRef) -> None:
        """A launch is under way."""
        old = self.of(ref)
        self._keep(_link(ref), Standing(old.running + 1, old.ended, old.pinning))

    def end(self, ref: RepoRef, state: State, event: Event, *, counted: bool = True) -> None:
        """It has ended so; a launch that somebody stopped says nothing of its link. `counted`: `began` was told."""
        old = self.of(ref)
        running = max(0, old.running - 1) if counted else old.running
        if state is State.CANCELLED:
            self._keep(_link(ref), Standing(running, old.ended, old.pinning))
            return
        pinning = event.pinning if isinstance(event, Ready) else ""
        self._keep(_link(ref), Standing(running, state, pinning or old.pinning))

    def _keep(self, link: tuple[str, str], standing: Standing) -> None:
        self._known[link] = standing
        self._known.move_to_end(link)
        while len(self._known) > self._most:
            self._known.popitem(last=False)


def _link(ref: RepoRef) -> tuple[str, str]:
    return ref.provider, ref.spec
