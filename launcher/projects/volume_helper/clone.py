"""A clone of a shared checkout, for the price of one git process.

`git clone` takes six processes and 45 ms for a small repository; copying the object store, writing a configuration
of our own and one `git read-tree -u` take 7. Nothing that a stranger could have configured is copied: no hooks, no
filters, no alternates, no templates. git itself runs as the session's user.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .folders import SESSION_USER, Refusal, copy_file, folder, make_folder, names, read_small, taken, write_file

if TYPE_CHECKING:
    from .parts import Module

STORE = re.compile(r"(?:[0-9a-f]{2}|pack)\Z")
# git-check-ref-format(1); such a name could add a line to the files that it is written to.
FORBIDDEN_IN_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|\Z)|\A[-./]|[./]\Z")
SECONDS = 600
"""How long one git process may take."""
GIT = (
    "git",
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.logAllRefUpdates=false"),
    *("-c", "protocol.allow=never"),
)
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    # Naming both spares git the search for them, and the question whose they are.
    "GIT_DIR": ".git",
    "GIT_WORK_TREE": ".",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A repository at a commit: the workspace's own, or a submodule of it."""

    url: str
    commit: str
    modules: tuple[Module, ...] = ()
    """Its submodules that are there."""
    large: tuple[str, ...] = ()
    """Its files of Git LFS that are there."""


def make_git_folder(repository: Source, checkout: int, work: int) -> None:
    """Write `.git` in the open folder `work`: the checkout's objects, our own everything else."""
    make_folder(".git", below=work)
    with folder([".git"], below=checkout) as source, folder([".git"], below=work) as target:
        _copy_objects(source, target)
        if taken("shallow", below=source):
            copy_file("shallow", source, target)
        branch = _branch_of(read_small("HEAD", below=source))
        make_folder("refs", below=target)
        write_file("HEAD", f"ref: refs/heads/{branch}\n" if branch else f"{repository.commit}\n", below=target)
        if branch:
            known = [f"refs/heads/{branch}", f"refs/remotes/origin/{branch}"]
            write_file("packed-refs", "".join(f"{repository.commit} {name}\n" for name in known), below=target)
        write_file("config", configuration(repository, branch), below=target)


def fill(commit: str, work: str) -> None:
    """Write the commit's files, and the index, into a work tree that holds `.git` alone."""
    code, said = _git(("read-tree", "-u", "--reset", commit), work)
    if code != 0:
        raise _failure(said)


def adopt(commit: str, work: str, options: tuple[str, ...] = ()) -> bool:
    """Make the index for files that are there already; False when they are not the commit's.

    `options`: of git, for large files (`large.filter_options`).
    """
    code, said = _git(("read-tree", "--reset", commit), work)
    if code != 0:
        raise _failure(said)
    # Without -q it ends with 1 when a file of the commit is missing or differs.
    code, said = _git((*options, "update-index", "--ignore-submodules", "--refresh"), work)
    if code not in (0, 1):
        raise _failure(said)
    return code == 0


def configuration(source: Source, branch: str) -> str:
    """The text of `.git/config`."""
    sha1 = len(source.commit) == 40  # noqa: PLR2004 - hexadecimal digits of a SHA-1
    lines = [
        "[core]",
        f"\trepositoryformatversion = {0 if sha1 else 1}",
        "\tfilemode = true",
        "\tbare = false",
        "\tlogallrefupdates = true",
        *([] if sha1 else ["[extensions]", "\tobjectformat = sha256"]),
        '[remote "origin"]',
        f"\turl = {_quoted(source.url)}",
        "\tfetch = +refs/heads/*:refs/remotes/origin/*",
    ]
    if branch:
        lines += [f"[branch {_quoted(branch)}]", "\tremote = origin", f"\tmerge = {_quoted('refs/heads/' + branch)}"]
    for module in source.modules:
        # As `git submodule init` leaves it: `git submodule update` then asks where we have asked.
        lines += [f"[submodule {_quoted(module.name)}]", "\tactive = true", f"\turl = {_quoted(module.url)}"]
    return "".join(f"{line}\n" for line in lines)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _branch_of(head: str) -> str:
    prefix = "ref: refs/heads/"
    if not head.startswith(prefix):
        return ""
    name = head.removeprefix(prefix).removesuffix("\n")
    if not name or FORBIDDEN_IN_BRANCH.search(name):
        raise Refusal("failed", "the checkout is on a branch whose name git could not have")
    return name


def _copy_objects(source: int, target: int) -> None:
    make_folder("objects", below=target)
    with folder(["objects"], below=source) as origin, folder(["objects"], below=target) as copy:
        if taken("info/alternates", below=origin):
            raise Refusal("failed", "the checkout borrows its objects from elsewhere")
        for name in names(origin):
            if STORE.match(name):
                make_folder(name, below=copy)
                with folder([name], below=origin) as inner, folder([name], below=copy) as made:
                    for entry in names(inner):
                        if not entry.startswith("tmp_"):
                            copy_file(entry, inner, made, 0o444)


def _git(arguments: tuple[str, ...], work: str) -> tuple[int, str]:
    """Run git as the session's user; its status and the end of what it said on standard error."""
    as_root = os.geteuid() == 0
    done = subprocess.run(
        # Root without the capability KILL cannot stop another user's process: `timeout` runs as that user and can.
        ["timeout", "-s", "KILL", str(SECONDS), *GIT, *arguments],
        cwd=work,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        user=SESSION_USER if as_root else None,
        group=SESSION_USER if as_root else None,
        extra_groups=[] if as_root else None,
        umask=0o022,
        check=False,
    )
    return done.returncode, done.stderr[-2000:].decode(errors="replace")


def _failure(said: str) -> Refusal:
    """What git's last words mean. They hold names of a stranger's files, so they are not passed on."""
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return Refusal("full", "the disk for workspaces is full")
    if "unable to write" in said:
        # For a large file git does not say why, and has removed it, so that there is room again.
        return Refusal("full", "the disk for workspaces is full, or failing")
    return Refusal("failed", "git could not write the repository's files")
