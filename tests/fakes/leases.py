"""Writer leases in memory: they pass the contract tests of `launcher.store.leases`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.model import Lease

if TYPE_CHECKING:
    from launcher.model import Holder


class FakeLeases:
    """As `LeaseRows`, gone with the process."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}

    async def get(self, project: str) -> Lease:
        return self._held.get(project, Lease(0, None))

    async def take(self, project: str, after: int, holder: Holder) -> bool:
        newest = (await self.get(project)).epoch == after
        if newest:
            self._held[project] = Lease(after + 1, holder)
        return newest

    async def give_up(self, project: str) -> bool:
        lease = await self.get(project)
        if lease.holder is not None:
            self._held[project] = replace(lease, holder=None)
        return lease.holder is not None
