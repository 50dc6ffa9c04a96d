"""What a link turns out to be of is held against the operator's bans too: a DOI tells it only when it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.gate.gate import Gate
    from launcher.model import Account, RepoRef, ResolvedRepo
    from launcher.stages import Resolver


class Held:
    """A `stages.Resolver` that refuses what is banned by another name than the link's."""

    def __init__(self, resolver: Resolver, gate: Gate) -> None:
        """Wrap `resolver`."""
        self._resolver, self._gate = resolver, gate

    async def resolve(self, ref: RepoRef, account: Account) -> ResolvedRepo:
        """See `stages.Resolver`. Raises RepositoryBanned too."""
        found = await self._resolver.resolve(ref, account)
        if found.record is not None:
            for name in (found.record.id, found.record.concept):
                self._gate.is_record(account, ref, name)
        return found
