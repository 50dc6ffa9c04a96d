"""What a killed build worker left: temporary files, half-written contents, containers that were looked into."""

from __future__ import annotations

import asyncio
import logging
import shutil
from typing import TYPE_CHECKING

from builders.errors import EngineDown

if TYPE_CHECKING:
    from pathlib import Path

    from builders.images import EngineImages

log = logging.getLogger(__name__)
KIND = "repolaunch.kind=look"
LIFE = "repolaunch.worker"
"""Label with the life of the worker that made a container: what another life made was left behind."""
_AGAIN_S = 5


def remove_files(scratch: Path, contents: Path) -> None:
    """Empty the folder of temporary files, and remove archives that were being written. Blocks."""
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    contents.mkdir(parents=True, exist_ok=True, mode=0o700)
    left = [*scratch.iterdir(), *contents.glob(".*.new")]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if left:
        log.warning("removed %d files and folders of an earlier run", len(left))


async def remove_containers(engine: EngineImages, installation: str, *, but_of: str) -> None:
    """Remove, by id, the containers of other workers of this installation; as soon as the engine answers."""
    while True:
        try:
            for container in await engine.containers(f"repolaunch.installation={installation}", KIND):
                if container["Labels"].get(LIFE) != but_of:
                    await engine.remove_container(container["Id"])
                    log.warning("removed the container %s of an earlier run", container["Id"][:12])
        except EngineDown as error:
            log.warning("looking for containers of an earlier run: the engine: %s", error.reason)
            await asyncio.sleep(_AGAIN_S)
        else:
            return
