"""The environment key: a digest of exactly what an image depends on. Equal key, same image.

The declared inputs are either the whole tree (its git tree id where there is a git checkout) or the evidence files.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from builders.process import Command, ProgramMissing, output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builders.interface import Declaration

_FORM = 1
"""Number of the canonical form below: change it and every key changes."""
_GIT_S = 30


async def environment_key(directory: Path, declared: Declaration, *, builder: str, version: str, platform: str) -> str:
    """64 hexadecimal digits."""
    inputs = await tree_id(directory) if declared.whole_tree else files_digest(directory, declared.evidence)
    form = {
        "form": _FORM,
        "builder": builder,
        "version": version,
        "platform": platform,
        "evidence": list(declared.evidence),
        "inputs": inputs,
    }
    return hashlib.sha256(json.dumps(form, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


async def tree_id(directory: Path) -> str:
    """`git:<tree id>` of a checkout's commit, whose files the caller promises to be these; else `files:<digest>`."""
    if (directory / ".git").exists():
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            # The checkout may belong to another user of this machine; nothing in it is run by rev-parse.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        command = Command(("git", "-C", str(directory), "rev-parse", "--verify", "--quiet", "HEAD^{tree}"), env)
        try:
            status, text = await output(command, time_limit_s=_GIT_S)
        except ProgramMissing:
            status, text = 1, ""
        if status == 0:
            return f"git:{text.strip()}"
    return f"files:{files_digest(directory, sorted(_files(directory)))}"


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


def _files(directory: Path) -> Iterator[str]:
    """Every file and link below a directory, relative to it, without git's own."""
    for folder, folders, files in os.walk(directory):
        here = Path(folder)
        if here == directory and ".git" in folders:
            folders.remove(".git")
        links = [name for name in folders if (here / name).is_symlink()]
        for name in [*files, *links]:
            yield str((here / name).relative_to(directory))
