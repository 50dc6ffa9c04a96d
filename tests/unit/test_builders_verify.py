"""Stores that last for one comparison."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from builders.interface import Workshop
from builders.verify import FOLDER, LEFT_S, fresh

if TYPE_CHECKING:
    from pathlib import Path


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
