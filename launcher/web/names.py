"""Labels out of what strangers write: only the names that come most often have one, the rest are `other`.

Each label value costs Prometheus and us memory for ever. Who launches a thousand repositories once each does not take
a label from one that a class comes back to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

OTHER: Final = "other"
LONGEST: Final = 200
COUNTED: Final = 20
"""Names that are counted, for each that may have a label."""


class Names:
    """At most `most` labels; who comes more often than the least of them takes its place."""

    def __init__(self, most: int, gone: Callable[[str], None]) -> None:
        """`gone` is told of a name that lost its label."""
        self._most, self._gone = most, gone
        self._seen: dict[str, int] = {}
        self._labels: set[str] = set()

    def label(self, name: str, *, may_enter: bool) -> str:
        """The label for one more of `name`. Only one that `may_enter`, or did before, is ever shown."""
        if name in self._labels:
            self._count(name)
            return name
        if not may_enter or not self._most or len(name) > LONGEST:
            return OTHER
        self._count(name)
        if len(self._labels) >= self._most:
            least = min(self._labels, key=lambda one: self._seen.get(one, 0))
            if self._seen[name] <= self._seen.get(least, 0):
                return OTHER
            self._labels.discard(least)
            self._gone(least)
        self._labels.add(name)
        return name

    def _count(self, name: str) -> None:
        self._seen[name] = self._seen.get(name, 0) + 1
        if len(self._seen) > self._most * COUNTED:  # who has no label counts from the beginning again
            self._seen = {one: count for one, count in self._seen.items() if one in self._labels or one == name}
