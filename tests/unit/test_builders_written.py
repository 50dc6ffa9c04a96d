"""What counts as written: what an image would hold, each file once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from builders.written import size

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20


def test_a_hole_counts_as_an_image_has_it(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(8_800_000_000)
    assert size([tmp_path / "sparse"]) == 8_800_000_000
    assert 0 <= size([tmp_path]) - 8_800_000_000 < MIB
    assert size([tmp_path / "none"]) == 0


def test_a_file_with_several_names_is_written_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "file").write_bytes(os.urandom(MIB))
    os.link(tmp_path / "one" / "file", tmp_path / "one" / "again")
    os.link(tmp_path / "one" / "file", tmp_path / "two" / "third")
    assert MIB <= size([tmp_path / "one", tmp_path / "two"]) < 2 * MIB
