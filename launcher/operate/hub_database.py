"""The hub's own database: whether this version of JupyterHub can use it."""

from __future__ import annotations

import contextlib
import sqlite3
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.operate.databases import revision
from launcher.operate.installation import InstallationError

if TYPE_CHECKING:
    from launcher.operate.installation import Installation

DATABASE = "hub.sqlite"


def path(installation: Installation) -> Path:
    """Where it is."""
    return installation.path("hub") / DATABASE


def check(installation: Installation) -> None:
    """Raise InstallationError for a database that a newer JupyterHub has used; the hub would only try, and end.

    One that an older JupyterHub has used is brought up to date by the hub itself (`upgrade_db`), after a copy. Blocks.
    """
    file = path(installation)
    if not file.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=60)) as database:
            found = revision(database)
    except sqlite3.Error as error:
        raise InstallationError(f"The hub's database cannot be used: {error}.") from None
    if found is not None and found not in _known():
        raise InstallationError(
            f"The hub's database is at revision {found}, which JupyterHub {metadata.version('jupyterhub')} does not "
            "know: a newer version has used it. Start that version, or restore the backup that was made before the "
            "upgrade."
        )


def _known() -> set[str]:
    """The revisions of the installed JupyterHub: its migrations' files begin with them. Nothing of it is imported."""
    spec = util.find_spec("jupyterhub")
    folders = (spec.submodule_search_locations if spec else None) or []
    return {file.name.partition("_")[0] for one in folders for file in Path(one).glob("alembic/versions/*_*.py")}
