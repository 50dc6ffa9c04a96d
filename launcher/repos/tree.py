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
    """A file of a commit; `size` is 0 for a submodule."""

    mode: str
    size: int
    path: str


def read_listing(listed: str) -> list[Entry]:
    """Read what `git ls-tree -r -l -z` prints."""
    entries = []
    for line in listed.split("\0"):
        facts, tab, path = line.partition("\t")
        if tab:
            mode, _, _, size = facts.split()
            entries.append(Entry(mode, int(size) if size.isdigit() else 0, path))
    return entries


def unfit(path: str) -> str:
    """Why a file of that name must not be written, or `""`. Git refuses most of these too; twice is right here."""
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "." in parts or "" in parts:
        return "its name climbs out of the repository"
    if any(part.casefold().rstrip(" .") in {".git", "git~1"} for part in parts):
        return "its name is that of git's own folder"
    return ""


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
    return not target.is_relative_to(root) or target.is_relative_to(root / ".git")


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
