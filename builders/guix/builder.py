"""The Guix builder: a profile is evaluated, built by guix-daemon and united with the notebook server in an image."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from builders.assembly import Environment, assembled
from builders.engine import this_platform
from builders.errors import BuildBroken, EnvironmentBroken, ServerNotBuilt
from builders.guix.build import build
from builders.guix.caches import copied_or_built
from builders.guix.evaluate import VERSION, Evaluated, evaluate
from builders.guix.files import CHANNELS, MANIFEST, PACKAGE, look
from builders.guix.means import Means, means
from builders.guix.source import prepare
from builders.guix.tool import NAME
from builders.interface import Declaration, Inputs
from builders.lines import LOOSE, REPRODUCIBLE
from builders.server import kept_server
from builders.turns import building
from builders.variables import GUIX, SITE_CHANNELS, STORES

if TYPE_CHECKING:
    from builders.guix.build import Profile
    from builders.guix.files import GuixFiles
    from builders.interface import Order, Workshop
    from builders.lines import Tell
    from builders.sandbox import Daemon

_REVISION = 1
"""Of how this package uses Guix: raise it whenever the same derivation would become another image."""


class Guix:
    """A Builder (builders/interface.py)."""

    name = NAME
    evaluates = True
    version = f"{VERSION}-{_REVISION}"
    looks_for = (CHANNELS, MANIFEST, PACKAGE)

    def __init__(self, chosen: Means | None = None) -> None:
        """`chosen`: how Guix is run, if not as the site says."""
        self._chosen = chosen

    @property
    def _means(self) -> Means:
        return self._chosen or means()

    def detect(self, directory: Path) -> Declaration | None:
        """As Builder.detect."""
        files = look(directory)
        return None if files is None else Declaration(files.evidence)

    async def ground(self) -> str:
        """As Grounded.ground: the notebook server, the site's channels, how Guix is run."""
        return await asyncio.to_thread(_ground)

    async def inputs(
        self, directory: Path, declared: Declaration, platform: str, workshop: Workshop, tell: Tell
    ) -> Inputs:
        """As Builder.inputs."""
        if platform != this_platform():
            raise EnvironmentBroken(
                declared.evidence[-1], f"Guix builds for {this_platform()} here, not for {platform}"
            )
        server = await asyncio.to_thread(kept_server)
        async with building(workshop.common, tell):
            found = await self._evaluate(directory, workshop, tell)
        pinning = LOOSE if found.loose else REPRODUCIBLE
        return Inputs(f"{found.derivation} {server.identity}", pinning, found.loose, found.advice)

    async def build(self, order: Order, tell: Tell) -> str:
        """As Builder.build."""
        async with building(order.workshop.common, tell):
            profile = await self._profile(order, tell)
            return await assembled(order, Environment((profile.path,), profile.closure, profile.variables), tell)

    async def _profile(self, order: Order, tell: Tell) -> Profile:
        derivation = order.inputs.digest.partition(" ")[0]
        workshop = order.workshop
        if not await asyncio.to_thread((workshop.stores / derivation[1:]).exists):
            # It was found some time ago, and the store has let it go since.
            found = await self._evaluate(order.directory, workshop, tell)
            if found.derivation != derivation:
                raise BuildBroken("the environment is not the one that was looked at")

        async def made(of: Daemon) -> Profile:
            await asyncio.to_thread(prepare, of, None)
            return await build(of, derivation, order.found.key, self._means, tell)

        return await copied_or_built(self._means, workshop, made, tell)

    async def _evaluate(self, directory: Path, workshop: Workshop, tell: Tell) -> Evaluated:
        files = _files(directory)

        async def found(of: Daemon) -> Evaluated:
            return await evaluate(of, directory, files, self._means, tell)

        return await copied_or_built(self._means, workshop, found, tell)


def _ground() -> str:
    channels = Path(os.environ.get(STORES, os.curdir), SITE_CHANNELS)
    server = ""
    with contextlib.suppress(ServerNotBuilt, BuildBroken):
        server = kept_server().identity
    chosen = hashlib.sha256(channels.read_bytes()).hexdigest() if channels.is_file() else ""
    return " ".join((server, chosen, os.environ.get(GUIX, "")))


def _files(directory: Path) -> GuixFiles:
    files = look(directory)
    if files is None:
        raise BuildBroken("the directory is not the one that was looked at")
    return files
