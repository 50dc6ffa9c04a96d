"""A queue that is fair."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from launcher.fair import FairQueue, Ticket


def queue(*tickets: str) -> FairQueue:
    """Each `repository-person-number`."""
    of = FairQueue()
    for one in tickets:
        repository, person, _ = one.split("-")
        of.add(Ticket(one, repository, person))
    return of


def served(of: FairQueue, most: int = 1000) -> list[str]:
    found: list[str] = []
    while len(found) < most and (ticket := of.take(lambda _: True)) is not None:
        found.append(ticket.id)
    return found


def test_repositories_take_turns_then_people_then_who_came_first() -> None:
    tickets = ("a-ann-1", "a-ann-2", "a-bob-1", "a-ann-3", "b-cat-1", "a-bob-2", "c-dan-1", "b-cat-2")
    wanted = ["a-ann-1", "b-cat-1", "c-dan-1", "a-bob-1", "b-cat-2", "a-ann-2", "a-bob-2", "a-ann-3"]
    of = queue(*tickets)
    assert list(of.places()) == wanted
    assert list(of.places().values()) == list(range(1, 9))
    assert served(of) == wanted


def test_who_comes_anew_goes_behind_all_that_wait() -> None:
    of = queue("a-x-1", "a-x-2", "b-y-1")
    assert served(of, 1) == ["a-x-1"]
    of.add(Ticket("c-z-1", "c", "z"))
    assert served(of) == ["b-y-1", "a-x-2", "c-z-1"]


def test_who_may_not_now_keeps_the_turn() -> None:
    of = queue("a-x-1", "a-y-1", "b-z-1")
    assert of.take(lambda ticket: ticket.group == "b") == Ticket("b-z-1", "b", "z")
    assert of.take(lambda ticket: ticket.person == "y") == Ticket("a-y-1", "a", "y")
    assert of.take(lambda _: False) is None
    assert served(of) == ["a-x-1"]


def test_one_person_who_may_not_keeps_no_other_back() -> None:
    of = queue("a-x-1", "a-x-2", "a-y-1")
    assert of.take(lambda ticket: ticket.id == "a-x-2") is not None
    assert served(of) == ["a-y-1", "a-x-1"]


def test_who_leaves_is_gone() -> None:
    of = queue("a-x-1", "a-x-2", "b-y-1")
    of.remove("a-x-1")
    of.remove("a-x-1")
    of.remove("nobody")
    assert ("a-x-1" in of, "a-x-2" in of, len(of)) == (False, True, 2)
    assert served(of) == ["a-x-2", "b-y-1"]
    assert (len(of), of.places()) == (0, {})


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=40))
def test_places_are_the_order_in_which_they_are_served(whose: list[tuple[str, str]]) -> None:
    of = queue(*(f"{repository}-{person}-{n}" for n, (repository, person) in enumerate(whose)))
    assert list(of.places()) == served(of)


@given(st.integers(1, 30), st.integers(1, 60))
def test_nobody_starves(before: int, flood: int) -> None:
    """Of however many that come after, in whatever repositories, at most as many as wait now go before."""
    of = queue(*(f"a-x-{n}" for n in range(before)), "b-y-1")
    turns = 0
    while True:
        for n in range(flood):
            of.add(Ticket(f"new{turns}-{n}", f"new{turns}-{n}", "z"))
        ticket = of.take(lambda _: True)
        turns += 1
        if ticket is not None and ticket.id == "b-y-1":
            break
    assert turns <= 2


STEPS = st.lists(st.tuples(st.sampled_from(["come", "come", "serve", "leave"]), st.integers(0, 99)), max_size=60)


def may(n: int, ticket: Ticket) -> bool:
    return n % 5 != 0 or ticket.group != "abcd"[n % 4]


def follow(of: FairQueue, steps: list[tuple[str, int]], restarts: set[int]) -> list[str]:
    """Whom it serves, if at these steps a new queue takes over with what is kept of the old one."""
    tickets: dict[str, Ticket] = {}
    order: list[str] = []
    for step, (what, n) in enumerate(steps):
        if what == "come":
            tickets[f"t{step}"] = Ticket(f"t{step}", "abcd"[n % 4], "xyz"[n // 4 % 3])
            of.add(tickets[f"t{step}"])
        elif what == "leave" and len(of):
            of.remove(sorted(of.places())[n % len(of)])
        elif (ticket := of.take(partial(may, n))) is not None:
            order.append(ticket.id)
        if step in restarts:
            kept = {tickets[one]: of.turns(one) for one in sorted(of.places())}
            of = FairQueue()
            of.restore(kept)
    return order + served(of)


@given(STEPS, st.sets(st.integers(0, 59)))
def test_a_restart_changes_nobodys_turn(steps: list[tuple[str, int]], restarts: set[int]) -> None:
    assert follow(FairQueue(), steps, restarts) == follow(FairQueue(), steps, set())


def test_who_had_the_turn_before_a_restart_has_it_again_and_takes_nobodys() -> None:
    of = queue("a-x-1", "a-x-2", "b-y-1")
    of.put_first(Ticket("b-z-1", "b", "z"))
    assert list(of.places()) == ["b-z-1", "a-x-1", "b-y-1", "a-x-2"]
    assert served(of) == ["b-z-1", "a-x-1", "b-y-1", "a-x-2"]
