"""A queue that is fair: in turns between groups, within a group in turns between people, within a person by arrival.

Who comes anew goes behind all that wait, so everybody who waits is reached after a number of turns that is known when
they come: nobody starves, however many others come after.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import astuple, dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Turns:
    """What has to be kept of a ticket to give it its place again: who has the lower numbers is served earlier."""

    group: int
    """When its group was last served, or came."""
    person: int
    """When its person, within the group, was last served, or came."""
    number: int
    """When it came."""


_People = OrderedDict[str, OrderedDict[str, Ticket]]


class FairQueue:
    """Tickets in the order in which they are to be served."""

    def __init__(self) -> None:
        self._groups: OrderedDict[str, _People] = OrderedDict()
        """Whose turn is next comes first."""
        self._known: dict[str, Ticket] = {}
        self._numbers: dict[str, int] = {}
        self._turns: dict[tuple[str, ...], int] = {}
        """Of groups, and of the people in them."""
        self._places: dict[str, int] | None = None
        self.count = 0
        """So many have come or been served: the number of whoever was last."""

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, ticket: str) -> bool:
        return ticket in self._known

    def add(self, ticket: Ticket) -> None:
        """At the end of its person's, behind all groups if its own does not wait yet. Its id must be a new one."""
        self.count += 1
        self._add(ticket, Turns(self.count, self.count, self.count))

    def restore(self, tickets: dict[Ticket, Turns]) -> None:
        """Into an empty queue: those that waited, in whatever order, with the turns that they had."""
        for ticket, turns in sorted(tickets.items(), key=lambda one: astuple(one[1])):
            self._add(ticket, turns)
            self.count = max(self.count, *astuple(turns))

    def put_first(self, ticket: Ticket) -> None:
        """Before all: it had its turn already. As a group of its own, so that nobody else's turn changes."""
        self._add(replace(ticket, group=ticket.id), Turns(0, 0, 0))
        self._groups.move_to_end(ticket.id, last=False)

    def turns(self, ticket: str) -> Turns:
        """Of one that waits."""
        known = self._known[ticket]
        return Turns(self._turns[known.group,], self._turns[known.group, known.person], self._numbers[ticket])

    def _add(self, ticket: Ticket, turns: Turns) -> None:
        people = self._groups.setdefault(ticket.group, OrderedDict())
        people.setdefault(ticket.person, OrderedDict())[ticket.id] = ticket
        self._turns.setdefault((ticket.group,), turns.group)
        self._turns.setdefault((ticket.group, ticket.person), turns.person)
        self._known[ticket.id] = ticket
        self._numbers[ticket.id] = turns.number
        self._places = None

    def remove(self, ticket: str) -> None:
        """Let it go; nothing happens if it does not wait. Whose turn it is does not change."""
        known = self._known.pop(ticket, None)
        if known is None:
            return
        people = self._groups[known.group]
        del people[known.person][ticket], self._numbers[ticket]
        if not people[known.person]:
            del people[known.person], self._turns[known.group, known.person]
        if not people:
            del self._groups[known.group], self._turns[known.group,]
        self._places = None

    def take(self, may: Callable[[Ticket], bool]) -> Ticket | None:
        """The first, in turn, that may be served now; None: nobody may. Who may not now keeps their turn."""
        found = next((one for one in self._by_turn() if may(one)), None)
        if found is None:
            return None
        self.remove(found.id)
        self.count += 1
        people = self._groups.get(found.group)
        if people is not None:
            self._groups.move_to_end(found.group)
            self._turns[found.group,] = self.count
            if found.person in people:
                people.move_to_end(found.person)
                self._turns[found.group, found.person] = self.count
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
