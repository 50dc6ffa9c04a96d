"""What the sessions' engine need not keep: logs of old sessions, and images that the registry has as well.

Removed one by one and never by force: the engine itself refuses what a container uses. An image goes only if the
registry answers that it has the very one, so that a launch fetches it again.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from builders.errors import BuilderError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from builders.images import EngineImages
    from builders.registry import Registry

log = logging.getLogger(__name__)
LOOK_S = 600
"""Between two looks."""
FRESH_S = 3600
"""An image that was used within this time stays, however little room there is: a launch may be about to start it."""
_DAY_S = 86400
_ENDED = ("exited", "dead")


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept; 0 days: for ever."""

    log_days: float
    """Days that the container of a session that has ended stays, for its log."""
    image_days: float
    """Days that an image stays which no session used."""
    room: int
    """Bytes that are to be free on the engine's disk: with less, the images unused for longest go. 0: no matter."""


@dataclass(frozen=True, slots=True)
class _Unused:
    engine_id: str
    used: float
    names: tuple[str, ...]


class Retention:
    """Removes what need not be kept, of one installation."""

    def __init__(
        self, engine: EngineImages, registry: Registry, installation: str, keep: Keep, clock: Callable[[], float]
    ) -> None:
        """`clock` tells the time as the engine does, in seconds since 1970."""
        self._engine = engine
        self._registry = registry
        self._installation = installation
        self._keep = keep
        self._clock = clock
        self._used: dict[str, float] = {}

    def touch(self, engine_id: str) -> None:
        """Note that a launch asked for this image."""
        self._used[engine_id] = self._clock()

    async def run(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            try:
                await self.look()
            except BuilderError as error:
                log.warning("what could be removed was not looked for: %s: %s", type(error).__name__, vars(error))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Once. Raises EngineDown and RegistryDown; what was removed until then stays removed."""
        await self._remove_containers()
        await remove_gone(self._engine, self._installation)
        unused = sorted(await self._unused(), key=lambda one: one.used)
        for image in unused:
            if self._is_old(image.used, self._keep.image_days) or await self._is_tight():
                await self._remove(image)

    async def _remove_containers(self) -> None:
        for one in await self._engine.containers(self._label, "repolaunch.kind=session"):
            if one["State"] not in _ENDED:
                continue
            detail = await self._engine.container(one["Id"])
            ended = seconds(detail["State"]["FinishedAt"]) if detail else self._clock()
            if self._is_old(ended, self._keep.log_days):
                await self._engine.remove_container(one["Id"], force=False)
                log.warning("removed the container %s of a session that ended long ago", one["Id"][:12])

    async def _unused(self) -> list[_Unused]:
        """The images of this installation that no container uses, not even one that has ended."""
        in_use = {one["ImageID"] for one in await self._engine.containers()}
        for engine_id in in_use:
            self.touch(engine_id)
        found = []
        for one in await self._engine.images():
            names = [*(one.get("RepoTags") or ()), *(one.get("RepoDigests") or ())]
            names = [name for name in names if not name.startswith("<none>")]
            if one["Id"] in in_use or not names or not all(map(self._is_ours, names)):
                continue
            # What has no time of its own (fetched by digest) was used now for all that is known.
            tagged = await self._tagged(one["Id"])
            used = max(tagged, self._used.setdefault(one["Id"], tagged or self._clock()))
            if self._clock() - used > FRESH_S:
                found.append(_Unused(one["Id"], used, tuple(names)))
        return found

    async def _tagged(self, engine_id: str) -> float:
        detail = await self._engine.image(engine_id) or {}
        return seconds((detail.get("Metadata") or {}).get("LastTagTime", ""))

    def _is_ours(self, name: str) -> bool:
        local = f"repolaunch-{self._installation}-env:"
        return name.startswith(local) or self._registry.space_of(name) is not None

    async def _remove(self, image: _Unused) -> None:
        if not await self._is_kept_elsewhere(image):
            return
        for name in image.names:
            await self._engine.remove_image(name)
        self._used.pop(image.engine_id, None)
        log.warning("removed the image %s, which the registry has", image.engine_id[:19])

    async def _is_kept_elsewhere(self, image: _Unused) -> bool:
        """Whether the registry has it: under its key still, and by the digest that the engine knows it by."""
        known = {name.partition("@")[2] for name in image.names if "@" in name}
        keys = {name.rpartition(":")[2] for name in image.names if "@" not in name}
        # By no namespace where only the engine knows it: it was not pushed.
        space = next((found for name in image.names if (found := self._registry.space_of(name)) is not None), "")
        asked = [await self._registry.find(reference, space) for reference in keys or known]
        return bool(known) and all(digest in known for digest in asked)

    async def _is_tight(self) -> bool:
        if not self._keep.room:
            return False
        root = await self._engine.root()
        try:
            return (await asyncio.to_thread(shutil.disk_usage, root)).free < self._keep.room
        except OSError:  # an engine on another machine
            return False

    def _is_old(self, then: float, days: float) -> bool:
        return days > 0 and self._clock() - then > days * _DAY_S

    @property
    def _label(self) -> str:
        return f"repolaunch.installation={self._installation}"


async def let_go(engine: EngineImages, installation: str, names: Collection[str]) -> None:
    """The registry has let these images go as nobody uses them: so does the engine, now or when no container has them.

    Until then they have another name, so that this is not forgotten. Raises EngineDown.
    """
    for one in await engine.images():
        known = {*(one.get("RepoTags") or ()), *(one.get("RepoDigests") or ())} & set(names)
        if known:
            await engine.tag(one["Id"], _gone(installation), one["Id"].removeprefix("sha256:"))
            for name in sorted(known):
                await engine.remove_image(name)
    await remove_gone(engine, installation)


async def remove_gone(engine: EngineImages, installation: str) -> None:
    """Remove what was let go and no container has any more: the engine refuses the others. Raises EngineDown."""
    for one in await engine.images():
        for name in one.get("RepoTags") or ():
            if name.startswith(f"{_gone(installation)}:"):
                await engine.remove_image(name)


def _gone(installation: str) -> str:
    return f"repolaunch-{installation}-gone"


def seconds(text: str) -> float:
    """The engine's times (RFC 3339, nanoseconds) since 1970; 0 for what is none, or before it."""
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp())
    except ValueError:
        return 0.0
