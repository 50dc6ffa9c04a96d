"""From an environment in a store to an image: united with the notebook server, assembled, loaded, remembered.

The same for Nix and Guix. The author's packages are first on PATH and the server last; kernels are found through
JUPYTER_PATH, so an environment need know nothing of the server.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from builders.errors import BuildDiskFull, DiskFull
from builders.lines import Log, Step
from builders.oci import held, record, view
from builders.oci.image import Recipe, assemble
from builders.oci.load import load
from builders.oci.system import HOME
from builders.oci.table import DISK, Table
from builders.server import server_in
from builders.text import says_full

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builders.interface import Limits, Order
    from builders.lines import Tell
    from builders.oci.closure import Closure
    from builders.server import Server

STEP = "assembling the image"
NO_KERNEL = "The environment has no Jupyter kernel: notebooks cannot run, a terminal can be opened."
NO_LINKS = "This disk cannot show the store to sessions, so the whole image is handed over."
_KERNELS = "share/jupyter/kernels"
_LINKS = 40
"""As many as the kernel follows."""
_OURS = ("HOME", "PATH")


@dataclass(frozen=True, slots=True)
class Environment:
    """What an author declared, built."""

    paths: tuple[str, ...]
    """Its store paths, in the order in which they are searched; `bin` and `share/jupyter` of each count."""
    closure: Closure
    """With all that those refer to."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What it wants set besides."""
    roots: tuple[str, ...] = ()
    """What was built for it alone, where that is not `paths`: the last layer."""
    search: tuple[str, ...] = ()
    """Folders of programs, where they are not `bin` of each of `paths`."""


async def assembled(order: Order, environment: Environment, tell: Tell) -> str:
    """The image's id in the engine of the sessions.

    Raises BuildDiskFull, StoreUnfit, ServerNotBuilt, BuildBroken, DiskFull, EngineDown.
    """
    server = await server_in(order.workshop, tell)
    tell(Step(STEP))
    check_room(environment, server, order.workshop.limits)
    if not await asyncio.to_thread(_has_kernel, order.workshop.stores, environment.paths):
        tell(Log(NO_KERNEL))
    recipe = _recipe(order, environment, server)
    return await asyncio.to_thread(_loaded, recipe, order, tell)


def check_room(environment: Environment, server: Server, limits: Limits) -> None:
    """Raise BuildDiskFull for an environment that an image would hold more of than one build may write.

    What its steps wrote was watched on the disk, where a hole takes nothing and a hard link is no second file.
    """
    own = (one for path, one in environment.closure.paths.items() if path not in server.closure.paths)
    if sum(one.nar_size for one in own) > limits.disk:
        raise BuildDiskFull(limits.disk, STEP)


def _recipe(order: Order, environment: Environment, server: Server) -> Recipe:
    found = order.found
    labels = {"key": found.key, "builder": found.builder, "builder-version": found.builder_version}
    return Recipe(
        stores=order.workshop.stores,
        closure=environment.closure.union(server.closure),
        first=frozenset(server.closure.paths),
        root=frozenset(environment.roots or environment.paths),
        shell=server.shell,
        env=variables(environment, server),
        # None that varies from launch to launch: who asked, when and for which commit is not in the image.
        labels={f"org.repolaunch.{name}": value for name, value in labels.items()},
        platform=found.platform,
    )


def variables(environment: Environment, server: Server) -> dict[str, str]:
    """What programs in the image see."""
    wanted = {name: value for name, value in environment.variables.items() if name not in _OURS}
    paths = environment.paths
    own = environment.search or tuple(f"{path}/bin" for path in paths)
    folders = dict.fromkeys((*own, "/usr/bin", "/bin", f"{server.tools}/bin", f"{server.program}/bin"))
    jupyter = (*(f"{path}/share/jupyter" for path in paths), *filter(None, wanted.get("JUPYTER_PATH", "").split(":")))
    return {
        **server.variables,
        **wanted,
        "HOME": HOME,
        "PATH": ":".join(folders),
        "JUPYTER_PATH": ":".join(dict.fromkeys(jupyter)),
    }


def _loaded(recipe: Recipe, order: Order, tell: Tell) -> str:
    try:
        table = Table(record.table_of(recipe.stores))
        engine_id = _viewed(recipe, order.name, table, tell) if order.workshop.views else ""
        engine_id = engine_id or load(recipe, order.name, table, tell).engine_id
        record.save(recipe, engine_id)
    except OSError as error:
        if says_full(str(error)):
            raise DiskFull(DISK, STEP) from error
        raise
    return engine_id


def _viewed(recipe: Recipe, name: str, table: Table, tell: Tell) -> str:
    """The id of an image that has nothing of the stores, and a view that has; `""`: this disk has no views."""
    rest = view.without_closure(recipe)
    try:
        view.make(recipe, assemble(rest, table).engine_id)
        held.prepare(recipe.stores)
    except OSError as error:
        if error.errno not in view.IMPOSSIBLE:
            raise
        tell(Log(NO_LINKS))
        return ""
    return load(rest, name, table, tell).engine_id


# --------------------------------------------------------------------------- kernels
def _has_kernel(stores: Path, paths: tuple[str, ...]) -> bool:
    """Whether a Jupyter server would find a kernel in one of these."""
    for path in paths:
        folder = inside(stores, posixpath.join(path, _KERNELS))
        if not folder or not Path(stores, folder[1:]).is_dir():
            continue
        for found in Path(stores, folder[1:]).iterdir():
            spec = inside(stores, posixpath.join(folder, found.name, "kernel.json"))
            if spec and Path(stores, spec[1:]).is_file():
                return True
    return False


def inside(stores: Path, path: str) -> str:
    """Where a path of the image leads, links followed as they would be there; `""`: nowhere in a store."""
    done, left = "/", path.split("/")
    links = 0
    while left:
        part = left.pop(0)
        step = posixpath.normpath(posixpath.join(done, part))
        try:
            target = os.readlink(Path(stores, step[1:]))  # noqa: PTH115  # the text as it is
        except OSError:
            done = step
            continue
        links += 1
        if links > _LINKS:
            return ""
        left = [*target.split("/"), *left]
        done = "/" if target.startswith("/") else done
    return done if done.startswith(("/nix/store/", "/gnu/store/")) else ""
