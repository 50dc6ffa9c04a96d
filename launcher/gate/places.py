"""So many sessions at one time: who comes beyond a limit waits in turn, is told the place, and outlives a restart."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Protocol

from launcher.catalogue import said
from launcher.errors import HubDown, QueueFull
from launcher.events import Ended, Queued, Stage, Started
from launcher.fair import FairQueue, Ticket, Turns
from launcher.gate.words import waits, worth_telling
from launcher.model import Kind, RepoRef
from launcher.store.queue import Waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from launcher.gate.policy import SessionLimits
    from launcher.gate.taken import Taken
    from launcher.model import Account, Project
    from launcher.stages import Asked, Tell
    from launcher.store.queue import QueueRows

log = logging.getLogger(__name__)
LOOK_S = 1.0
"""Seconds between two looks at what the hub runs, while somebody waits."""
BACK_S = 30
"""Seconds after a restart in which nobody goes before one that is still on the way back."""
AGAIN_S = 60
"""Seconds after which it is worth asking again, where nothing better is known."""


class Counts(Protocol):
    """Hears how the queue stands (`launcher.web.metrics.Metrics`)."""

    def queue_stands(self, waiting: int, oldest_s: float, taken: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator has chosen, as of now."""

    limits: Callable[[], SessionLimits]
    has_high_quota: Callable[[RepoRef], bool]

    def of_repository(self, project: Project) -> int:
        """Sessions of this project's repository; 0: no limit."""
        limits = self.limits()
        if not limits.per_repository_high:
            return limits.per_repository
        ref = RepoRef(project.provider, project.spec, project.url, project.ref)
        return limits.per_repository_high if self.has_high_quota(ref) else limits.per_repository


@dataclass(frozen=True, slots=True)
class Turn:
    """How a launch stands in the queue."""

    launch: str
    place: int
    ahead: int
    waiting: int
    """Launches in all."""
    reason: str
    since: float


@dataclass(slots=True, eq=False)
class _Waiter:
    """A launch that is here; one that waited before a restart may still be on its way."""

    launch: str
    project: Project
    tell: Tell
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    told: Queued | None = None


class Places:
    """A `stages.Places`, and the queue of those who wait for one."""

    def __init__(
        self, taken: Taken, rules: Rules, rows: QueueRows, counts: Counts, *, clock: Callable[[], float]
    ) -> None:
        """`clock` tells seconds since the epoch."""
        self._taken, self._rules, self._rows, self._counts, self._clock = taken, rules, rows, counts, clock
        self._queue = FairQueue()
        self._waiters: dict[str, _Waiter] = {}
        self._kept: dict[str, Waiting] = {}
        self._returning: dict[str, Waiting] = {}
        """They waited, or had just had their turn, before a restart, and are still on their way."""
        self._back_until = float("-inf")
        self._served: deque[float] = deque(maxlen=20)
        self._looking: asyncio.Task[None] | None = None
        self._looked = float("-inf")
        self._leaving = False

    # ------------------------------------------------------------------ what a launch does
    @asynccontextmanager
    async def hold(self, asked: Asked, project: Project, tell: Tell) -> AsyncIterator[None]:
        """See `stages.Places`."""
        if asked.account.kind is Kind.OPERATOR:
            self._taken.enter(project)
        else:
            await self._take(asked, project, tell)
        try:
            yield
        finally:
            self._taken.leave(project.id)
            self._serve()

    async def _take(self, asked: Asked, project: Project, tell: Tell) -> None:
        waiter = self._waiters[asked.id] = _Waiter(asked.id, project, tell)
        if asked.id not in self._queue:  # else it waited before a restart already
            put = self._queue.put_first if asked.id in self._returning else self._queue.add
            put(Ticket(asked.id, *self._whose(project)))
        self._returning.pop(asked.id, None)
        try:
            self._serve()
            if not waiter.turn.is_set():
                await self._look()
                self._serve()
            if not waiter.turn.is_set():
                await self._wait(waiter)
        except BaseException:
            if waiter.turn.is_set():
                self._taken.leave(project.id)
            self._waiters.pop(asked.id, None)
            self._queue.remove(asked.id)
            self._serve()
            raise

    async def _wait(self, waiter: _Waiter) -> None:
        most, began = self._rules.limits().waiting, self._clock()
        if waiter.launch not in self._kept:
            if len(self._queue) > most:
                raise QueueFull(len(self._queue) - 1, self._again_s(), self._reason(waiter.project) or "sessions")
            turns, whose = self._queue.turns(waiter.launch), self._whose(waiter.project)
            self._keep(Waiting(waiter.launch, *whose, began, turns.number, turns.group, turns.person))
        waiter.tell(Started(Stage.QUEUE, **said("step.queue.waiting")))
        self._tell_place(waiter)
        await waiter.turn.wait()
        self._served.append(self._clock())
        waited = round(max(0.0, self._clock() - began), 3)
        waiter.tell(Ended(Stage.QUEUE, seconds=waited, **said("step.queue.turn")))

    def forget(self, launch: str) -> None:
        """The launch has ended: it has no place in the queue any more."""
        self._queue.remove(launch)
        self._returning.pop(launch, None)
        if not self._leaving and self._kept.pop(launch, None) is not None:
            self._rows.drop(launch)

    # ------------------------------------------------------------------ who asks from outside
    async def admit(self, account: Account, has_session: Callable[[], Awaitable[str | None]]) -> None:
        """Whether it is worth beginning a launch. Raises QueueFull. `has_session`: the project that it would resume."""
        if account.kind is Kind.OPERATOR or len(self._queue) < self._rules.limits().waiting:
            return
        project = await has_session()
        if project is None or project not in self._taken:
            raise QueueFull(len(self._queue), self._again_s())

    def turn(self, launch: str) -> Turn | None:
        """How a launch stands; None: it does not wait."""
        kept, place = self._kept.get(launch), self._queue.places().get(launch)
        if kept is None or place is None:
            return None
        waiter = self._waiters.get(launch)
        reason = (self._reason(waiter.project) if waiter else "") or "sessions"
        return Turn(launch, place, place - 1, len(self._queue), reason, kept.since)

    def overview(self) -> list[Turn]:
        """All that wait, in the order of their places."""
        return [found for launch in self._queue.places() if (found := self.turn(launch))]

    @property
    def taken(self) -> int:
        """Places that are taken."""
        return len(self._taken)

    def ended(self, project: str) -> None:
        """A session has ended."""
        self._taken.gone(project)
        self._serve()

    # ------------------------------------------------------------------ over restarts
    async def recover(self) -> None:
        """Those who waited when another process ended have their places again. Before launches are begun."""
        self._kept = {one.launch: one for one in await self._rows.read()}
        self._returning, self._back_until = dict(self._kept), self._clock() + BACK_S
        self._queue.restore(
            {
                Ticket(one.launch, one.repository, one.person): Turns(one.repository_turn, one.person_turn, one.number)
                for one in self._kept.values()
                if not one.served
            }
        )
        await self._rows.tidy()

    def leave(self) -> None:
        """From now on what ends here is for the next process to go on with."""
        self._leaving = True

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look, while somebody waits, at what the hub runs; serve, and tell places. Until it is cancelled."""
        while True:
            await sleep(LOOK_S)
            if self._waiters:
                await self._look()
                self._serve()
                for waiter in list(self._waiters.values()):
                    if waiter.told is not None:
                        self._tell_place(waiter)
            now = self._clock()
            since = min((one.since for one in self._kept.values()), default=now)
            self._counts.queue_stands(len(self._queue), max(0.0, now - since), len(self._taken))

    # ------------------------------------------------------------------ whose turn it is
    def _serve(self) -> None:
        while not self._leaving and (ticket := self._queue.take(self._may)) is not None:
            waiter = self._waiters.pop(ticket.id)
            if self._kept:
                self._rows.serve(ticket.id, ticket.group, ticket.person, self._queue.count)
            self._taken.enter(waiter.project)
            waiter.turn.set()

    def _may(self, ticket: Ticket) -> bool:
        waiter = self._waiters.get(ticket.id)
        if waiter is None or self._reason(waiter.project):
            return False
        return waiter.project.id in self._taken or not self._is_behind_who_returns(ticket)

    def _is_behind_who_returns(self, ticket: Ticket) -> bool:
        kept = self._kept.get(ticket.id)
        if not self._returning or self._clock() >= self._back_until or (kept is not None and kept.served):
            return False
        places = self._queue.places()
        return any(places.get(one, 0) < places[ticket.id] for one in self._returning)

    def _reason(self, project: Project) -> str:
        """What there is too much of; `""`: nothing."""
        limits, taken = self._rules.limits(), self._taken
        if project.id in taken:
            return ""
        of_repository = self._rules.of_repository(project)
        limited = bool(limits.in_all or of_repository or limits.per_person)
        there_is = {
            "person": bool(limits.per_person) and taken.of("person", project.owner) >= limits.per_person,
            "repository": bool(of_repository) and taken.of("repository", taken.one_name(project.url)) >= of_repository,
            "sessions": (bool(limits.in_all) and len(taken) >= limits.in_all) or (limited and not taken.known),
            "starting": bool(limits.starting) and taken.starting >= limits.starting,
        }
        return next((reason for reason, holds in there_is.items() if holds), "")

    async def _look(self) -> None:
        """Know what the hub runs; many who ask at one time are one, and a hub that is away is asked again."""
        loop = asyncio.get_running_loop()
        if self._looking is None or self._looking.done():
            if loop.time() - self._looked < LOOK_S / 2:
                return
            self._looking = loop.create_task(self._looked_at())
        await asyncio.shield(self._looking)

    async def _looked_at(self) -> None:
        try:
            await self._taken.look()
        except HubDown as error:
            log.info("who has a place is not known anew: %s", error.reason)
        finally:
            self._looked = asyncio.get_running_loop().time()

    def _keep(self, waiting: Waiting) -> None:
        self._kept[waiting.launch] = waiting
        self._rows.put(waiting)

    def _whose(self, project: Project) -> tuple[str, str]:
        return self._taken.one_name(project.url), project.owner

    def _again_s(self) -> int:
        """Seconds until a place in the queue may be free, by how fast those before were served."""
        if len(self._served) < 2:  # noqa: PLR2004  # a pace needs two
            return AGAIN_S
        return min(600, max(5, ceil((self._served[-1] - self._served[0]) / (len(self._served) - 1))))

    def _tell_place(self, waiter: _Waiter) -> None:
        place, reason = self._queue.places()[waiter.launch], self._reason(waiter.project) or "starting"
        now = Queued(Stage.QUEUE, waits("en", reason, place), place, place - 1, reason)
        if worth_telling(waiter.told, now):
            waiter.told = now
            waiter.tell(now)
