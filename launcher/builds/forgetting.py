"""A repository is forgotten: its images, archived commits, store environments, checkouts, and what was found in it.

An operator's wish, so neither how much room there is nor when it was launched matters. What a project starts from
stays, so that every workspace can still be opened; an environment that another repository declares too is that one's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from launcher.builds.collection import SOURCE, Goal, Kept, Plan, plan
from launcher.builds.holdings import PLACES
from launcher.builds.uses import LAUNCHING, PINNED, PROJECT, PUSHING
from launcher.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from launcher.builds.collecting import Holder, Turns
    from launcher.builds.collection import Part, Thing
    from launcher.store.origins import Known, OriginRows
    from launcher.store.uses import UseRows

ELSEWHERE = "another repository declares the same environment"
_ALL = Goal(frees=1 << 62)


class Checkouts(Protocol):
    """The files of commits on disk (`launcher.repos.checkouts.GitCheckouts`)."""

    def kept(self, url: str) -> int:
        """How many of a repository's are kept though nobody uses them."""
        ...

    async def forget(self, url: str) -> None:
        """Remove those."""
        ...


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What goes, or went, of a repository."""

    url: str
    plan: Plan
    projects: tuple[str, ...]
    """The projects that use what stays, of whatever repository, and the repository's own: all of them can be opened."""
    checkouts: int
    trees: int
    """Of which it is forgotten what they declare."""
    done: bool


class Forgetting:
    """Of one installation."""

    def __init__(
        self,
        holder: Holder,
        rows: tuple[UseRows, OriginRows],
        turns: Turns,
        checkouts: Checkouts,
        *,
        pins: Callable[[], Collection[str]],
        forgotten: Callable[[str, str], None],
    ) -> None:
        """`pins`: keys, digests and commits that stay; `forgotten` hears of the commits whose files are gone."""
        self._holder = holder
        self._uses, self._origins = rows
        self._turns = turns
        self._checkouts = checkouts
        self._pins = pins
        self._forgotten = forgotten
        self._tasks = Tasks()

    async def look(self, url: str) -> Forgotten:
        """What `forget` would do now. Raises RegistryDown, EngineDown, BuildBroken."""
        known = await self._origins.known(url)
        return await self._told(url, known, await self._planned(url, known), done=False)

    async def forget(self, url: str) -> Forgotten:
        """Forget the repository at this address, but for what has to stay. It does not end with who asked for it.

        Raises RegistryDown, EngineDown, BuildBroken; what went is gone, and the next one goes on.
        """
        return await asyncio.shield(self._tasks.start(self._everywhere(url), "forget a repository"))

    async def close(self) -> None:
        """Stop what is under way; to be asked for again."""
        await self._tasks.close()

    async def _everywhere(self, url: str) -> Forgotten:
        known = await self._origins.known(url)
        wanted = await self._planned(url, known)
        going, stays = [], list(wanted.kept)
        for one in wanted.going:
            why = await self._goes(url, one.thing)
            if why:
                stays.append(Kept(one.thing, why))
            else:
                going.append(one)
        for place in PLACES:
            if any(one.thing.place == place for one in going):
                await self._holder.clear(place)
        told = await self._told(url, known, Plan(tuple(going), tuple(stays)), done=True)
        if not known.running:
            await self._checkouts.forget(url)
            await self._origins.forget(url, _kept_keys(told.plan))
        return told

    async def _planned(self, url: str, known: Known) -> Plan:
        uses = await self._uses.read()
        things: list[Thing] = []
        parts: list[Part] = []
        for held in (await self._holder.holdings(measure=False)).values():
            things += [one for one in held.things if _is_of(one, url, known)]
            parts += held.parts
        return plan(things, parts, lambda one: self._reason(one, known, uses.pushing), _ALL)

    def _reason(self, thing: Thing, known: Known, pushing: Collection[str]) -> str:
        """Why it stays; `""`: it goes."""
        names = {thing.name, thing.digest, thing.key, thing.commit} - {""}
        is_image = thing.kind != SOURCE
        row = {
            LAUNCHING: known.running,
            PINNED: bool(names & set(self._pins())),
            PROJECT: is_image and any(names & of for of in known.projects.values()),
            ELSEWHERE: is_image and _key(thing) in known.elsewhere,
            PUSHING: is_image and _key(thing) in pushing,
        }
        return next((why for why, holds in row.items() if holds), "")

    async def _goes(self, url: str, thing: Thing) -> str:
        """Let it go; why it stays, where it is used by now."""
        turn = self._turns.of(_key(thing))
        if thing.kind != SOURCE and turn.locked():
            return LAUNCHING
        async with turn:
            why = self._reason(thing, await self._origins.known(url), (await self._uses.read()).pushing)
            if why:
                return why
            await self._holder.forget(thing)
            if thing.kind == SOURCE:
                self._forgotten(thing.source, thing.commit)
            elif thing.kind == "image":
                await self._uses.forget(thing.name)
        return ""

    async def _told(self, url: str, known: Known, made: Plan, *, done: bool) -> Forgotten:
        trees = 0 if known.running else await self._origins.trees(url, _kept_keys(made))
        checkouts = 0 if known.running else self._checkouts.kept(url)
        return Forgotten(url, made, tuple(sorted(known.projects)), checkouts, trees, done)


def _is_of(thing: Thing, url: str, known: Known) -> bool:
    return thing.source == url if thing.kind == SOURCE else _key(thing) in known.keys


def _key(thing: Thing) -> str:
    return thing.key or thing.name


def _kept_keys(made: Plan) -> frozenset[str]:
    """Of environments that stay for this repository's sake: it is still known that they are its."""
    return frozenset(_key(one.thing) for one in made.kept if one.thing.kind != SOURCE and one.reason != ELSEWHERE)
