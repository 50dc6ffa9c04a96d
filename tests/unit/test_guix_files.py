"""Which files declare a Guix environment: each layout, and what is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builders.errors import EnvironmentBroken, EnvironmentConflict
from builders.guix.builder import Guix
from builders.guix.files import GuixFiles, look
from builders.interface import Grounded

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize("folder", ["", "binder/", ".binder/"])
@pytest.mark.parametrize("environment", ["manifest.scm", "guix.scm"])
@pytest.mark.parametrize("channels", ["channels.scm", ""])
def test_each_layout(tmp_path: Path, folder: str, environment: str, channels: str) -> None:
    names = [f"{folder}{name}" for name in (environment, channels) if name]
    found = look(write(tmp_path, *names))
    assert found == GuixFiles(f"{folder}{environment}", f"{folder}{channels}" if channels else "")
    assert found.is_package == (environment == "guix.scm")
    assert found.evidence == tuple(sorted(names))


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["channels.scm"],
        ["binder/channels.scm"],
        ["binder/README", "manifest.scm"],
        ["environment/manifest.scm"],
        ["Manifest.scm", "manifest.txt"],
    ],
)
def test_none(tmp_path: Path, names: list[str]) -> None:
    assert look(write(tmp_path, *names)) is None


@pytest.mark.parametrize(
    "names,found",
    [
        (["manifest.scm", "guix.scm"], ("guix.scm", "manifest.scm")),
        (["binder/manifest.scm", "binder/guix.scm"], ("binder/guix.scm", "binder/manifest.scm")),
        (["binder/manifest.scm", ".binder/manifest.scm"], ("binder/", ".binder/")),
    ],
)
def test_several_are_a_conflict(tmp_path: Path, names: list[str], found: tuple[str, ...]) -> None:
    with pytest.raises(EnvironmentConflict) as caught:
        look(write(tmp_path, *names))
    assert caught.value.found == found


def test_a_folder_selects(tmp_path: Path) -> None:
    found = look(write(tmp_path, "binder/guix.scm", "guix.scm", "manifest.scm", "channels.scm"))
    assert found == GuixFiles("binder/guix.scm")


@pytest.mark.parametrize("name", ["manifest.scm", "channels.scm"])
@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "nowhere", "folder"])
def test_a_link_that_leads_elsewhere_is_broken(tmp_path: Path, name: str, target: str) -> None:
    (tmp_path / "secret").write_text("x")
    repository = tmp_path / "repository"
    write(repository, "folder/file", *({"manifest.scm", "channels.scm"} - {name}))
    (repository / name).symlink_to(target)
    with pytest.raises(EnvironmentBroken) as caught:
        look(repository)
    assert caught.value.path == name


async def test_what_is_remembered_of_a_tree_ends_when_the_site_chooses_other_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPOLAUNCH_STORES", str(tmp_path))
    builder = Guix()
    assert isinstance(builder, Grounded)
    before = await builder.ground()
    assert await builder.ground() == before
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "channels.scm").write_text("(list)")
    chosen = await builder.ground()
    (tmp_path / "site" / "channels.scm").write_text("(list )")
    assert len({before, chosen, await builder.ground()}) == 3
