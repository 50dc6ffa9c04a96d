"""A tree is looked at once: what it declares depends on the tree and on the builders alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from launcher.model import Checkout, Environment


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

    async def detect(self, checkout: Checkout) -> Environment:
        """As stages.Detector."""
        ...

    async def fingerprint(self) -> str:
        """Another fingerprint, perhaps other answers."""
        ...


class Remembered:
    """A stages.Detector that asks another one only for trees that it has not seen."""

    def __init__(self, detector: Fingerprinted, rows: Rows) -> None:
        """Wrap `detector`."""
        self._detector = detector
        self._rows = rows
        self._fingerprint = ""

    async def detect(self, checkout: Checkout) -> Environment:
        """As stages.Detector."""
        # The builders of a running launcher do not change.
        self._fingerprint = self._fingerprint or await self._detector.fingerprint()
        known = await self._rows.get(checkout.tree, self._fingerprint)
        if known is None:
            known = await self._detector.detect(checkout)
            await self._rows.put(checkout.tree, self._fingerprint, known)
        return known
