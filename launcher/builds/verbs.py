"""The real ones behind the layers: each of interface.py, done by a builder process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.builds.images import Registry
    from launcher.builds.interface import BuildRequest
    from launcher.builds.run import BuilderProcess
    from launcher.model import ImageFacts, ImageRef
    from launcher.stages import Checkouts, Tell


class ProcessBuild:
    """An interface.Build."""

    def __init__(self, process: BuilderProcess, checkouts: Checkouts, contents: Path) -> None:
        """`contents` is the folder for what images carry of their repositories."""
        self._process = process
        self._checkouts = checkouts
        self._contents = contents

    async def build(self, request: BuildRequest, tell: Tell) -> ImageFacts:
        """As interface.Build."""
        async with self._checkouts.open(request.repo) as checkout:
            engine_id = await self._process.build(checkout, request.environment, tell)
            return await self._process.inspect(engine_id, checkout, self._contents, tell)


class ProcessInspect:
    """An interface.Inspect."""

    def __init__(self, process: BuilderProcess, checkouts: Checkouts, contents: Path) -> None:
        """As ProcessBuild."""
        self._process = process
        self._checkouts = checkouts
        self._contents = contents

    async def inspect(self, image: ImageRef, request: BuildRequest, tell: Tell) -> ImageFacts:
        """As interface.Inspect."""
        async with self._checkouts.open(request.repo) as checkout:
            return await self._process.inspect(str(image), checkout, self._contents, tell)


class ProcessPush:
    """An interface.Push."""

    def __init__(self, process: BuilderProcess, registry: Registry) -> None:
        """Push to `registry`."""
        self._process = process
        self._registry = registry

    async def push(self, facts: ImageFacts, key: str, tell: Tell) -> ImageRef:
        """As interface.Push."""
        return self._registry.ref(await self._process.push(facts.engine_id, self._registry.target(key), tell))
