"""Stores that last for one comparison, and what is said of what differs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from builders.ending import status, told
from builders.errors import EngineDown
from builders.interface import Workshop
from builders.lines import Known, Verified
from builders.verify import FOLDER, LEFT_S, MOST_NAMED, evaluated, fresh
from tests.fixtures.closures import store_path

if TYPE_CHECKING:
    from pathlib import Path

    from builders.lines import Line


def test_they_are_gone_afterwards_and_so_is_what_a_killed_one_left(tmp_path: Path) -> None:
    now = time.time()
    for name, age in {"killed": LEFT_S + 60, "under way": 60}.items():
        closed = tmp_path / FOLDER / name / "nix" / "closed"
        closed.mkdir(parents=True)
        (closed / "x").write_text("x")
        closed.chmod(0o555)
        os.utime(tmp_path / FOLDER / name, (now - age, now - age))
    with fresh(Workshop(tmp_path), now) as own:
        assert own.stores.is_dir()
        assert {one.name for one in (tmp_path / FOLDER).iterdir()} == {"under way", own.stores.name}
        (own.stores / "nix").mkdir(mode=0o555)
    assert [one.name for one in (tmp_path / FOLDER).iterdir()] == ["under way"]


def derivation(name: str, salt: str) -> str:
    return f"{store_path(f'{name}.drv', salt)}^out"


def test_every_input_that_differs_is_named() -> None:
    """What is alike on both sides is not; what only moved is."""
    old, new = derivation("tool", "old"), derivation("tool", "new")
    same, gone, more = derivation("kernel", ""), derivation("gone", ""), derivation("more", "")
    other, another = derivation("data", "old"), derivation("data", "new")
    begins = "what is evaluated is another thing: "
    assert evaluated(f"packages {same} {new} {another} {more}", f"packages {old} {same} {gone} {other}") == (
        f"{begins}tool was {old}, and is {new}; gone was {gone}, and is gone; data was {other}, and is {another}; "
        f"more is new: {more}"
    )
    assert evaluated(f"shell {same}", f"packages {same}") == f"{begins}it was packages, and is shell"
    assert evaluated(f"{same} {old}", f"{old} {same}") == f"{begins}it was {old} {same}, and is {same} {old}"
    names = [derivation(f"p{number}", "") for number in range(MOST_NAMED + 3)]
    assert evaluated("", " ".join(names)).endswith(
        f"p{MOST_NAMED - 1} was {names[MOST_NAMED - 1]}, and is gone; and 3 more"
    )


@pytest.mark.parametrize(
    "line,expected",
    [
        (Verified("identical", ""), 0),
        (Verified("different", "the layer x"), 1),
        (Verified("not-comparable", "it is not pinned"), 1),
        (told(EngineDown("x")), 1),
        (Known(""), 0),
    ],
)
def test_the_exit_status_of_an_answer(line: Line, expected: int) -> None:
    assert status(line) == expected
