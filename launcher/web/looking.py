"""What a link leads to now: one question to the host, so that people see it before they launch."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from launcher.errors import LauncherError, RefMissing, TooOften
from launcher.model import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.model import Account, RepoRef, ResolvedRepo
    from launcher.rates import Rates

AT_ONCE = 8
"""Questions under way: hosts that are slow must not hold more."""
LONGEST_S = 20.0
"""Whoever types does not wait for longer."""


class Finder(Protocol):
    """Asks the host, as a launch of this person does (`launcher.repos.private.PrivateResolver`)."""

    async def resolve(self, ref: RepoRef, account: Account) -> ResolvedRepo: ...


@dataclass(slots=True)
class Looking:
    """Asks hosts for people, not too often."""

    finder: Finder | None
    """None: nobody is asked."""
    rates: Rates
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def count(self, account: Account | None, address: str) -> None:
        """Count a question from this address. Raises TooOften, but for those who have signed in."""
        if account is not None and account.kind in {Kind.MEMBER, Kind.OPERATOR}:
            return
        if seconds := self.rates.wait_s(address):
            raise TooOften(f"From your network address {self.rates.limit} links may be looked up", seconds)
        self.rates.count(address)

    async def find(self, ways: Sequence[RepoRef], account: Account) -> tuple[int, ResolvedRepo] | None:
        """The first of the ways that is there for this person, and which one; None: nobody is asked.

        Asked anew every time: what one person's credentials open is kept for nobody. Raises as the resolver does.
        """
        if self.finder is None:
            return None
        first: LauncherError | None = None
        async with self._turns, asyncio.timeout(LONGEST_S):
            for number, ref in enumerate(ways):
                try:
                    return number, await self.finder.resolve(ref, account)
                except RefMissing as error:
                    first = first or error
        if first is not None:
            raise first
        return None
