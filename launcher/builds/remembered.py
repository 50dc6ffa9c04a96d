"""A tree is looked at once: what it declares depends on the tree and on the builders alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from launcher.tasks import Tasks

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.events import Event
    from launcher.model import Checkout, Environment
    from launcher.stages import Tell


class Rows(Protocol):
    """What the store remembers of detections (launcher/store/images.py: EnvironmentRows)."""

    async def get(self, tree: str, fingerprint: str) -> Environment | None:
        """What builders with this fingerprint found in a tree."""
        ...

    async def put(self, tree: str, fingerprint: str, environment: Environment) -> None:
        """Remember it."""
        ...


class Fingerprinted(Protocol):
    """A stages.Detector that says when its answers would change."""

    async def detect(self, checkout: Checkout, tell: Tell) -> Environment:
        """As stages.Detector; always afresh."""
        ...

    async def fingerprint(self) -> str:
        """Another fingerprint, perhaps other answers."""
        ...


@dataclass(eq=False)
class _Look:
    """One look that is under way, and who follows it; who comes late is told first what it missed."""

    task: asyncio.Task[Environment] | None = None
    said: list[Event] = field(default_factory=list)
    tells: list[Tell] = field(default_factory=list)

    def tell(self, event: Event) -> None:
        self.said.append(event)
        for tell in self.tells:
            tell(event)

    def join(self, tell: Tell) -> None:
        for event in self.said:
            tell(event)
        self.tells.append(tell)


class Remembered:
    """A stages.Detector that asks another one only for trees that it has not seen, and once for all who wait.

    Whoever waits leases the checkout, so the files are there as long as one of them does.
    """

    def __init__(self, detector: Fingerprinted, rows: Rows) -> None:
        """Wrap `detector`."""
        self._detector = detector
        self._rows = rows
        self._fingerprint = ""
        self._looks: dict[Path, _Look] = {}
        self._tasks = Tasks()

    async def detect(self, checkout: Checkout, tell: Tell, *, afresh: bool = False) -> Environment:
        """As stages.Detector."""
        # The builders of a running launcher do not change.
        self._fingerprint = self._fingerprint or await self._detector.fingerprint()
        known = None if afresh else await self._rows.get(checkout.known_as, self._fingerprint)
        return known or await self._look(checkout, tell)

    async def close(self) -> None:
        """Stop what is under way. After the launches are closed."""
        await self._tasks.close()

    async def _look(self, checkout: Checkout, tell: Tell) -> Environment:
        look = self._looks.get(checkout.path)
        if look is None or look.task is None or look.task.done() or look.task.cancelling():
            look = self._looks[checkout.path] = _Look()
            look.task = self._tasks.start(self._found(checkout, look), f"detect-{checkout.path.name}")
        look.join(tell)
        try:
            return await asyncio.shield(look.task)
        finally:
            look.tells.remove(tell)
            if not look.tells and not look.task.done():
                look.task.cancel()

    async def _found(self, checkout: Checkout, look: _Look) -> Environment:
        try:
            found = await self._detector.detect(checkout, look.tell)
            await self._rows.put(checkout.known_as, self._fingerprint, found)
        finally:
            if self._looks.get(checkout.path) is look:
                del self._looks[checkout.path]
        return found
