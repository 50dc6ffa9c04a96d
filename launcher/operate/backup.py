"""`repolaunch backup`: everything that cannot be made again, of one data folder, while the service runs.

In a backup, by their paths:

| path | what |
|---|---|
| `backup/manifest.json` | `Manifest` |
| `backup/repolaunch.sqlite` or `backup/database.dump` | the launcher's database, of one moment |
| `backup/hub.sqlite` | the hub's |
| `backup/settings.toml`, `backup/hub_config.py` | what `up` was started with, where it was a file |
| `secrets/`, `ports.json`, `hub/cookie-secret` | who this installation is |
| `policy.toml` | who may what, where it is in the data folder |
| `workspaces/` | people's files |
| `registry/` | images, only where they were asked for |

The databases come first: a project that they name has its workspace in the same backup.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import fcntl
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from builders.turns import using
from launcher import __version__
from launcher.operate import databases, registry
from launcher.operate.account import DATABASE, LAUNCHER
from launcher.operate.installation import InstallationError, write_private
from launcher.operate.restic import INCOMPLETE, NO_REPOSITORY, SHOWN, check_version, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.operate.installation import Installation
    from launcher.operate.restic import Restic
    from launcher.settings import Settings

FORMAT = 1
"""Of what is in a backup; a restore refuses those that it does not know."""
STAGED = "backup"
MANIFEST = f"{STAGED}/manifest.json"
TAG, UNFINISHED = "repolaunch", "repolaunch-unfinished"
PARTS = (STAGED, "secrets", "ports.json", "hub/cookie-secret", "policy.toml", "workspaces")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a backup."""

    format: int
    repolaunch: str
    created: str
    installation: str
    database: str
    """`sqlite` or `postgresql`."""
    revision: str | None
    """Of the launcher's tables; None: it was never started."""
    registry: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asked of `backup`."""

    settings_file: Path | None = None
    registry: bool = False
    verify: bool = False


async def backup(
    installation: Installation, settings: Settings, restic: Restic, wanted: Wanted, say: Callable[[str], None]
) -> str:
    """Make one backup and return its id. Raises InstallationError; what is unfinished is never restored."""
    _outside(installation.folder, restic)
    with _only_one(installation):
        await check_version(restic)
        staged = installation.path(STAGED)
        try:
            await _stage(installation, settings, wanted, staged)
            made = await _keep(installation, restic, wanted)
        finally:
            await asyncio.to_thread(shutil.rmtree, staged)
    say(f"Backup {made[:8]} is in {shown(restic.where)}.")
    if wanted.verify:
        await restic.run("check", "--read-data")
        say("Every byte of it was read again and is as it was written.")
    return made


async def _stage(installation: Installation, settings: Settings, wanted: Wanted, staged: Path) -> None:
    """Write beside the service's files what cannot be read as a file while it runs."""
    revision = None
    kind = "postgresql" if settings.database_url.startswith("postgres") else "sqlite"
    sqlite = installation.folder / LAUNCHER / DATABASE
    if kind == "postgresql":
        revision = await databases.dump_postgres(settings.database_url, staged / databases.DUMP)
    elif sqlite.exists():
        revision = await asyncio.to_thread(databases.copy_sqlite, sqlite, staged / DATABASE)
    hub = installation.folder / "hub" / "hub.sqlite"
    if hub.exists():
        await asyncio.to_thread(databases.copy_sqlite, hub, staged / "hub.sqlite")
    for source, name in ((wanted.settings_file, "settings.toml"), (settings.hub_config, "hub_config.py")):
        if source:
            await asyncio.to_thread(shutil.copy, source, staged / name)  # with its mode: passwords may be in it
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    manifest = Manifest(FORMAT, __version__, now, installation.id, kind, revision, wanted.registry)
    write_private(staged / "manifest.json", json.dumps(asdict(manifest), indent=1))


async def _keep(installation: Installation, restic: Restic, wanted: Wanted) -> str:
    """Write the backup. Only one that is whole gets the mark that a restore looks for, and it gets it last."""
    folder = installation.folder
    parts = [part for part in (*PARTS, *(("registry",) if wanted.registry else ())) if (folder / part).exists()]
    command = ("backup", "--host", installation.id, "--tag", UNFINISHED, *parts)
    async with using(registry.turns(installation), lambda _: None, ""):  # nothing is collected meanwhile
        done = await restic.run(*command, cwd=folder, may=(0, INCOMPLETE, NO_REPOSITORY))
        if done.code == NO_REPOSITORY:
            await restic.run("init")
            done = await restic.run(*command, cwd=folder, may=(0, INCOMPLETE))
    made = str(done.last["snapshot_id"])
    if done.code == INCOMPLETE:
        unread = "; ".join(done.complaints[:SHOWN])
        raise InstallationError(
            f"The backup is not whole: {len(done.complaints)} files or folders could not be read ({unread}). "
            f"What could be read is kept as {made[:8]}, which `restore` takes only by that name."
        )
    changed = await restic.run("tag", "--set", TAG, made)
    return next((str(line["new_snapshot_id"]) for line in changed.lines if "new_snapshot_id" in line), made)


def _outside(folder: Path, restic: Restic) -> None:
    if Path(restic.where).is_relative_to(folder):
        raise InstallationError(f"The backup cannot be inside the data folder {folder}. Choose another place.")


@contextlib.contextmanager
def _only_one(installation: Installation) -> Iterator[None]:
    with (installation.path("run") / "backup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InstallationError("A backup of this data folder is under way.") from None
        yield
