"""Which repository declares which environment is noted: it may have to be forgotten one day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from launcher.model import Checkout, Environment
    from launcher.stages import Detector, Tell


class Notes(Protocol):
    """Keeps them (`launcher.store.origins.OriginRows`)."""

    async def note(self, url: str, tree: str, key: str) -> None:
        """A tree of this repository declares the environment with this key."""
        ...


class Noted:
    """A stages.Detector: what is found is noted, before anything is built of it."""

    def __init__(self, inner: Detector, notes: Notes) -> None:
        """Wrap `inner`."""
        self._inner = inner
        self._notes = notes

    async def detect(self, checkout: Checkout, tell: Tell, *, afresh: bool = False) -> Environment:
        """As stages.Detector."""
        found = await self._inner.detect(checkout, tell, afresh=afresh)
        await self._notes.note(checkout.repo.url, checkout.known_as, found.key)
        return found
