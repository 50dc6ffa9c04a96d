"""The folders and files of a pair of containers (builders/sandbox.py): the stores, and `<stores>/run/<id>`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
import tomllib
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

RUN = "run"
"""In the stores: the folders of pairs."""
DAEMON, WORK, SOURCE, PASSWD, SECCOMP = "daemon", "work", "source", "passwd", "seccomp.json"
"""In a pair's: the daemon's socket, its room, the author's files, accounts, and what the daemon may ask the kernel."""
_LOCK = "lock"
_OLD_S = 600
_DAEMON_UID = 1000
_UNLISTED = 0o711
_TABLE = Path(__file__).with_name("sandbox.toml")


def owner() -> int:
    """The uid of the daemon and the store: never root's; the evaluator's is one more."""
    return os.getuid() or _DAEMON_UID


def prepare(stores: Iterable[Path], folder: Path) -> IO[str]:
    """Make the folders, and remove those of killed builders; what is given back holds them until it is closed."""
    uid = owner()
    folder.mkdir(parents=True)
    held = (folder / _LOCK).open("w")
    fcntl.flock(held, fcntl.LOCK_EX)
    _sweep(folder.parent)
    folders((*stores, *(folder / name for name in (DAEMON, WORK))), uid)
    folders((folder / SOURCE,), None)
    accounts = {"root": 0, "daemon": uid, "evaluator": uid + 1}
    lines = (f"{name}:x:{number}:{number}::/tmp:/bin/sh\n" for name, number in accounts.items())
    (folder / PASSWD).write_text("".join(lines), "utf-8")
    (folder / PASSWD).chmod(0o644)
    (folder / SECCOMP).write_text(profile(), "utf-8")
    return held


def folders(paths: Iterable[Path], uid: int | None) -> None:
    """Make those that are missing; `uid`: whose they are, where that can be had."""
    for path in paths:
        if not path.exists():
            path.mkdir(parents=True, exist_ok=True)  # two may begin at once
            path.chmod(0o755)  # whatever our umask is
            if uid is not None and os.getuid() == 0:
                os.chown(path, uid, uid)


def unlist(paths: Iterable[Path]) -> None:
    """Let nobody but the daemon list these folders; they are made if they are missing."""
    for path in paths:
        folders((path,), owner())
        if path.stat().st_mode & 0o777 != _UNLISTED:
            path.chmod(_UNLISTED)


@cache
def profile() -> str:
    """The seccomp profile of the daemon's container, as the engine reads it."""
    with _TABLE.open("rb") as file:
        closed = [call for line in tomllib.load(file)["closed"] for call in line["calls"].split()]
    native = {"SCMP_ARCH_X86_64": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"], "SCMP_ARCH_AARCH64": ["SCMP_ARCH_ARM"]}
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "archMap": [{"architecture": one, "subArchitectures": others} for one, others in native.items()],
            "syscalls": [{"names": closed, "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM}],
        }
    )


def remove(folder: Path) -> None:
    """Also what a step has made unreadable."""
    for path, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(path).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(run: Path) -> None:
    """Remove what killed builders have left; one that lives holds its lock."""
    for folder in run.iterdir():
        with contextlib.suppress(OSError):
            # A young one may not have its lock yet.
            if time.time() - folder.stat().st_mtime > _OLD_S:
                with (folder / _LOCK).open("w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove(folder)
