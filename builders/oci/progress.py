"""How far the bytes of an image have come, told at most once a second."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from builders.lines import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builders.lines import Tell

_EVERY_S = 1.0


class Counter:
    """Counts what passes, of `total` bytes. For several threads."""

    def __init__(self, tell: Tell, text: str, total: int) -> None:
        """`text` says what is being done."""
        self._tell = tell
        self._text = text
        self._total = max(total, 1)
        self._done = 0
        self._told = (-1, time.monotonic())
        self._lock = threading.Lock()

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks, counted."""
        for chunk in chunks:
            self.add(len(chunk))
            yield chunk

    def add(self, count: int) -> None:
        """So many bytes more are done."""
        with self._lock:
            self._done += count
            percent = min(100, 100 * self._done // self._total)
            if percent == self._told[0] or time.monotonic() - self._told[1] < _EVERY_S:
                return
            self._told = (percent, time.monotonic())
        self._tell(Progress(self._text, percent))
