"""Labels out of what strangers write: few, those that come most, and none that is not everybody's."""

from __future__ import annotations

from launcher.web.names import COUNTED, LONGEST, OTHER, Names


def names(most: int) -> tuple[Names, list[str]]:
    gone: list[str] = []
    return Names(most, gone.append), gone


def test_the_first_ones_have_labels_and_the_rest_is_other() -> None:
    some, gone = names(2)
    assert [some.label(one, may_enter=True) for one in "aabbc"] == ["a", "a", "b", "b", OTHER]
    assert gone == []


def test_who_comes_more_often_takes_the_place_of_the_least() -> None:
    some, gone = names(2)
    for one in "aaabb":
        some.label(one, may_enter=True)
    assert [some.label("c", may_enter=True) for _ in range(3)] == [OTHER, OTHER, "c"]
    assert gone == ["b"]
    assert some.label("b", may_enter=True) == OTHER


def test_what_is_not_everybodys_is_never_shown() -> None:
    some, _ = names(9)
    assert [some.label("secret", may_enter=False) for _ in range(50)] == [OTHER] * 50
    some.label("open", may_enter=True)
    assert some.label("open", may_enter=False) == "open"  # it is known


def test_hostile_names_cost_little() -> None:
    some, _ = names(5)
    for _ in range(3):
        some.label("a class's", may_enter=True)
    shown = {some.label(f"https://evil.example/{n}", may_enter=True) for n in range(100_000)}
    assert len(shown) == 5  # four of them, and `other`
    assert len(some._seen) <= 5 * COUNTED + 1
    assert some.label("a class's", may_enter=True) == "a class's"
    assert some.label("x" * (LONGEST + 1), may_enter=True) == OTHER


def test_none_is_shown_where_that_is_wanted() -> None:
    some, _ = names(0)
    assert some.label("a", may_enter=True) == OTHER
