"""What is left of views: held for sessions that have ended, of environments that the stores have let go.

The one place that removes either, so it does not matter how a session, the hub or the machine ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from builders.errors import EngineDown
from builders.oci import view
from builders.oci.held import changing, held, release
from builders.retention import seconds
from builders.sandbox_files import remove
from builders.spaces import all_stores

if TYPE_CHECKING:
    from pathlib import Path

    from builders.images import EngineImages

log = logging.getLogger(__name__)
LOOK_S = 60
"""Between two looks."""
YOUNG_S = 3600
"""What was made within this time may still be under way."""
SESSIONS = "repolaunch.kind=session"
_ENDED = ("exited", "dead")
_GONE = ".gone-"


class Views:
    """Removes what is left of the views of one installation's stores."""

    def __init__(self, engine: EngineImages, stores: Path, installation: str) -> None:
        """`engine`: that of the sessions."""
        self._engine = engine
        self._stores = stores
        self._installation = installation

    async def run(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            try:
                await self.look()
            except EngineDown as error:
                log.warning("sessions that use the stores were not looked for: the engine: %s", error.reason)
            except OSError as error:
                log.warning("what is left of views was not looked for: %s", error.strerror)
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Once. Raises EngineDown, OSError."""
        # A container is there before it is noted, so who was noted and is not there now has been there.
        stores = [folder for _, folder in await asyncio.to_thread(lambda: list(all_stores(self._stores)))]
        for each in stores:
            await self._look(each)
        await self._forget_images()

    async def _look(self, stores: Path) -> None:
        noted = await asyncio.to_thread(held, stores)
        mine = {container for container, views in noted.items() if {self._installation} & {one for one, _ in views}}
        living: set[str] = set()
        if mine:
            containers = await self._engine.containers(SESSIONS)
            living = {one["Id"] for one in containers if one["State"] not in _ENDED}
        for container in mine - living:
            await asyncio.to_thread(release, stores, container)
        await asyncio.to_thread(clear, stores)

    async def _forget_images(self) -> None:
        """An image is of no use without its view."""
        for one in await self._engine.images():
            names = [name for name in one.get("RepoTags") or () if name.startswith(self._local)]
            lone = view.LABEL in (one.get("Labels") or {}) and view.anywhere(self._stores, one["Id"]) is None
            if lone and names and await self._is_old(one["Id"]):
                for name in names:
                    await self._engine.remove_image(name)

    async def _is_old(self, engine_id: str) -> bool:
        detail = await self._engine.image(engine_id) or {}
        tagged = seconds((detail.get("Metadata") or {}).get("LastTagTime", ""))
        return time.time() - tagged > YOUNG_S

    @property
    def _local(self) -> str:
        return f"repolaunch-{self._installation}-env:"


def clear(stores: Path) -> None:
    """Remove the views that no session uses and whose environment the store has let go. Blocks. Raises OSError."""
    folder = stores / view.VIEWS
    if not folder.is_dir():
        return
    with changing(stores, alone=True):
        used = {name for views in held(stores).values() for _, name in views}
        for each in folder.iterdir():
            if each.is_symlink() and not each.exists():
                each.unlink()
            is_view = each.is_dir() and not each.is_symlink() and not each.name.startswith(".")
            if is_view and each.name not in used and _is_lost(stores, each.name):
                each.rename(folder / f"{_GONE}{each.name}")
    for each in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if each.name.startswith(_GONE) or (
                each.name.startswith(".") and each.is_dir() and time.time() - each.stat().st_mtime > YOUNG_S
            ):
                remove(each)


def _is_lost(stores: Path, name: str) -> bool:
    found = view.find(stores, f"sha256:{name}")
    return found is None or not all(_is_there(stores / path[1:]) for path in found.roots)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()
