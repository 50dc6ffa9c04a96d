"""What is in a commit's tree, and what of it could harm."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

DECLARATION_FOLDERS = ("binder", ".binder")
DECLARATIONS = frozenset(
    {
        *("Dockerfile", "environment.yml", "environment.yaml", "requirements.txt", "constraints.txt", "apt.txt"),
        *("postBuild", "preBuild", "start", "runtime.txt", "setup.py", "setup.cfg", "pyproject.toml", "Pipfile"),
        *("Pipfile.lock", "poetry.lock", "pixi.toml", "pixi.lock", "conda-lock.yml", "install.R", "DESCRIPTION"),
        *("Project.toml", "Manifest.toml", "JuliaProject.toml", "REQUIRE", "default.nix", "shell.nix", "flake.nix"),
        *("flake.lock", "manifest.scm", "channels.scm"),
    }
)
"""Files at a repository's root that some builder reads."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a commit; `size` is 0 for a submodule, whose `id` is a commit's."""

    mode: str
    id: str
    size: int
    path: str


def read_listing(listed: str) -> list[Entry]:
    """Read what `git ls-tree -r -l -z` prints."""
    entries = []
    for line in listed.split("\0"):
        facts, tab, path = line.partition("\t")
        if tab:
            mode, _, object_id, size = facts.split()
            entries.append(Entry(mode, object_id, int(size) if size.isdigit() else 0, path))
    return entries


def unfit(path: str) -> str:
    """Why a file of that name must not be written, or `""`. Git refuses most of these too; twice is right here."""
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "." in parts or "" in parts:
        return "its name climbs out of the repository"
    if any(part.casefold().rstrip(" .") in {".git", "git~1"} for part in parts):
        return "its name is that of git's own folder"
    return ""


def twice(entries: list[Entry]) -> str:
    """A path that a tree has twice, or as a file and as a folder, or `""`. No honest tree has one.

    With a link in the place of a folder, what is written below it would be written elsewhere.
    """
    names: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        if entry.path in names:
            return entry.path
        names.add(entry.path)
        folder = entry.path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return next(iter(names & folders), "")


def is_empty_folder(root: Path, inside: str) -> bool:
    """Whether `inside` is an empty folder that is reached from `root` through folders alone, not through a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(root, flags)
    try:
        for part in inside.split("/"):
            inner = os.open(part, flags, dir_fd=fd)
            os.close(fd)
            fd = inner
        with os.scandir(fd) as found:
            return next(found, None) is None
    except OSError:
        return False
    finally:
        os.close(fd)


def shown(path: str) -> str:
    """A path for people: no byte that is no text, not endless."""
    return path.encode("utf-8", "replace").decode()[:200]


def escaping_declaration(checkout: Path) -> str:
    """The first file that declares an environment and is a link that leads out of the checkout, or `""`.

    Other links may point where they like: nobody follows them outside a container.
    """
    root = checkout.resolve()
    candidates = [checkout / name for name in sorted((*DECLARATION_FOLDERS, *DECLARATIONS))]
    for name in DECLARATION_FOLDERS:
        for folder, folders, files in os.walk(checkout / name, followlinks=False):
            candidates += [Path(folder, one) for one in sorted(folders + files)]
    for candidate in candidates:
        if _leads_out(candidate, root):
            return str(candidate.relative_to(checkout))
    return ""


def _leads_out(path: Path, root: Path) -> bool:
    if not path.is_symlink():
        return False
    try:
        target = path.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        return True
    return not target.is_relative_to(root) or ".git" in target.relative_to(root).parts


def size(folder: Path) -> int:
    """Bytes of all files below; what vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                found = os.lstat(os.path.join(parent, name))  # noqa: PTH118  # called often, on many files
            except OSError:
                continue
            total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total
