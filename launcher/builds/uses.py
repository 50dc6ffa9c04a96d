"""Why something must not be collected, in words: a function of what the database says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.builds.collection import SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from launcher.builds.collection import Thing
    from launcher.store.uses import Uses

FRESH_S = 3600.0
"""What was used within this time stays, however little room there is: a launch may be about to start from it."""
PROJECT = "a project uses it"
PINNED = "it is pinned"
PUSHING = "it is not in the registry yet"
LAUNCHING = "its repository is being launched"
FRESH = "it was used within the last hour"
OTHERS = "it is none of ours"
KINDS = ("image", SOURCE, "environment", "channels", "wheels")


def dated(thing: Thing, uses: Uses) -> Thing:
    """The thing with the time of its last launch, where the database knows of a later one."""
    times = (thing.used, uses.used.get(thing.name, 0.0), uses.launched.get((thing.source, thing.commit), 0.0))
    return replace(thing, used=max(times) if thing.kind == SOURCE else max(times[:2]))


def reasons(uses: Uses, pins: Collection[str], now: float) -> Callable[[Thing], str]:
    """Says of each thing why it has to stay; `""`: it need not. `pins`: keys, digests and commits."""
    pinned = set(pins)

    def reason(thing: Thing) -> str:
        is_source = thing.kind == SOURCE
        known = {thing.name, thing.digest, thing.commit} - {""}
        row = {
            OTHERS: thing.kind not in KINDS,
            PROJECT: bool(known & uses.projects) or (is_source and (thing.source, thing.commit) in uses.commits),
            PINNED: bool(known & pinned),
            PUSHING: thing.name in uses.pushing,
            LAUNCHING: is_source and (thing.source, "") in uses.launched,
            FRESH: now - thing.used < FRESH_S,
        }
        return next((why for why, holds in row.items() if holds), "")

    return reason
