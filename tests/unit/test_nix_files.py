"""Which file declares a Nix environment: each layout, and what is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builders.errors import EnvironmentBroken, EnvironmentConflict
from builders.nix.files import NixFiles, look

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize("folder", ["", "binder/", ".binder/"])
@pytest.mark.parametrize("names", [["flake.nix", "flake.lock"], ["flake.nix"], ["default.nix"], ["shell.nix"]])
def test_each_layout(tmp_path: Path, folder: str, names: list[str]) -> None:
    found = look(write(tmp_path, *(f"{folder}{name}" for name in names)))
    assert found == NixFiles(*(f"{folder}{name}" for name in names))
    assert found.is_flake == ("flake.nix" in names)
    assert found.folder == folder
    assert found.evidence == tuple(sorted(f"{folder}{name}" for name in names))


@pytest.mark.parametrize("beside", [["default.nix"], ["shell.nix"], ["default.nix", "shell.nix"]])
def test_a_flake_is_what_the_others_read(tmp_path: Path, beside: list[str]) -> None:
    found = look(write(tmp_path, "flake.nix", "flake.lock", *beside))
    assert found == NixFiles("flake.nix", "flake.lock")


@pytest.mark.parametrize(
    "names", [[], ["flake.lock"], ["binder/README", "flake.nix"], ["nix/default.nix"], ["Default.nix", "shells.nix"]]
)
def test_none(tmp_path: Path, names: list[str]) -> None:
    assert look(write(tmp_path, *names)) is None


@pytest.mark.parametrize(
    "names,found",
    [
        (["default.nix", "shell.nix"], ("default.nix", "shell.nix")),
        (["binder/default.nix", "binder/shell.nix"], ("binder/default.nix", "binder/shell.nix")),
        (["binder/flake.nix", ".binder/flake.nix"], ("binder/", ".binder/")),
    ],
)
def test_several_are_a_conflict(tmp_path: Path, names: list[str], found: tuple[str, ...]) -> None:
    with pytest.raises(EnvironmentConflict) as caught:
        look(write(tmp_path, *names))
    assert caught.value.found == found


def test_a_folder_selects(tmp_path: Path) -> None:
    assert look(write(tmp_path, "binder/shell.nix", "flake.nix", "default.nix")) == NixFiles("binder/shell.nix")


def test_a_link_that_leads_elsewhere_is_broken(tmp_path: Path) -> None:
    (tmp_path / "default.nix").symlink_to("/etc/passwd")
    with pytest.raises(EnvironmentBroken) as caught:
        look(tmp_path)
    assert caught.value.path == "default.nix"
