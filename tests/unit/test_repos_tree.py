"""What of a commit's tree could harm, once it is on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.repos.tree import is_empty_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "inside, empty",
    [
        ("empty", True),
        ("folder/empty", True),
        ("folder", False),
        ("file", False),
        ("nothing", False),
        ("link", False),
        ("link/empty", False),
        ("inner", False),
    ],
)
def test_an_empty_folder_that_no_link_leads_to(tmp_path: Path, inside: str, *, empty: bool) -> None:
    """Where a submodule may be put. `link` leads out of the checkout, `inner` to an empty folder in it."""
    root = tmp_path / "root"
    for path in (root / "empty", root / "folder" / "empty", tmp_path / "outside" / "empty"):
        path.mkdir(parents=True)
    (root / "file").touch()
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "inner").symlink_to("empty")
    assert is_empty_folder(root, inside) is empty
