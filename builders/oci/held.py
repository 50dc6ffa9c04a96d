"""Which sessions use which view: a garbage-collector root for each, in the stores themselves.

`<gcroots>/repolaunch-session/<container>/<installation>.<view>.<n>` is a link to a store path, so a collection by the
store's own tools keeps what a session runs on; the container is the session's. Made before the container starts, and
removed by `builders/views.py` when the engine has no such container any more, or one that has ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builders.oci.view import VIEWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from builders.oci.view import View

SESSIONS = "repolaunch-session"
_ROOTS = {"nix": "nix/var/nix/gcroots", "gnu": "gnu/var/gcroots"}
_LOCK = ".lock"


def prepare(stores: Path) -> None:
    """Make the folders for these roots: whoever holds views needs no right to anything else in the stores.

    Blocks. Raises OSError.
    """
    for name in _ROOTS:
        if (stores / name / "store").is_dir():
            _sessions(stores, name)


def hold(view: View, container: str, installation: str) -> bool:
    """Keep a view, and what it shows in the stores, for as long as a container lives. False: it is gone.

    Blocks. Raises OSError.
    """
    stores = view.stores
    if not stores.is_dir():
        return False
    with changing(stores, alone=False):
        for number, path in enumerate(view.roots):
            folder = _sessions(stores, path.split("/")[1]) / container
            _make(folder)
            link = folder / f"{installation}.{view.folder.name}.{number}"
            link.unlink(missing_ok=True)
            link.symlink_to(path)
        return view.folder.is_dir()


def held(stores: Path) -> Mapping[str, frozenset[tuple[str, str]]]:
    """For each container the installations and the views that it was noted with."""
    found = defaultdict(set)
    for place in _ROOTS.values():
        for folder in _in(stores / place / SESSIONS):
            for link in _in(folder):
                installation, _, view = link.name.rpartition(".")[0].partition(".")
                found[folder.name].add((installation, view))
    return {container: frozenset(each) for container, each in found.items()}


def release(stores: Path, container: str) -> None:
    """Forget a container."""
    for place in _ROOTS.values():
        shutil.rmtree(stores / place / SESSIONS / container, ignore_errors=True)


def _sessions(stores: Path, name: str) -> Path:
    folder = stores / _ROOTS[name] / SESSIONS
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _make(folder)
    return folder


def _make(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # whatever our umask is: the store's daemon has to find it


def _in(folder: Path) -> list[Path]:
    """What is in a folder, which may be gone."""
    with contextlib.suppress(FileNotFoundError):
        return list(folder.iterdir())
    return []


@contextmanager
def changing(stores: Path, *, alone: bool) -> Iterator[None]:
    """While one holds views, nobody removes any; `alone`: the other way round. Blocks until it may. Raises OSError."""
    (stores / VIEWS).mkdir(exist_ok=True)
    with (stores / VIEWS / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
