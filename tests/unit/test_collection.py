"""What is collected, for everything that might be held and used: properties, and the few cases that explain them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.builds.collection import LAST, ROOM, Goal, Going, Kept, Part, Plan, Room, Thing, plan, wanted
from launcher.marks import Mark, parse_mark

GB = 10**9


def image(name: str, used: float = 0.0) -> Thing:
    return Thing("registry", "image", name, used)


THINGS = st.lists(
    st.builds(
        Thing,
        st.sampled_from(("registry", "stores")),
        st.sampled_from(("image", "source", "environment")),
        st.text("abcdef", min_size=1, max_size=2),
        st.integers(0, 5).map(float),
    ),
    unique=True,
    max_size=12,
)


@st.composite
def held(draw: st.DrawFn) -> tuple[list[Thing], list[Part], dict[Thing, str], int]:
    """Things, what they share, why some are kept, and how much room is wanted."""
    things = draw(THINGS)
    some = st.frozensets(st.sampled_from(things), min_size=1) if things else st.just(frozenset())
    parts = draw(st.lists(st.builds(Part, st.integers(0, 100), some), max_size=12))
    used = draw(st.sets(st.sampled_from(things))) if things else set()
    return things, parts, dict.fromkeys(used, "a project uses it"), draw(st.integers(0, 400))


def collected(what: tuple[list[Thing], list[Part], dict[Thing, str], int]) -> Plan:
    things, parts, reasons, goal = what
    return plan(things, parts, lambda one: reasons.get(one, ""), Goal(goal))


def really_freed(parts: list[Part], gone: set[Thing]) -> int:
    return sum(part.size for part in parts if part.of and part.of <= gone)


# --------------------------------------------------------------------------- properties
@given(held())
def test_nothing_that_is_used_ever_goes_and_everything_is_either_kept_or_goes(
    what: tuple[list[Thing], list[Part], dict[Thing, str], int],
) -> None:
    made = collected(what)
    gone = {one.thing for one in made.going}
    assert gone.isdisjoint(what[2])
    assert {(one.thing, one.reason) for one in made.kept if one.reason != ROOM} == set(what[2].items())
    assert sorted(map(repr, [*gone, *(one.thing for one in made.kept)])) == sorted(map(repr, what[0]))


@given(held())
def test_it_stops_at_the_low_mark_and_not_before(
    what: tuple[list[Thing], list[Part], dict[Thing, str], int],
) -> None:
    made = collected(what)
    assert made.frees == really_freed(what[1], {one.thing for one in made.going})
    if made.going:
        assert made.frees - made.going[-1].frees < what[3]
    if made.frees < what[3]:
        assert all(one.thing in what[2] for one in made.kept)


@given(held())
def test_the_least_recently_launched_goes_first(what: tuple[list[Thing], list[Part], dict[Thing, str], int]) -> None:
    made = collected(what)
    times = [one.thing.used for one in made.going]
    assert times == sorted(times)
    if times:
        assert all(one.thing.used >= times[-1] for one in made.kept if one.reason == ROOM)


@given(held(), st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_told_does_not_matter(
    what: tuple[list[Thing], list[Part], dict[Thing, str], int],
    random: object,
) -> None:
    things, parts, reasons, goal = what
    shuffled = [list(things), list(parts)]
    for one in shuffled:
        getattr(random, "shuffle")(one)  # noqa: B009  # what hypothesis gives has no type of its own
    again: tuple[list[Thing], list[Part], dict[Thing, str], int] = (shuffled[0], shuffled[1], reasons, goal)  # type: ignore[assignment]  # as above
    assert collected(again) == collected(what)


@given(held())
def test_a_second_collection_finds_nothing_to_do(what: tuple[list[Thing], list[Part], dict[Thing, str], int]) -> None:
    things, parts, reasons, goal = what
    made = collected(what)
    gone = {one.thing for one in made.going}
    left = [Part(part.size, part.of - gone) for part in parts if part.of - gone]
    again = collected(([one for one in things if one not in gone], left, reasons, max(0, goal - made.frees)))
    assert again.going == ()


@given(held(), st.integers(0, 12))
def test_one_that_was_killed_in_the_midst_is_finished_by_the_next(
    what: tuple[list[Thing], list[Part], dict[Thing, str], int], done: int
) -> None:
    things, parts, reasons, goal = what
    made = collected(what)
    first = made.going[:done]
    gone = {one.thing for one in first}
    left = [Part(part.size, part.of - gone) for part in parts if part.of - gone]
    rest = collected(
        ([one for one in things if one not in gone], left, reasons, goal - sum(one.frees for one in first))
    )
    assert (*first, *rest.going) == made.going


# --------------------------------------------------------------------------- cases
def test_a_layer_goes_with_the_last_image_that_has_it() -> None:
    old, older, used = image("old", 2), image("older", 1), image("used")
    parts = [
        Part(10, frozenset({old, older})),
        Part(5, frozenset({older, used})),
        Part(1, frozenset({old})),
    ]
    made = plan([old, older, used], parts, lambda one: "a project uses it" if one is used else "", Goal(11))
    assert made.going == (Going(older, 0), Going(old, 11))
    assert made.kept == (Kept(used, "a project uses it"),)


def test_everything_that_is_not_used_goes_where_that_is_asked_for() -> None:
    things = [image("a"), image("b", 9)]
    made = plan(things, [Part(10, frozenset({things[0]}))], lambda _: "", Goal(every=True))
    assert [one.thing.name for one in made.going] == ["a", "b"]


def source(name: str, used: float, *, of: str = "x", is_last: bool = False) -> Thing:
    return Thing("registry", "source", name, used, source=of, commit=name, is_last=is_last)


def test_the_only_copy_of_a_commit_goes_after_all_else_and_only_for_want_of_room() -> None:
    copy, other, young = source("copy", 1, is_last=True), source("other", 2), image("young", 9)
    things = [copy, other, young]
    parts = [Part(10, frozenset({one})) for one in things]

    def going(goal: Goal) -> list[str]:
        return [one.thing.name for one in plan(things, parts, lambda _: "", goal).going]

    assert going(Goal(20)) == ["other", "young"]
    assert going(Goal(21)) == ["other", "young", "copy"]
    assert going(Goal(every=True)) == ["other", "young"]
    assert plan(things, parts, lambda _: "", Goal(every=True)).kept == (Kept(copy, LAST),)


def test_what_a_repository_has_archived_beyond_its_share_goes_first_whatever_room_there_is() -> None:
    mine = [source("old", 2), source("new", 4), source("linked", 1, is_last=True), source("newest", 5, is_last=True)]
    others = [source("another's", 0, of="y"), image("image", 0)]
    nothing = Part(2, frozenset([*mine, others[0]]))  # what all of them have
    parts = [nothing, *(Part(10, frozenset({one})) for one in [*mine, *others])]

    def going(share: int, used: str = "") -> list[str]:
        why = {used: "a project uses it"}
        made = plan([*mine, *others], parts, lambda one: why.get(one.name, ""), Goal(each_source=share))
        return [one.thing.name for one in made.going]

    assert going(42) == []
    assert going(41) == ["old"]
    assert going(22) == ["old", "new"]
    assert going(12) == ["old", "new", "linked"]
    assert going(1) == ["old", "new", "linked"]  # one stays, however large it is
    assert going(22, used="old") == ["new", "linked"]
    assert going(1, used="newest") == ["old", "new", "linked"]
    made = plan([*mine, *others], parts, lambda _: "", Goal(11, each_source=41))
    assert [one.thing.name for one in made.going] == ["old", "image"]


@pytest.mark.parametrize(
    "room, high, low, now, bytes_",
    [
        (Room(None, (80 * GB, 100 * GB)), "85%", "75%", False, 0),
        (Room(None, (90 * GB, 100 * GB)), "85%", "75%", False, 15 * GB),
        (Room(None, (80 * GB, 100 * GB)), "85%", "75%", True, 5 * GB),
        (Room(None, (70 * GB, 100 * GB)), "85%", "75%", True, 0),
        (Room(9 * GB, (90 * GB, 100 * GB)), str(8 * GB), str(6 * GB), False, 3 * GB),
        (Room(9 * GB), "85%", "75%", True, 0),
        (Room(None, (90 * GB, 100 * GB)), str(8 * GB), str(6 * GB), True, 0),
    ],
)
def test_how_much_room_is_wanted(room: Room, high: str, low: str, now: bool, bytes_: int) -> None:
    assert wanted(room, parse_mark(high), parse_mark(low), now=now) == bytes_


@pytest.mark.parametrize("text, mark", [("85%", Mark(85, percent=True)), (" 1000 ", Mark(1000, percent=False))])
def test_a_mark_is_read(text: str, mark: Mark) -> None:
    assert parse_mark(text) == mark
    assert parse_mark(str(mark)) == mark


@pytest.mark.parametrize("text", ["", "%", "101%", "-1", "1.5", "10GB", "²%"])
def test_what_is_no_mark_is_told_of_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="neither a number of bytes nor a percentage"):
        parse_mark(text)
