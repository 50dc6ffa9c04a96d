"""The layers that keep something: a build's log and its end, and the push that follows a build."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from itertools import chain, repeat
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from launcher.builds.interface import BuildRequest
from launcher.catalogue import about, said
from launcher.errors import EngineDown, LauncherError, RegistryDown
from launcher.events import Cancelled, Ended, Progress, Stage, Started, State
from launcher.model import Image
from launcher.store.launches import BuildRecord, build_begun, build_ended
from launcher.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from launcher.builds.interface import Build, Push
    from launcher.events import Event
    from launcher.model import Environment, ImageRef, ResolvedRepo
    from launcher.stages import Explain, Images, LaunchTell, Tell
    from launcher.store.images import ImageRows
    from launcher.store.launches import BuildRows
    from launcher.store.logs import EventLog, EventLogs

log = logging.getLogger(__name__)

PUSH_DELAYS = (1.0, 5.0, 25.0, 125.0, 600.0)
"""Seconds between attempts; while registry or engine is down, the last one again and again."""

PUBLISHED_S = 900.0
"""Who waits for a push waits so long for it, whatever its attempts."""


class Recorded:
    """Each build has a log of its own, which the launches that wait for it show as a part of theirs.

    The log is: Started(BUILD), the builder's, Ended(BUILD), and then what `Pushing` tells; or it ends with Failed
    or Cancelled. Launches show it up to Ended, or up to where it broke off: their own end is theirs to tell.
    """

    def __init__(
        self,
        inner: Build,
        rows: BuildRows,
        images: ImageRows,
        logs: EventLogs,
        explain: Explain,
        *,
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._inner = inner
        self._rows = rows
        self._images = images
        self._logs = logs
        self._explain = explain
        self._clock = clock
        self._new_id = new_id
        self._left: set[str] = set()
        """Builds of another process that nobody has gone on with yet."""

    async def recover(self) -> None:
        """Look at what another process left under way: where its image is kept, only its end was not.

        Call it once, before launches go on.
        """
        for left in await self._rows.running():
            image = await self._images.get(left.key)
            if image is None or image.built < left.created:
                self._left.add(left.id)
                continue
            ended = build_ended(left.id, State.READY, self._clock())
            build = await self._logs.open(left.id)
            build.tell(Ended(Stage.BUILD, seconds=image.built - left.created, **said("step.build.built")), ended)

    async def forsake(self) -> None:
        """End what nobody went on with: all launches that another process left have ended."""
        while self._left:
            left = self._left.pop()
            build = await self._logs.open(left)
            build.tell(Cancelled("The build was stopped."), build_ended(left, State.CANCELLED, self._clock()))

    async def get(
        self, repo: ResolvedRepo, environment: Environment, tell: LaunchTell, *, afresh: bool = False
    ) -> Image:
        """Build. Never two of one key at a time: see `Cached`."""
        build = await self._begin(environment)
        tell.splice(build.stream)
        began = self._clock()
        try:
            facts = await self._inner.build(BuildRequest(repo, environment, afresh), build.tell)
            image = Image(environment.key, facts, None, built=self._clock(), space=environment.space)
            await self._images.save(image)
        except BaseException as error:
            tell.resume(build.told)
            self._broke(build, error)
            raise
        seconds = self._clock() - began
        ended = build_ended(build.stream, State.READY, self._clock())
        build.tell(Ended(Stage.BUILD, seconds=seconds, **said("step.build.built")), ended)
        tell.resume(build.told)
        return image

    async def _begin(self, environment: Environment) -> EventLog:
        """The log of a new build, or of the one that a killed process left under way."""
        await self._logs.flush()  # the end of the build before this one may just have been told
        latest = await self._rows.latest(environment.key)
        if latest is not None and latest.state is State.RUNNING:
            self._left.discard(latest.id)
            build = await self._logs.open(latest.id)
            build.tell(Progress(Stage.BUILD, **said("step.build.restarted")))
            return build
        record = BuildRecord(self._new_id(), environment.key, State.RUNNING, self._clock())
        build = self._logs.create(record.id)
        how = said("step.build.begun", builder=environment.builder, version=environment.builder_version)
        build.tell(Started(Stage.BUILD, **how), build_begun(record))
        return build

    def _broke(self, build: EventLog, error: BaseException) -> None:
        event: Event = Cancelled("The build was stopped.")
        state = State.CANCELLED
        if isinstance(error, LauncherError):
            event, state = self._explain(error, Stage.BUILD), State.FAILED
        elif isinstance(error, Exception):
            log.error("build %s broke", build.stream, exc_info=error)
            event, state = self._explain(error, Stage.BUILD), State.FAILED
        build.tell(event, build_ended(build.stream, state, self._clock()))


class Pushing:
    """An image that is in no registry yet is pushed, beside the launch, until it is; told on its build's log."""

    def __init__(
        self,
        inner: Images,
        push: Push,
        images: ImageRows,
        builds: BuildRows,
        logs: EventLogs,
        explain: Explain,
        *,
        clock: Callable[[], float],
        delays: Sequence[float] = PUSH_DELAYS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._inner = inner
        self._push = push
        self._images = images
        self._builds = builds
        self._logs = logs
        self._explain = explain
        self._clock = clock
        self._delays = tuple(delays)
        self._sleep = sleep
        self._under_way: dict[str, asyncio.Task[None]] = {}
        """Engine id → its push."""
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks = Tasks()

    async def get(
        self, repo: ResolvedRepo, environment: Environment, tell: LaunchTell, *, afresh: bool = False
    ) -> Image:
        """The image at once; its push goes on by itself."""
        image = await self._inner.get(repo, environment, tell, afresh=afresh)
        if image.ref is None:
            known = await self._images.get(image.key)
            if known is not None and known.ref is None:
                self._begin(known)
        return image

    async def published(self, image: Image, most_s: float = PUBLISHED_S) -> Image:
        """The image by its registry digest, when its push has ended. Raises RegistryDown."""
        push = self._under_way.get(image.facts.engine_id)
        if push is not None:
            await asyncio.wait([push], timeout=most_s)
        known = await self._images.get(image.key)
        if known is not None and known.ref is not None and known.facts.engine_id == image.facts.engine_id:
            return replace(image, ref=known.ref)
        raise RegistryDown("it to keep the image", "the push has not ended well; it is told in the build's log")

    async def recover(self) -> int:
        """Go on with the pushes that another process left; returns how many."""
        older = await self._images.outlived()
        for image in older:
            # The key's name then leads to it: the newest has to come after it, also where it was there before.
            await self._images.lost(image.key)
        left = [*older, *await self._images.unpushed()]
        for image in left:
            self._begin(image)
        return len(left)

    async def close(self) -> None:
        """Stop what is under way, for the next process to go on with."""
        await self._tasks.close()

    def _begin(self, image: Image) -> None:
        name = image.facts.engine_id
        if name in self._under_way:
            return
        task = self._under_way[name] = self._tasks.start(self._in_turn(image), f"push-{image.key[:12]}")
        task.add_done_callback(lambda _: self._under_way.pop(name, None))

    async def _in_turn(self, image: Image) -> None:
        """One after the other, so that the newest image of a key is the one that its name leads to."""
        async with self._turns.setdefault(image.key, asyncio.Lock()):
            await self._until_pushed(image)

    async def _until_pushed(self, image: Image) -> None:
        await self._logs.flush()  # the build may just have begun to be kept
        build = await self._builds.latest(image.key)
        stream = None if build is None else await self._logs.open(build.id)
        tell: Tell = _nobody if stream is None else stream.tell
        tell(Started(Stage.PUSH, **said("step.push.begun")))
        began = self._clock()
        delays = chain(self._delays, repeat(self._delays[-1]))
        for attempt, delay in enumerate(delays, 1):
            problem = await self._attempt(image, tell)
            if not isinstance(problem, BaseException):
                await self._images.pushed(image.key, image.facts.engine_id, problem)
                tell(Ended(Stage.PUSH, seconds=self._clock() - began, **said("step.push.pushed", image=str(problem))))
                return
            again = isinstance(problem, (RegistryDown, EngineDown)) or attempt < len(self._delays)
            self._tell_problem(problem, tell, delay if again else None)
            if not again:
                return
            await self._sleep(delay)

    async def _attempt(self, image: Image, tell: Tell) -> ImageRef | Exception:
        try:
            return await self._push.push(image, tell)
        except LauncherError as error:
            return error
        except Exception as error:
            log.exception("the push of %s broke", image.key)
            return error

    def _tell_problem(self, problem: Exception, tell: Tell, delay: float | None) -> None:
        facts = about(self._explain(problem, Stage.PUSH))
        if delay is None:
            tell(Progress(Stage.PUSH, **said("step.push.later", **facts)))
        else:
            tell(Progress(Stage.PUSH, **said("step.push.again", seconds=f"{delay:g}", **facts)))


def _nobody(_event: Event) -> None:
    """An image of which no build is known, pushed all the same."""
