"""How long each stage took the last time that a repository was launched: people wait better when they know."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from launcher.events import State
from launcher.store.rows import EventRow, LaunchRow, SpliceRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncSession

    from launcher.store.database import Database

MOST: Final = 500
"""Repositories that are remembered."""
FRESH_S: Final = 300.0
"""So long what was looked up is good enough: a class that clicks one link is one question."""
LAUNCHES: Final = 5
"""Launches that are looked at: of the newest that built nothing, the build is not known."""


_ENDED = '{"type":"ended",%'


class Durations:
    """Read from the logs that are kept."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Mapping[str, float]]] = OrderedDict()

    async def of(self, url: str) -> Mapping[str, float]:
        """Stage → seconds, of the newest launch of this repository that went well and had that stage.

        Private launches tell nobody anything.
        """
        now = self._clock()
        known = self._known.get(url)
        if known is not None and now - known[0] < FRESH_S:
            return known[1]
        async with self._database.reading() as session:
            found = await _look(session, url)
        self._known[url] = (now, found)
        self._known.move_to_end(url)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return found


def newest_of(url: str) -> Select[str]:
    """Ids of the newest launches of a repository that went well, of those that everybody may know of."""
    of_all = (LaunchRow.url == url, LaunchRow.state == State.READY.value, LaunchRow.private.is_(False))
    return select(LaunchRow.id).where(*of_all).order_by(LaunchRow.created.desc()).limit(LAUNCHES)


async def _look(session: AsyncSession, url: str) -> dict[str, float]:
    launches = list(await session.scalars(newest_of(url)))
    found: dict[str, float] = {}
    for launch in launches:
        sources = await session.scalars(select(SpliceRow.source).where(SpliceRow.stream == launch))
        # Each event's text begins with its type (codec.py): this finds some ten rows among thousands of lines.
        ended = select(EventRow.body).where(EventRow.stream.in_([launch, *sources]), EventRow.body.like(_ENDED))
        for body in await session.scalars(ended):
            event = json.loads(body)
            found.setdefault(str(event["stage"]), float(event["seconds"]))
    return found
