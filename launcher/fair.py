"""A queue that is fair: in turns between groups, within a group in turns between people, within a person by arrival.

Who comes anew goes behind all that wait, so everybody who waits is reached after a number of turns that is known when
they come: nobody starves, however many others come after.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Ticket:
    """One that waits."""

    id: str
    group: str
    """A repository."""
    person: str = ""


_People = OrderedDict[str, OrderedDict[str, Ticket]]


class FairQueue:
    """Tickets in the order in which they are to be served."""

    def __init__(self) -> None:
        self._groups: OrderedDict[str, _People] = OrderedDict()
        """Whose turn is next comes first."""
        self._known: dict[str, Ticket] = {}
        self._places: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, ticket: str) -> bool:
        return ticket in self._known

    def add(self, ticket: Ticket) -> None:
        """At the end of its person's, behind all groups if its own does not wait yet. Its id must be a new one."""
        people = self._groups.setdefault(ticket.group, OrderedDict())
        people.setdefault(ticket.person, OrderedDict())[ticket.id] = ticket
        self._known[ticket.id] = ticket
        self._places = None

    def remove(self, ticket: str) -> None:
        """Let it go; nothing happens if it does not wait. Whose turn it is does not change."""
        known = self._known.pop(ticket, None)
        if known is None:
            return
        people = self._groups[known.group]
        del people[known.person][ticket]
        if not people[known.person]:
            del people[known.person]
        if not people:
            del self._groups[known.group]
        self._places = None

    def take(self, may: Callable[[Ticket], bool]) -> Ticket | None:
        """The first, in turn, that may be served now; None: nobody may. Who may not now keeps their turn."""
        found = next((one for one in self._by_turn() if may(one)), None)
        if found is None:
            return None
        self.remove(found.id)
        people = self._groups.get(found.group)
        if people is not None:
            self._groups.move_to_end(found.group)
            if found.person in people:
                people.move_to_end(found.person)
        return found

    def places(self) -> dict[str, int]:
        """Id → place, from 1 on, if all were served one after the other. In the order of their places."""
        if self._places is None:
            self._places = {ticket.id: place for place, ticket in enumerate(self._order(), 1)}
        return self._places

    def _by_turn(self) -> Iterator[Ticket]:
        """The first of each person of each group; then the others, for where those may not."""
        for people in self._groups.values():
            for depth in range(max(len(tickets) for tickets in people.values())):
                for tickets in people.values():
                    yield from islice(tickets.values(), depth, depth + 1)

    def _order(self) -> Iterator[Ticket]:
        rings = [[list(tickets.values())[::-1] for tickets in people.values()] for people in self._groups.values()]
        while rings:
            left = []
            for ring in rings:
                tickets = ring.pop(0)
                yield tickets.pop()
                if tickets:
                    ring.append(tickets)
                if ring:
                    left.append(ring)
            rings = left
