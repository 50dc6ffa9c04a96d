"""What every launch goes through to get its image: wrappers, one behaviour each.

Composed from the outside in (`launcher/compose/builds.py`):

    Shared(Launching(Pushing(Cached(Recorded(Limited(the builder))))))

The first five are stages.Images, the last two interface.Build. `Recorded` and `Pushing` are in `recorded.py`,
`Launching` is in `collecting.py`.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from launcher.builds.interface import BuildRequest
from launcher.catalogue import about, said
from launcher.errors import RegistryDown
from launcher.events import Progress, Stage
from launcher.fair import FairQueue, Ticket
from launcher.model import Image
from launcher.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.builds.interface import Build, Engine, Finder, Inspect
    from launcher.events import Event
    from launcher.model import Environment, ImageFacts, ResolvedRepo
    from launcher.stages import Explain, Images, LaunchTell, Tell
    from launcher.store.images import ImageRows


# --------------------------------------------------------------------------- one flight per key
class _Audience:
    """Tells many launches the same; one that joins late is told first what it missed. A LaunchTell."""

    def __init__(self) -> None:
        self._said: list[Callable[[LaunchTell], None]] = []
        self._tells: list[LaunchTell] = []

    def __call__(self, event: Event) -> None:
        self._say(lambda tell: tell(event))

    def splice(self, stream: str) -> None:
        self._say(lambda tell: tell.splice(stream))

    def resume(self, last: int) -> None:
        self._say(lambda tell: tell.resume(last))

    def join(self, tell: LaunchTell) -> None:
        for say in self._said:
            say(tell)
        self._tells.append(tell)

    def leave(self, tell: LaunchTell) -> int:
        """How many are left."""
        self._tells = [other for other in self._tells if other is not tell]
        return len(self._tells)

    def _say(self, say: Callable[[LaunchTell], None]) -> None:
        self._said.append(say)
        for tell in self._tells:
            say(tell)


_Wanted = tuple[str, bool, str]
"""A key, whether it is to be built afresh, and of a private repository for whom: each builds with their own credential.

(Of one key one build runs at a time all the same, and the next one finds it: `Cached`.)
"""


@dataclass(slots=True, eq=False)
class _Flight:
    task: asyncio.Task[Image]
    audience: _Audience


class Shared:
    """One `get` per key at a time, however many ask, and one afresh. Stopped when the last of them was cancelled."""

    def __init__(self, inner: Images) -> None:
        self._inner = inner
        self._flights: dict[_Wanted, _Flight] = {}
        self._tasks = Tasks()

    async def get(
        self, repo: ResolvedRepo, environment: Environment, tell: LaunchTell, *, afresh: bool = False
    ) -> Image:
        """Join the flight of this key, or begin one."""
        wanted = (environment.key, afresh, repo.private.account if repo.private else "")
        flight = self._flights.get(wanted)
        if flight is None or flight.task.done() or flight.task.cancelling():
            flight = self._begin(repo, environment, wanted, flight)
        flight.audience.join(tell)
        try:
            return await asyncio.shield(flight.task)
        finally:
            if not flight.audience.leave(tell) and not flight.task.done():
                flight.task.cancel()

    async def close(self) -> None:
        """Stop every flight. After the launches are closed."""
        await self._tasks.close()

    def _begin(self, repo: ResolvedRepo, environment: Environment, wanted: _Wanted, before: _Flight | None) -> _Flight:
        audience = _Audience()

        async def fly() -> Image:
            if before is not None and not before.task.done():
                await asyncio.wait([before.task])  # it is being stopped; never two builds of one key
            return await self._inner.get(repo, environment, audience, afresh=wanted[1])

        flight = _Flight(self._tasks.start(fly(), f"image-{environment.key[:12]}"), audience)
        self._flights[wanted] = flight
        flight.task.add_done_callback(lambda _: self._forget(wanted, flight))
        return flight

    def _forget(self, wanted: _Wanted, flight: _Flight) -> None:
        if self._flights.get(wanted) is flight:
            del self._flights[wanted]
        if not flight.task.cancelled():
            flight.task.exception()  # whoever waited has it; if nobody did, nobody is missing it


# --------------------------------------------------------------------------- look before building
class Cached:
    """An image that exists is not built: the registry is asked first, then what the engine still has.

    Of one key one build runs at a time; who has waited for another's looks again.
    """

    def __init__(
        self, inner: Images, finder: Finder, inspect: Inspect, engine: Engine, rows: ImageRows, explain: Explain
    ) -> None:
        self._inner = inner
        self._finder = finder
        self._inspect = inspect
        self._engine = engine
        self._rows = rows
        self._explain = explain
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(
        self, repo: ResolvedRepo, environment: Environment, tell: LaunchTell, *, afresh: bool = False
    ) -> Image:
        """Look, then build."""
        found = None if afresh else await self._find(repo, environment, tell)
        if found is not None:
            return found
        turn = self._turns.setdefault(environment.key, asyncio.Lock())
        waits = turn.locked()
        async with turn:
            found = await self._find(repo, environment, tell) if waits and not afresh else None
            return found or await self._inner.get(repo, environment, tell, afresh=afresh)

    async def _find(self, repo: ResolvedRepo, environment: Environment, tell: LaunchTell) -> Image | None:
        """Look, with one request to the registry; a registry that is down is told, and stops nothing."""
        known = await self._rows.get(environment.key)
        try:
            ref = await self._finder.find(environment.key, environment.space)
        except RegistryDown as error:
            told = self._explain(error, Stage.IMAGE)
            tell(Progress(Stage.IMAGE, **said("step.image.registry", **about(told))))
            return await self._local(known)
        if known is not None and known.ref == ref:
            return known
        if ref is None or (known is not None and known.ref is None):
            # What the registry has while ours is on its way there is older: ours was built afresh.
            local = await self._local(known)
            if local and known and known.ref:
                await self._rows.lost(environment.key)
            if local or ref is None:
                return local
        facts = await self._inspect.inspect(ref, BuildRequest(repo, environment), tell)
        image = Image(environment.key, facts, ref, space=environment.space)
        await self._rows.save(image)
        await self._rows.pushed(image.key, facts.engine_id, ref)
        return image

    async def _local(self, known: Image | None) -> Image | None:
        """The image by the engine's own id, if the engine has it: no registry is needed for that name."""
        if known is None or not await self._engine.has(known.facts.engine_id):
            return None
        return replace(known, ref=None)


# --------------------------------------------------------------------------- so many at a time
@dataclass(slots=True, eq=False)
class _Waiting:
    tell: Tell
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    told: int = 0


class Limited:
    """So many builds at a time, in turns between repositories. Who waits is told its place."""

    def __init__(self, inner: Build, at_once: Callable[[], int]) -> None:
        """`at_once` says how many, as of now; call `changed` when that is more than it was."""
        self._inner = inner
        self._at_once = at_once
        self._running = 0
        self._queue = FairQueue()
        self._waiting: dict[str, _Waiting] = {}
        self._names = itertools.count()

    async def build(self, request: BuildRequest, tell: Tell) -> ImageFacts:
        """Build when it is this build's turn."""
        await self._enter(request.repo.url, tell)
        try:
            return await self._inner.build(request, tell)
        finally:
            self._running -= 1
            self.changed()

    def changed(self) -> None:
        """Begin as many as may begin now."""
        while self._running < self._at_once() and (ticket := self._queue.take(lambda _: True)) is not None:
            self._running += 1
            self._waiting.pop(ticket.id).turn.set()
        self._tell_places()

    async def _enter(self, repository: str, tell: Tell) -> None:
        name, waiting = str(next(self._names)), _Waiting(tell)
        self._waiting[name] = waiting
        self._queue.add(Ticket(name, repository))
        try:
            self.changed()
            await waiting.turn.wait()
        except asyncio.CancelledError:
            if waiting.turn.is_set():
                self._running -= 1
            self._waiting.pop(name, None)
            self._queue.remove(name)
            self.changed()
            raise

    def _tell_places(self) -> None:
        for name, place in self._queue.places().items():
            waiting = self._waiting[name]
            if waiting.told != place:
                waiting.told = place
                turn = said("step.build.next") if place == 1 else said("step.build.ahead", count=place - 1)
                waiting.tell(Progress(Stage.BUILD, **turn))
