"""Who may launch what, and how often: asked at the door, before anything is done for a launch."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from launcher.errors import (
    Forbidden,
    LaunchClosed,
    NetworkBanned,
    PersonBanned,
    RepositoryBanned,
    RepositoryNotAllowed,
    TooOften,
)
from launcher.gate.networks import Networks
from launcher.gate.patterns import matching
from launcher.gate.policy import person
from launcher.model import Kind
from launcher.rates import Rates, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.gate.policy import Policy
    from launcher.model import Account, RepoRef

STRANGERS = frozenset({Kind.GUEST, Kind.ANONYMOUS})
WHOM = {
    "members": "people who have signed in",
    "groups": "members of certain groups",
}


Specs = tuple[tuple[str, str], ...]
"""Each a provider and a spec."""
Counted = tuple[Rates, str, str]
"""A limit, who is counted there, and what people are told of it."""
Names = tuple[tuple[Specs, ...], Specs]
"""One repository by its names: those of which each has to be allowed, in one of the ways to write it; and all that it
may go by, of which none may be banned."""


class Aliases(Protocol):
    """One repository by all its names (`launcher.repos.aliases.Aliases`)."""

    def names(self, ref: RepoRef) -> Names: ...
    def names_at(self, url: str) -> Specs: ...
    def names_of_record(self, found: str) -> Specs: ...
    def one_name(self, url: str) -> str: ...


class AsAsked:
    """Every repository has the one name that its link has."""

    def names(self, ref: RepoRef) -> Names:
        name = ((ref.provider, ref.spec),)
        return (name,), name

    def names_at(self, url: str) -> Specs:
        del url
        return ()

    def names_of_record(self, found: str) -> Specs:
        del found
        return ()

    def one_name(self, url: str) -> str:
        return url


class Gate:
    """One site's. What is counted is in memory, and begins anew with the launcher."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        clock: Callable[[], float],
        aliases: Aliases | None = None,
    ) -> None:
        """`policy`: what is in force now; `clock`: monotonic seconds."""
        self._policy = policy
        self._aliases = aliases or AsAsked()
        self._per_address = Rates(lambda: policy().rates.per_address, clock)
        self._per_repository = Rates(lambda: policy().rates.per_repository, clock)
        self._per_person = Rates(lambda: policy().rates.per_person, clock)
        self._afresh = Rates(lambda: policy().rates.afresh_per_person, clock)
        self._networks: tuple[Mapping[str, str], Networks] = ({}, Networks({}))

    def enter(self, address: str) -> None:
        """Whether anything is answered there. Raises NetworkBanned."""
        banned = self._policy().banned_networks
        if self._networks[0] is not banned:
            self._networks = (banned, Networks(banned))
        label = self._networks[1].label(address)
        if label is not None:
            raise NetworkBanned(label)

    def launch(
        self, account: Account, visitor: str, ref: RepoRef, *, afresh: bool = False, freed: bool = False
    ) -> None:
        """Count a launch that may be; `freed` from its address's limit by a build token. The operator's always may.

        Raises LaunchClosed, PersonBanned, RepositoryBanned, RepositoryNotAllowed, Forbidden, TooOften.
        """
        if account.kind is Kind.OPERATOR:
            return
        self._person(account)
        self._repository(ref)
        if afresh and account.kind is not Kind.MEMBER:
            raise Forbidden("have an environment built afresh")
        whose = self._rates(account, visitor, ref, afresh=afresh, freed=freed)
        for rates, key, what in whose:
            if seconds := rates.wait_s(key):
                raise TooOften(what.format(rates.limit), seconds)
        for rates, key, _ in whose:
            rates.count(key)

    def standing(self, account: Account, visitor: str) -> Standing | None:
        """How many more launches somebody may begin now; None: as many as they like."""
        if account.kind is Kind.OPERATOR:
            return None
        rates, key, _ = self._own(account, visitor)
        return rates.standing(key)

    def has_high_quota(self, ref: RepoRef) -> bool:
        """Whether this repository may have more sessions than others."""
        policy, (asked, _) = self._policy(), self._aliases.names(ref)
        return any(matching(policy.provider(name).high_quota, _forms(spec)) for one in asked for name, spec in one)

    def leads_to(self, url: str) -> None:
        """What is launched leads on to this address: its host, or a submodule. Raises RepositoryBanned."""
        self._unbanned(self._aliases.names_at(url), f"git/{url}")

    def is_record(self, account: Account, ref: RepoRef, found: str) -> None:
        """A link is of this version of a record (`model.Record.id`, `concept`). Raises RepositoryBanned."""
        if found and account.kind is not Kind.OPERATOR:
            self._unbanned(self._aliases.names_of_record(found), f"{ref.provider}/{ref.spec}")

    def _person(self, account: Account) -> None:
        policy = self._policy()
        if account.name and (reason := policy.banned_people.get(person(account.name))) is not None:
            raise PersonBanned(reason or "no reason is given")
        launch = policy.launch
        if launch.open_to == "guests" or (account.kind is Kind.MEMBER and person(account.name) in launch.people):
            return
        belongs = launch.open_to == "members" or bool(set(account.groups) & set(launch.groups))
        if account.kind is not Kind.MEMBER or not belongs:
            raise LaunchClosed(WHOM[launch.open_to])

    def _repository(self, ref: RepoRef) -> None:
        policy, (asked, names) = self._policy(), self._aliases.names(ref)
        shown = f"{ref.provider}/{ref.spec}"
        self._unbanned(names, shown)
        for ways in asked:
            if not any(_allows(policy, name, spec) for name, spec in ways):
                raise RepositoryNotAllowed(shown)

    def _unbanned(self, names: Specs, shown: str) -> None:
        policy = self._policy()
        for name, spec in names:
            if matching(policy.provider(name).banned, _forms(spec)):
                raise RepositoryBanned(shown)

    def _own(self, account: Account, visitor: str) -> Counted:
        if account.kind in STRANGERS:
            return self._per_address, visitor, "From your network address strangers may begin {} launches"
        return self._per_person, account.name, "One person may begin {} launches"

    def _rates(self, account: Account, visitor: str, ref: RepoRef, *, afresh: bool, freed: bool) -> list[Counted]:
        strange = account.kind in STRANGERS
        found = [] if strange and freed else [self._own(account, visitor)]
        if strange:
            digest = blake2b(self._aliases.one_name(ref.url).encode(), digest_size=16).hexdigest()
            found.append((self._per_repository, digest, "Of one repository strangers may begin {} launches"))
        if afresh:
            found.append((self._afresh, account.name, "One person may ask for {} builds afresh"))
        return found


def _allows(policy: Policy, name: str, spec: str) -> bool:
    allowed = policy.provider(name).allowed
    return allowed is None or matching(allowed, _forms(spec))


def _forms(spec: str) -> tuple[str, ...]:
    """As launch links write it, and as people read it: patterns may be of either."""
    plain = unquote(spec)
    return (spec,) if plain == spec else (spec, plain)
