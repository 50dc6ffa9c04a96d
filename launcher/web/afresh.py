"""Who may have an environment built afresh, and how often: a build costs minutes of the machine, and was not needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import Forbidden, TooOften
from launcher.model import Kind

if TYPE_CHECKING:
    from launcher.model import Account
    from launcher.rates import Rates


@dataclass(frozen=True, slots=True)
class Afresh:
    """People who have signed in, so often; the operator as often as they like."""

    per_person: Rates

    def launch(self, account: Account) -> None:
        """Count a launch that is to be built afresh. Raises Forbidden, TooOften."""
        if account.kind is Kind.OPERATOR:
            return
        if account.kind is not Kind.MEMBER:
            raise Forbidden("have an environment built afresh")
        if seconds := self.per_person.wait_s(account.name):
            raise TooOften(f"One person may ask for {self.per_person.limit} builds afresh", seconds)
        self.per_person.count(account.name)
