"""Views of the stores: what they are known by, and what they are when the disk does not do as hoped."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builders.oci import view
from tests.fixtures.closures import Shelf, settle

if TYPE_CHECKING:
    from builders.oci.image import Recipe

ID, DIGEST = (f"sha256:{digit * 64}" for digit in "ab")


def environment(shelf: Shelf) -> Recipe:
    low = shelf.add("low", {"empty": b"", "text": b"text"})
    middle = shelf.add("middle", {"text": b"text"}, [low], store="gnu")
    high = shelf.add("high", {"text": b"text"}, [middle])
    alone = shelf.add("alone", {"": b"text"})
    shelf.note(high, [middle, high])
    settle(shelf.stores, os.getuid())
    return shelf.recipe(root=[high], first=[alone])


def test_it_is_found_by_its_image_and_by_what_was_pushed(shelf: Shelf) -> None:
    recipe = environment(shelf)
    assert view.find(shelf.stores, ID) is None
    view.make(recipe, ID)
    view.make(recipe, ID)
    found = view.find(shelf.stores, ID)
    assert found is not None
    assert found.mounts == {"/nix": f"{found.folder}/nix", "/gnu": f"{found.folder}/gnu"}
    assert [path.partition("-")[2] for path in found.roots] == ["alone", "high"]
    assert view.find(shelf.stores, f"host/env@{DIGEST}") is None
    view.call(shelf.stores, ID, DIGEST)
    view.call(shelf.stores, ID, DIGEST)
    assert view.find(shelf.stores, f"host/env@{DIGEST}") == found
    view.call(shelf.stores, f"sha256:{'c' * 64}", f"sha256:{'d' * 64}")
    assert sorted(path.name for path in (shelf.stores / view.VIEWS).iterdir()) == ["a" * 64, "b" * 64]


@pytest.mark.parametrize(
    "image", ["", "sha256:../../../etc", f"{ID}/..", "name", f"host/env@{ID}@x", f"host/env@{ID.upper()}", f"{ID}\n"]
)
def test_what_is_no_image_has_none(shelf: Shelf, image: str) -> None:
    view.make(environment(shelf), ID)
    assert view.find(shelf.stores, image) is None


@pytest.mark.parametrize(
    "about",
    [
        "",
        "[]",
        "{}",
        '{"engine_id": "sha256:../..", "roots": []}',
        f'{{"engine_id": "sha256:{"c" * 64}", "roots": []}}',
        f'{{"engine_id": "{ID}", "roots": ["/etc"]}}',
        f'{{"engine_id": "{ID}", "roots": 1}}',
    ],
)
def test_one_whose_description_is_damaged_is_none(shelf: Shelf, about: str) -> None:
    view.make(environment(shelf), ID)
    (shelf.stores / view.VIEWS / ("a" * 64) / "about.json").write_text(about)
    assert view.find(shelf.stores, ID) is None


def test_another_closure_another_image(shelf: Shelf) -> None:
    recipe = environment(shelf)
    label = view.without_closure(recipe).labels[view.LABEL]
    assert view.without_closure(environment(shelf)).labels[view.LABEL] == label
    more = shelf.add("more", {"text": b"text"})
    others = (replace(recipe, closure=shelf.closure()), replace(recipe, root=frozenset([more])))
    assert label not in {view.without_closure(one).labels[view.LABEL] for one in others}
    assert not view.without_closure(recipe).closure.paths


def test_a_file_that_can_have_no_more_names_is_copied(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = environment(shelf)
    link = os.link

    def full(source: Any, target: Any, **more: Any) -> None:
        if source.endswith(b"empty"):
            raise OSError(errno.EMLINK, "Too many links")
        link(source, target, **more)

    monkeypatch.setattr(os, "link", full)
    view.make(recipe, ID)
    (low,) = (path for path in recipe.closure.paths if path.endswith("-low"))
    folder = shelf.stores / view.VIEWS / ("a" * 64)
    empty, text = (folder / low[1:] / name for name in ("empty", "text"))
    assert (empty.stat().st_nlink, empty.stat().st_mode & 0o7777, empty.stat().st_mtime) == (1, 0o444, 1)
    assert text.stat().st_nlink == 2


def test_a_disk_without_such_names_has_no_view_and_nothing_is_left(shelf: Shelf) -> None:
    """Another disk: the file system in memory that every Linux has."""
    other = Path("/dev/shm") / f"repolaunch-test-{os.getpid()}"  # noqa: S108  # another disk is the point
    other.mkdir()
    try:
        recipe = environment(shelf)
        (shelf.stores / view.VIEWS).symlink_to(other)
        with pytest.raises(OSError, match="ross-device") as raised:
            view.make(recipe, ID)
        assert raised.value.errno in view.IMPOSSIBLE
        assert not list(other.iterdir())
    finally:
        other.rmdir()
