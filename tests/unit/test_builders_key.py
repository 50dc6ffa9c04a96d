"""Environment keys: equal key, same image."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from builders.interface import Declaration
from builders.key import declared_files, environment_key, files_digest, tree_id

if TYPE_CHECKING:
    from pathlib import Path

TREE = Declaration(("Dockerfile",), ("it may read any file",))
FILES = Declaration(("Dockerfile",))


async def key(folder: Path, declared: Declaration = TREE, **changed: str) -> str:
    about = {"builder": "b", "version": "1", "platform": "linux/amd64"} | changed
    inputs = await declared_files(folder, declared)
    return environment_key(inputs, builder=about["builder"], version=about["version"], platform=about["platform"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("a\n")
    return tmp_path


def commit(folder: Path, message: str) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "add", "-A"], check=True)
    subprocess.run(["git", "-C", str(folder), *who, "commit", "-q", "--allow-empty", "-m", message], check=True)


async def test_is_64_hexadecimal_digits_and_stays(folder: Path) -> None:
    first = await key(folder)
    assert len(first) == 64
    assert int(first, 16)
    assert await key(folder) == first


@pytest.mark.parametrize("changed", [{"builder": "c"}, {"version": "2"}, {"platform": "linux/arm64"}])
async def test_changes_with_builder_version_and_platform(folder: Path, changed: dict[str, str]) -> None:
    assert await key(folder, TREE, **changed) != await key(folder)


async def test_of_a_commit_is_its_trees(folder: Path) -> None:
    commit(folder, "one")
    first = await key(folder)
    assert (await tree_id(folder)).startswith("git:")
    commit(folder, "two, with the same files")
    assert await key(folder) == first
    (folder / "notes" / "a.txt").write_text("b\n")
    commit(folder, "three")
    assert await key(folder) != first


@pytest.mark.parametrize("change", ["bytes", "name", "executable", "link", "folder link"])
async def test_of_files_without_git_changes_with_any_of_them(folder: Path, change: str) -> None:
    first = await key(folder)
    note = folder / "notes" / "a.txt"
    match change:
        case "bytes":
            note.write_text("b\n")
        case "name":
            note.rename(folder / "notes" / "b.txt")
        case "executable":
            note.chmod(0o755)
        case "link":
            note.unlink()
            note.symlink_to("../Dockerfile")
        case _:
            (folder / "link").symlink_to("notes")
    assert await key(folder) != first


async def test_of_a_specification_sees_only_it(folder: Path) -> None:
    first = await key(folder, FILES)
    (folder / "notes" / "a.txt").write_text("b\n")
    assert await key(folder, FILES) == first
    (folder / "Dockerfile").write_text("FROM y\n")
    assert await key(folder, FILES) != first


def test_names_and_contents_cannot_be_shifted_into_one_another(folder: Path) -> None:
    (folder / "a").write_text("bc")
    (folder / "ab").write_text("c")
    assert files_digest(folder, ["a"]) != files_digest(folder, ["ab"])


async def test_submodules_count_where_their_files_are_there(folder: Path) -> None:
    commit(folder, "one")
    alone = await tree_id(folder)
    inner = folder / "libs/inner"
    inner.mkdir(parents=True)
    (inner / "f").write_text("1")
    commit(inner, "inner")
    (folder / ".gitmodules").write_text('[submodule "x"]\n\tpath = libs/inner\n\turl = ../inner\n')
    commit(folder, "two")
    full = await tree_id(folder)
    (inner / ".git").rename(folder / "hidden")
    empty = await tree_id(folder)
    (folder / "hidden").rename(inner / ".git")
    assert full == await tree_id(folder)
    assert len({alone, full, empty}) == 3
    assert full.startswith(f"{empty}+")


async def test_large_files_count_as_whole_ones(folder: Path) -> None:
    (folder / "a.bin").write_text("x")
    commit(folder, "one")
    assert not (await tree_id(folder)).endswith("+lfs")
    (folder / ".gitattributes").write_text("*.bin filter=lfs\n")
    commit(folder, "two")
    assert (await tree_id(folder)).endswith("+lfs")
