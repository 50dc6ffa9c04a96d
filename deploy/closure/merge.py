"""Merges store paths into one folder of links, $out; with $python into a Python environment of exactly those packages.

A folder that one path alone brings is one link. What two bring is taken from the first; folders are merged.
"""

import os
from pathlib import Path

OUT = Path(os.environ["out"])
NOT_MERGED = {"nix-support"}
REAL = {"", "bin", "etc", "etc/jupyter", "share", "share/jupyter"}
"""Always folders, so that what follows can add to them, and what searches there need not follow a link."""


def merge(sources: list[Path], without: set[str]) -> None:
    """Link all that the sources hold, but `without`, into $out."""
    _merge(sources, "", without)


def _merge(sources: list[Path], inside: str, without: set[str]) -> None:
    (OUT / inside).mkdir(parents=True, exist_ok=True)
    entries: dict[str, list[Path]] = {}
    for source in sources:
        for entry in sorted(source.iterdir()):
            entries.setdefault(entry.name, []).append(entry)
    for name, found in sorted(entries.items()):
        place = f"{inside}/{name}".lstrip("/")
        if place in without or (not inside and name in NOT_MERGED):
            continue
        folders = [path for path in found if path.is_dir()]
        part_of_it_goes = any(each.startswith(f"{place}/") for each in without)
        if folders and found[0].is_dir() and (len(folders) > 1 or place in REAL or part_of_it_goes):
            _merge(folders, place, without)
        else:
            (OUT / place).symlink_to(found[0])


def make_python(python: Path, version: str) -> None:
    """A virtual environment of what was merged: its interpreter, and the scripts that name it."""
    programs = OUT / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("python", "python3", f"python{version}"):
        (programs / name).unlink(missing_ok=True)
        (programs / name).symlink_to(python / "bin" / f"python{version}")
    (OUT / "pyvenv.cfg").write_text(f"home = {python}/bin\ninclude-system-site-packages = false\nversion = {version}\n")
    for script in sorted(programs.iterdir()):
        _adopt(script, python)


def _adopt(script: Path, python: Path) -> None:
    """A script that names the bare Python runs with the environment's."""
    if not script.is_file():
        return
    with script.open("rb") as opened:
        if opened.read(2) != b"#!":
            return
    first, end, rest = script.read_bytes().partition(b"\n")
    bare = f"{python}/bin/python3".encode()
    if bare not in first:
        return
    script.unlink()
    script.write_bytes(first.replace(bare, f"{OUT}/bin/python3".encode()) + end + rest)
    script.chmod(0o755)


def main() -> None:
    merge([Path(path) for path in os.environ["paths"].split()], set(os.environ["without"].split()))
    if python := os.environ["python"]:
        make_python(Path(python), os.environ["version"])


main()
