"""The Nix builder: evaluates what a directory declares, builds it, assembles the image from its closure."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from builders.assembly import Environment, assembled
from builders.errors import BuildBroken, ServerNotBuilt
from builders.interface import Declaration
from builders.lines import Log
from builders.nix import files
from builders.nix.build import build, keep
from builders.nix.evaluate import evaluate
from builders.nix.output import is_away
from builders.nix.site import caches, nixpkgs, own_cache
from builders.nix.tool import NIX, VERSION, builds
from builders.sandbox import daemon
from builders.server import kept_server
from builders.site_cache import CopyFailed
from builders.turns import building

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builders.interface import Inputs, Order, Workshop
    from builders.lines import Tell
    from builders.nix.build import Made

WITHOUT = "What the site’s caches have cannot be copied: everything is built here."
LENIENT = "Something that the site’s caches have cannot be copied: it is built here."
_REVISION = 2
"""Of how this package uses Nix: raise it whenever the same derivation would become another image."""


class NixBuilder:
    """A Builder (builders/interface.py)."""

    name = "nix"
    evaluates = True
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
        return Declaration(found.evidence) if found else None

    async def inputs(
        self, directory: Path, declared: Declaration, platform: str, workshop: Workshop, tell: Tell
    ) -> Inputs:
        """As Builder.inputs: the derivations that evaluating gave."""
        found = files.look(directory)
        if found is None or found.evidence != declared.evidence:
            raise BuildBroken("the directory is not the one that was looked at")
        # Without one nothing can be launched: better told before than after minutes of evaluating.
        await asyncio.to_thread(kept_server)
        async with building(workshop.common, tell), daemon(NIX, workshop, network=False, tell=tell) as of:
            evaluated = await evaluate(of, directory, found, platform, tell, nixpkgs())
        return evaluated.inputs

    async def build(self, order: Order, tell: Tell) -> str:
        """As Builder.build."""
        async with building(order.workshop.common, tell):
            return await self._built(order, tell)

    async def _built(self, order: Order, tell: Tell) -> str:
        workshop = order.workshop
        kind, *derivations = order.inputs.digest.split()
        if not all(
            [await asyncio.to_thread((workshop.stores / one[1:].partition("^")[0]).exists) for one in derivations]
        ):
            await self._found_again(order, tell)
        made = await copied_or_built(workshop, kind, derivations, tell)
        await asyncio.to_thread(keep, workshop.stores, order.found.key, made.roots)
        search = tuple(filter(None, made.variables.get("PATH", "").split(":")))
        environment = Environment(_packages(made), made.closure, made.variables, made.roots, search)
        return await assembled(order, environment, tell)

    async def _found_again(self, order: Order, tell: Tell) -> None:
        """The derivations were found some time ago, and the store has let them go since."""
        found = files.look(order.directory)
        if found is None:
            raise BuildBroken("the directory is not the one that was looked at")
        async with daemon(NIX, order.workshop, network=False, tell=tell) as of:
            again = await evaluate(of, order.directory, found, order.found.platform, tell, nixpkgs())
        if again.inputs.digest != order.inputs.digest:
            raise BuildBroken("the environment is not the one that was looked at")


async def copied_or_built(workshop: Workshop, kind: str, derivations: Sequence[str], tell: Tell) -> Made:
    """Copied from the site's caches what they have, and built; without them where they are wrong or away."""
    copied = (*await asyncio.to_thread(own_cache, workshop.common), *caches())
    ways = [builds(copied), builds(copied, lenient=True), NIX] if copied else [NIX]
    while True:
        way = ways.pop(0)
        try:
            async with daemon(way, workshop, network=True, tell=tell) as of:
                return await build(of, kind, derivations, tell)
        except CopyFailed as error:
            if not ways:
                raise error.plain() from error
            if is_away(error):
                ways = ways[-1:]
            tell(Log(WITHOUT if len(ways) == 1 else LENIENT))


def _packages(made: Made) -> tuple[str, ...]:
    """What the environment consists of, first on PATH first: of a shell, the packages that are on its PATH."""
    if not made.variables:
        return made.roots
    folders = made.variables.get("PATH", "").split(":")
    return tuple(
        dict.fromkeys(one.removesuffix("/bin") for one in folders if one.removesuffix("/bin") in made.closure.paths)
    )
