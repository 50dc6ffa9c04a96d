"""The environment key: a digest of exactly what an image depends on. Equal key, same image.

What it depends on is for each builder to say: the whole tree (its git tree id where there is a git checkout), the
evidence files, or what evaluating the declaration gave.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from builders import git
from builders.folders import within
from builders.process import ProgramMissing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builders.interface import Declaration

FORM = 2
"""Number of the canonical form below: change it and every key changes."""
_GIT_S = 30


def environment_key(inputs: str, *, builder: str, version: str, platform: str, space: str = "") -> str:
    """64 hexadecimal digits; `inputs` is the builder's own `Inputs.digest`.

    `space`: namespace of a private repository, whose keys are equal to no other's; `""`: everybody's.
    """
    form = {"form": FORM, "builder": builder, "version": version, "platform": platform, "inputs": inputs}
    form |= {"space": space} if space else {}
    return hashlib.sha256(json.dumps(form, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


async def declared_files(directory: Path, declared: Declaration) -> str:
    """The digest of a declaration whose build sees files and nothing else. Raises EnvironmentBroken."""
    return await tree_id(directory) if declared.whole_tree else contents_digest(directory, declared.evidence)


async def tree_id(directory: Path) -> str:
    """`git:<tree id>` of a checkout's commit, whose files the caller promises to be these; else `files:<digest>`.

    With submodules whose files are there, their trees count too: `git:<tree id>+<digest>`; with large files of Git LFS,
    which the caller promises to be whole: `git:<tree id>+lfs`.
    """
    tree = await _git(directory, "rev-parse", "--verify", "--quiet", "HEAD^{tree}")
    if not tree:
        return f"files:{files_digest(directory, sorted(_files(directory)))}"
    inner = [(path, await tree_id(directory / path)) for path in await _submodules(directory)]
    lines = "".join(f"{path}\0{one}\0" for path, one in inner)
    digest = hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()
    large = await _git(directory, "ls-files", "-z", "--", ":(attr:filter=lfs)")
    return f"git:{tree.strip()}" + (f"+{digest}" if inner else "") + ("+lfs" if large else "")


async def _submodules(directory: Path) -> list[str]:
    """The paths of those that are checked out, in git's order."""
    if not (directory / ".gitmodules").is_file():
        return []
    listed = await _git(directory, "ls-files", "--stage", "-z")
    lines = (line.partition("\t") for line in listed.split("\0"))
    return [path for facts, _, path in lines if facts.startswith("160000 ") and (directory / path / ".git").is_dir()]


async def _git(directory: Path, *arguments: str) -> str:
    """What git prints; `""` where there is no git, or no repository of it."""
    if not (directory / ".git").exists():
        return ""
    try:
        status, text = await git.said(directory, *arguments, limit_s=_GIT_S)
    except ProgramMissing:
        return ""
    return text if status == 0 else ""


def files_digest(directory: Path, names: tuple[str, ...] | list[str]) -> str:
    """Digest of files' names, kinds, executable bits and bytes, in the order of `names`."""
    whole = hashlib.sha256()
    for name in names:
        path = directory / name
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            kind, content = "link", os.fsencode(path.readlink())
            body = hashlib.sha256(content).hexdigest()
        else:
            kind = "program" if mode & stat.S_IXUSR else "file"
            with path.open("rb") as file:
                body = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{kind} {body} {len(os.fsencode(name))} ".encode() + os.fsencode(name))
    return whole.hexdigest()


def contents_digest(directory: Path, names: Iterable[str]) -> str:
    """Digest of files' names, executable bits and bytes, whatever their order; links are followed.

    Raises EnvironmentBroken.
    """
    whole = hashlib.sha256()
    for name in sorted(names):
        path = within(directory, name)
        kind = "program" if path.stat().st_mode & stat.S_IXUSR else "file"
        with path.open("rb") as file:
            body = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{kind} {body} {len(os.fsencode(name))} ".encode() + os.fsencode(name))
    return whole.hexdigest()


def _files(directory: Path) -> Iterator[str]:
    """Every file and link below a directory, relative to it, without git's own."""
    for folder, folders, files in os.walk(directory):
        here = Path(folder)
        if here == directory and ".git" in folders:
            folders.remove(".git")
        links = [name for name in folders if (here / name).is_symlink()]
        for name in [*files, *links]:
            yield str((here / name).relative_to(directory))
