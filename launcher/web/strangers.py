"""How often those may launch who have not signed in: by network address, and by repository."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from launcher.errors import TooOften
from launcher.model import Kind

if TYPE_CHECKING:
    from launcher.model import Account, RepoRef
    from launcher.rates import Rates


@dataclass(frozen=True, slots=True)
class Strangers:
    """Guests, and programs without a token."""

    per_address: Rates
    per_repository: Rates

    def launch(self, account: Account, address: str, ref: RepoRef, *, freed: bool = False) -> None:
        """Count a launch by this account; `freed` from its address's limit by a build token. Raises TooOften."""
        if account.kind not in {Kind.GUEST, Kind.ANONYMOUS}:
            return
        of_repository = (
            self.per_repository,
            blake2b(ref.url.encode(), digest_size=16).hexdigest(),
            "Of one repository strangers may begin {} launches",
        )
        of_address = (self.per_address, address, "From your network address strangers may begin {} launches")
        whose = (of_repository,) if freed else (of_address, of_repository)
        for rates, key, what in whose:
            if seconds := rates.wait_s(key):
                raise TooOften(what.format(rates.limit), seconds)
        for rates, key, _ in whose:
            rates.count(key)
