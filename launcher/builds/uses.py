"""Why something must not be collected, in words: a function of what the database says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from launcher.builds.collection import Thing
    from launcher.store.uses import Uses

FRESH_S = 3600.0
"""What was used within this time stays, however little room there is: a launch may be about to start from it."""
PROJECT = "a project uses it"
PINNED = "it is pinned"
PUSHING = "it is not in the registry yet"
LAST = "a link led to it last: the only copy, should its repository go"
LAUNCHING = "its repository is being launched"
FRESH = "it was used within the last hour"


def dated(thing: Thing, uses: Uses) -> Thing:
    """The thing with the time of its last launch, where the database knows of a later one."""
    times = (thing.used, uses.used.get(thing.name, 0.0), uses.launched.get((thing.source, thing.commit), 0.0))
    return replace(thing, used=max(times) if thing.kind == "source" else max(times[:2]))


def reasons(uses: Uses, pins: Collection[str], now: float) -> Callable[[Thing], str]:
    """Says of each thing why it has to stay; `""`: it need not. `pins`: keys, digests and commits."""

    def reason(thing: Thing) -> str:
        if {thing.name, thing.digest} & uses.projects or (thing.source, thing.commit) in _commits(thing, uses):
            return PROJECT
        if ({thing.name, thing.digest, thing.commit} - {""}) & set(pins):
            return PINNED
        if thing.name in uses.pushing:
            return PUSHING
        if thing.kind == "source" and thing.is_last:
            return LAST
        if thing.kind == "source" and (thing.source, "") in uses.launched:
            return LAUNCHING
        return FRESH if now - thing.used < FRESH_S else ""

    return reason


def _commits(thing: Thing, uses: Uses) -> Collection[tuple[str, str]]:
    return uses.commits if thing.kind == "source" else ()
