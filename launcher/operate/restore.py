"""`repolaunch restore`: a backup becomes a data folder. All of it, or a folder that `up` refuses."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from launcher.operate import databases
from launcher.operate.account import DATABASE, LAUNCHER
from launcher.operate.backup import FORMAT, MANIFEST, STAGED, TAG, Manifest
from launcher.operate.installation import RESTORING, InstallationError
from launcher.operate.restic import check_version, shown
from launcher.store.revision import KNOWN, REVISION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.operate.restic import Restic
    from launcher.settings import Settings

PLACES = (
    (f"{STAGED}/{DATABASE}", f"{LAUNCHER}/{DATABASE}"),
    (f"{STAGED}/hub.sqlite", "hub/hub.sqlite"),
    (f"{STAGED}/settings.toml", "settings.toml"),
    (f"{STAGED}/hub_config.py", "hub_config.py"),
    ("hub/cookie-secret", "hub/cookie-secret"),
    ("policy.toml", "policy.toml"),
    ("ports.json", "ports.json"),
    ("workspaces", "workspaces"),
    ("registry", "registry"),
    ("secrets", "secrets"),
)
"""What goes where, in this order: without its secrets a folder is no installation."""


async def restore(folder: Path, settings: Settings, restic: Restic, snapshot: str, say: Callable[[str], None]) -> None:
    """Fill an empty data folder from a backup; `snapshot` is one's id, `""` the newest. Raises InstallationError."""
    folder = await asyncio.to_thread(_checked, folder)
    await check_version(restic)
    chosen = snapshot or await _newest(restic)
    manifest = await _manifest(restic, chosen)
    await _check_database(manifest, settings)
    say(f"Restoring the backup of {manifest.created} (installation {manifest.installation}, id {chosen[:8]})")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    unfinished = folder / RESTORING
    unfinished.mkdir(mode=0o700)
    # `--verify` reads everything that was written once more.
    await restic.run("restore", chosen, "--target", str(unfinished), "--sparse", "--verify")
    if manifest.database == "postgresql":
        await databases.load_postgres(settings.database_url, unfinished / STAGED / databases.DUMP)
        await databases.release_postgres(settings.database_url)
    else:
        await asyncio.to_thread(databases.release_sqlite, unfinished / STAGED / DATABASE)
    await asyncio.to_thread(_place, unfinished, folder)
    say(f"Restored into {folder}. Start it with: repolaunch up --data {folder}{_settings(folder)}")


def _checked(folder: Path) -> Path:
    if os.geteuid():
        raise InstallationError("A restore gives each file its owner, which only root may do. Run it as root.")
    folder = folder.resolve()
    try:
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise InstallationError(f"The data folder {folder} cannot be used: {error.strerror}.") from None
    if taken:
        raise InstallationError(f"{folder} is not an empty folder, and a restore overwrites nothing. Name another one.")
    return folder


async def _newest(restic: Restic) -> str:
    """The newest backup that is whole. Raises InstallationError when it is not clear whose."""
    found = (await restic.run("snapshots", "--tag", TAG)).lines
    if not found:
        raise InstallationError(f"There is no finished backup in {shown(restic.where)}.")
    newest: dict[str, dict[str, Any]] = {one["hostname"]: one for one in sorted(found, key=lambda one: one["time"])}
    if len(newest) > 1:
        each = ", ".join(f"{one['short_id']} (installation {host})" for host, one in sorted(newest.items()))
        raise InstallationError(f"There are backups of several installations. Name one with --snapshot: {each}.")
    return str(next(iter(newest.values()))["id"])


async def _manifest(restic: Restic, snapshot: str) -> Manifest:
    """What is in it. Raises InstallationError for what this version cannot restore."""
    told = (await restic.run("dump", snapshot, f"/{MANIFEST}", may=(0, 1))).text
    try:
        read = json.loads(told)
        number = read["format"]
        manifest = Manifest(**read) if number == FORMAT else None
    except (ValueError, KeyError, TypeError):
        raise InstallationError(f"{snapshot} is no backup of repolaunch in {shown(restic.where)}.") from None
    if manifest is None:
        raise InstallationError(
            f"The backup has format {number} and this version of repolaunch knows {FORMAT}. "
            f"Restore it with the version that made it, which is {read.get('repolaunch')}."
        )
    if manifest.revision is not None and manifest.revision not in KNOWN:
        raise InstallationError(
            f"The backup's database is at revision {manifest.revision} and this version of repolaunch knows up to "
            f"{REVISION}. Restore it with the version that made it, {manifest.repolaunch}, or a newer one."
        )
    return manifest


async def _check_database(manifest: Manifest, settings: Settings) -> None:
    postgres = settings.database_url.startswith("postgres")
    if postgres != (manifest.database == "postgresql"):
        here = "PostgreSQL" if postgres else "SQLite in the data folder"
        raise InstallationError(
            f"The backup's database is of the kind {manifest.database} and the setting database_url says {here}. "
            "Give the --settings of the new machine."
        )
    if postgres and not await databases.is_empty(settings.database_url):
        raise InstallationError("The database that database_url names is in use already. Name an empty one.")


def _place(unfinished: Path, folder: Path) -> None:
    for source, target in PLACES:
        if (unfinished / source).exists():
            place = folder / target
            place.parent.mkdir(mode=0o700, exist_ok=True)
            (unfinished / source).rename(place)
    os.sync()
    shutil.rmtree(unfinished)


def _settings(folder: Path) -> str:
    return f" --settings {folder / 'settings.toml'}" if (folder / "settings.toml").exists() else ""
