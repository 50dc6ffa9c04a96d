"""As whom the launcher runs, and what of the data folder is its own.

Where `up` runs as root, the setting `launcher_user` names another user: one that may not open the container engine's
socket. Then the launcher owns the folders LAUNCHER and CHECKOUTS, goes through the folders in WAYS, and reads nothing
else: its secrets come by its environment, its helpers' sockets are owned by it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.operate.installation import InstallationError
from launcher.settings import SettingWrong

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.operate.installation import Installation
    from launcher.settings import Settings

LAUNCHER, CHECKOUTS = "launcher", "checkouts"
WAYS = ("run", "run/volumes", "run/worker")
DATABASE = "repolaunch.sqlite"
_CHANGE_S = 600


@dataclass(frozen=True, slots=True)
class Account:
    """A user and his group, by number."""

    user: int
    group: int

    @property
    def is_ours(self) -> bool:
        """Whether it is the one as whom this process runs."""
        return self.user == os.getuid()


def account(settings: Settings) -> Account:
    """As whom the launcher runs. Raises SettingWrong."""
    name = settings.launcher_user
    if not name:
        return Account(os.getuid(), os.getgid())
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise SettingWrong("launcher_user", repr(name), "this machine has no such user") from None
    if os.getuid() not in {0, found.pw_uid}:
        raise SettingWrong("launcher_user", repr(name), "only root can start a process as another user")
    return Account(found.pw_uid, found.pw_gid)


def prepare(installation: Installation, who: Account) -> None:
    """Make the launcher's folders its own, and the ways to them. Blocks. Raises InstallationError."""
    own = installation.path(LAUNCHER)
    checkouts = installation.path(CHECKOUTS)
    _move_database(installation.folder, own)
    checkouts.chmod(0o755)
    ways = [installation.path(way) for way in WAYS]
    if os.getuid():
        return
    for folder in (own, checkouts):
        if folder.stat().st_uid != who.user:
            _own(str(folder), who)
    for way in (installation.folder, *ways):
        os.chown(way, -1, who.group)
        way.chmod(0o700 if who.is_ours else 0o710)


def _move_database(before: Path, now: Path) -> None:
    """From where earlier versions had it; never over one that is there. Raises InstallationError."""
    if not (before / DATABASE).exists():
        return
    if (now / DATABASE).exists():
        raise InstallationError(
            f"There are two databases: {before / DATABASE}, where earlier versions had it, and {now / DATABASE}. "
            "Move away the one that is not wanted, and start again."
        )
    for suffix in ("-wal", "-shm", ""):  # the database last: whoever is killed here begins again
        with contextlib.suppress(FileNotFoundError):
            (before / f"{DATABASE}{suffix}").rename(now / f"{DATABASE}{suffix}")


def _own(folder: str, who: Account) -> None:
    """By `chown`: what is in there may be deeper than Python's stack."""
    argv = ["chown", "--recursive", "--no-dereference", f"{who.user}:{who.group}", "--", folder]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_CHANGE_S)
    if done.returncode:
        raise InstallationError(f"The folder {folder} could not be given to the launcher's user. {done.stderr.strip()}")
