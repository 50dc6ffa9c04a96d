"""The Nix builder: evaluates what a directory declares, builds it, assembles the image from its closure."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from builders.errors import BuildBroken, ServerNotBuilt
from builders.interface import Declaration, Log, Step
from builders.nix import files
from builders.nix.build import build, keep
from builders.nix.evaluate import evaluate
from builders.nix.site import caches, nixpkgs
from builders.nix.tool import NIX, VERSION, builds
from builders.oci import record
from builders.oci.image import Recipe
from builders.oci.load import load
from builders.oci.system import HOME
from builders.oci.table import Table
from builders.sandbox import daemon
from builders.server import kept_server, server_in

if TYPE_CHECKING:
    from pathlib import Path

    from builders.interface import Inputs, Order, Tell, Workshop
    from builders.nix.build import Made
    from builders.server import Server

_REVISION = 1
"""Of how this package uses Nix: raise it whenever the same derivation would become another image."""
_SYSTEM_PATH = ("/usr/bin", "/bin")


class NixBuilder:
    """A Builder (builders/interface.py)."""

    name = "nix"
    looks_for = (files.FLAKE, files.DEFAULT, files.SHELL)

    @cached_property
    def version(self) -> str:
        """`<Nix's version>-<our revision>-<the notebook server's>`, the last without one that was built."""
        with contextlib.suppress(ServerNotBuilt):
            server = hashlib.sha256(kept_server().identity.encode()).hexdigest()
            return f"{VERSION}-{_REVISION}-{server[:12]}"
        return f"{VERSION}-{_REVISION}"

    def detect(self, directory: Path) -> Declaration | None:
        """As Builder.detect."""
        found = files.look(directory)
        # What is evaluated may read every file; `inputs` says what it depends on.
        return Declaration(found.evidence, whole_tree=True) if found else None

    async def inputs(
        self, directory: Path, declared: Declaration, platform: str, workshop: Workshop, tell: Tell
    ) -> Inputs:
        """As Builder.inputs: the derivations that evaluating gave."""
        found = files.look(directory)
        if found is None or found.evidence != declared.evidence:
            raise BuildBroken("the directory is not the one that was looked at")
        # Without one nothing can be launched: better told before than after minutes of evaluating.
        await asyncio.to_thread(kept_server)
        async with daemon(NIX, workshop, network=False, tell=tell) as of:
            evaluated = await evaluate(of, directory, found, platform, tell, nixpkgs())
        return evaluated.inputs

    async def build(self, order: Order, tell: Tell) -> str:
        """As Builder.build."""
        workshop = order.workshop
        kind, *derivations = order.inputs.digest.split()
        server = await server_in(workshop, tell)
        async with daemon(builds(caches()), workshop, network=True, tell=tell) as of:
            made = await build(of, kind, derivations, tell)
        await asyncio.to_thread(keep, workshop.stores, order.found.key, made.roots)
        if not await asyncio.to_thread(_kernels, workshop.stores, _packages(made)):
            tell(Log("The environment has no Jupyter kernel: notebooks cannot run, a terminal can be opened."))
        tell(Step("assembling the image"))
        recipe = _recipe(order, made, server)
        return await asyncio.to_thread(_assembled, recipe, order.name, tell)


def _assembled(recipe: Recipe, name: str, tell: Tell) -> str:
    image = load(recipe, name, Table(record.table_of(recipe.stores)), tell)
    record.save(recipe, image.engine_id)
    return image.engine_id


def _recipe(order: Order, made: Made, server: Server) -> Recipe:
    packages = _packages(made)
    path = (made.variables.get("PATH") or ":".join(f"{one}/bin" for one in packages)).split(":")
    ours = {
        "HOME": HOME,
        "PATH": ":".join(dict.fromkeys((*path, *_SYSTEM_PATH, f"{server.tools}/bin", f"{server.program}/bin"))),
        "JUPYTER_PATH": ":".join(f"{one}/share/jupyter" for one in packages),
    }
    return Recipe(
        stores=order.workshop.stores,
        closure=made.closure.union(server.closure),
        first=frozenset(server.closure.paths),
        root=frozenset(made.roots),
        shell=server.shell,
        env={**server.variables, **made.variables, **ours},
        labels={"org.repolaunch.builder": order.found.builder, "org.repolaunch.key": order.found.key},
        platform=order.found.platform,
    )


def _packages(made: Made) -> tuple[str, ...]:
    """What the environment consists of, first on PATH first: of a shell, the packages that are on its PATH."""
    if not made.variables:
        return made.roots
    folders = made.variables.get("PATH", "").split(":")
    return tuple(
        dict.fromkeys(one.removesuffix("/bin") for one in folders if one.removesuffix("/bin") in made.closure.paths)
    )


def _kernels(stores: Path, packages: tuple[str, ...]) -> bool:
    return any(
        any((stores / one.removeprefix("/") / "share/jupyter/kernels").glob("*/kernel.json")) for one in packages
    )
