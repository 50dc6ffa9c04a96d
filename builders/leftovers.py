"""What a killed builder or build worker left: temporary files, half-written contents, containers it looked into."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from typing import TYPE_CHECKING

from builders.engine import build_address, build_control, client
from builders.errors import BuilderError, EngineDown
from builders.process import finish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from builders.images import EngineImages

log = logging.getLogger(__name__)
KIND = "repolaunch.kind=look"
LIFE = "repolaunch.worker"
"""Label with the life of the worker that made a container: what another life made was left behind."""
CALL = "repolaunch.call"
"""Label with the builder process that made a container."""
PROCESS = "repolaunch.process"
"""The same, as the builder process itself gives it, whoever started it: it removes no other's."""
_AGAIN_S = 5
_SWEEP_S = 3
_WRITES_S = 0.5


@contextlib.asynccontextmanager
async def scratch_of(call: str, scratch: Path) -> AsyncIterator[Path]:
    """A folder for the temporary files of one builder process, which may be killed."""
    folder = scratch / call
    made = asyncio.ensure_future(asyncio.to_thread(folder.mkdir, parents=True, mode=0o700))
    try:
        # Who is cancelled while it is made has to remove it all the same: a thread goes on to its end.
        await asyncio.shield(made)
        yield folder
    finally:
        # To its end, also where who is cancelled is cancelled once more meanwhile.
        await finish(asyncio.ensure_future(_unmade(made, folder)))


async def _unmade(made: asyncio.Future[None], folder: Path) -> None:
    await asyncio.wait({made})
    await remove_for_good([folder])


async def remove_for_good(folders: Iterable[Path], tries: int = 20) -> None:
    """Remove folders into which processes that are just ending may still write."""
    left = list(folders)
    for _ in range(tries):
        left = [folder for folder in left if not await asyncio.to_thread(_removed, folder)]
        if not left:
            return
        await asyncio.sleep(_WRITES_S)
    log.warning("%d folders of ended builders cannot be removed", len(left))


def _removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not os.path.lexists(folder)


async def remove_traces(engine: EngineImages, contents: Path, call: str, pid: int) -> None:
    """Remove what a builder process that ended without an answer could not remove itself."""
    await asyncio.to_thread(_remove_unfinished, contents, pid)
    try:
        for container in await engine.containers(f"{CALL}={call}"):
            await engine.remove_container(container["Id"])
            log.warning("removed the container %s of a killed builder", container["Id"][:12])
    except EngineDown as error:
        log.warning("looking for containers of a killed builder: the engine: %s", error.reason)


def _remove_unfinished(contents: Path, pid: int) -> None:
    for path in contents.glob(f".*.{pid}.new"):
        path.unlink(missing_ok=True)


def sweep(mark: str, contents: Path | None) -> None:
    """Remove what threads of this process have left: containers with this label, half of an image's files. Blocks."""
    if contents is not None:
        _remove_unfinished(contents, os.getpid())
    for address in (str, build_address) if build_control() else (str,):
        with contextlib.suppress(BuilderError), client(_SWEEP_S, address()) as connection:
            for one in connection.api.containers(all=True, filters={"label": mark}):
                connection.api.remove_container(one["Id"], v=True, force=True)


def remove_files(scratch: Path, contents: Path) -> list[Path]:
    """Empty the folder of temporary files, and remove archives that were being written. Blocks.

    Returns what there was: builders of a worker that was killed end by themselves, and may write till then.
    """
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
    return [path for path in left if path.parent == scratch]


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
