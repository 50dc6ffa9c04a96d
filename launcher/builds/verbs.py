"""The real ones behind the layers: each of interface.py, done by the build worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.builds.interface import BuildRequest
    from launcher.builds.run import Builders, Registry
    from launcher.model import Image, ImageFacts, ImageRef
    from launcher.stages import Checkouts, Tell


class WorkerBuild:
    """An interface.Build."""

    def __init__(self, builders: Builders, checkouts: Checkouts) -> None:
        """Build what `checkouts` leases."""
        self._builders = builders
        self._checkouts = checkouts

    async def build(self, request: BuildRequest, tell: Tell) -> ImageFacts:
        """As interface.Build."""
        async with self._checkouts.open(request.repo) as checkout:
            engine_id = await self._builders.build(checkout, request.environment, tell, afresh=request.afresh)
            return await self._builders.inspect(engine_id, checkout, tell)


class WorkerInspect:
    """An interface.Inspect."""

    def __init__(self, builders: Builders, checkouts: Checkouts) -> None:
        """As WorkerBuild."""
        self._builders = builders
        self._checkouts = checkouts

    async def inspect(self, image: ImageRef, request: BuildRequest, tell: Tell) -> ImageFacts:
        """As interface.Inspect."""
        async with self._checkouts.open(request.repo) as checkout:
            return await self._builders.inspect(str(image), checkout, tell)


class WorkerPush:
    """An interface.Push."""

    def __init__(self, builders: Builders, registry: Registry) -> None:
        """Push to `registry`."""
        self._builders = builders
        self._registry = registry

    async def push(self, image: Image, tell: Tell) -> ImageRef:
        """As interface.Push."""
        digest = await self._builders.push(image.facts.engine_id, image.key, tell, space=image.space)
        return self._registry.ref(digest, image.space)
