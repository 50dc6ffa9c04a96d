"""What a run of kills has counted, and what must not have happened."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Everything that is printed in the end. A run has passed when `wrong` is empty."""

    wrong: list[str] = field(default_factory=list)
    victims: Counter[str] = field(default_factory=Counter)
    launches: Counter[str] = field(default_factory=Counter)
    """By how they ended: `ready`, or the error's code and what was seen."""
    took: list[float] = field(default_factory=list)
    """Seconds of each launch, kills included."""
    again: Counter[str] = field(default_factory=Counter)
    """Requests that were not acknowledged and were made again, by what came instead."""
    collections: int = 0
    collected: int = 0
    """Images that nobody used and that went, seen from outside."""
    saves: int = 0
    cuts: Counter[str] = field(default_factory=Counter)
    """A kernel's websocket that closed, by victim."""
    answered: int = 0
    probes: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Requests to sessions that were not answered, by victim and by what came instead."""
    gaps: dict[str, list[float]] = field(default_factory=dict)
    back: dict[str, list[float]] = field(default_factory=dict)
    """Seconds until every part answered again, by victim."""

    def summary(self) -> str:
        """For people, and for a program: one JSON object."""
        return json.dumps(
            {
                "rounds": sum(self.victims.values()),
                "victims": self.victims,
                "launches": self.launches,
                "launches took s": spread(self.took),
                "requests made again": self.again,
                "collections": self.collections,
                "collected": self.collected,
                "saves acknowledged": self.saves,
                "kernel answers": self.answered,
                "kernel websockets cut": self.cuts,
                "requests to sessions": self.probes,
                "of them refused": self.refused,
                "gap in s": {name: spread(values) for name, values in self.gaps.items()},
                "all parts back after s": {name: spread(values) for name, values in self.back.items()},
                "wrong": self.wrong,
            },
            indent=1,
        )


def spread(values: list[float]) -> str:
    """Median and largest."""
    return f"median {statistics.median(values):.2f}, max {max(values):.2f}, of {len(values)}" if values else "none"
