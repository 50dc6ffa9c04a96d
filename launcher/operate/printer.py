"""A launch on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.operate.client import sentences

if TYPE_CHECKING:
    from collections.abc import Callable


class Printer:
    """A line for each stage of a launch, and with `log` each line of its log."""

    def __init__(self, say: Callable[[str], None], *, log: bool = False) -> None:
        """`say` prints a line. Events' texts have no control characters: a terminal may be shown them."""
        self._say = say
        self._log = log

    def __call__(self, event: dict[str, Any]) -> None:
        """Print what the event is worth."""
        kind, stage = event["type"], str(event.get("stage") or "")
        if kind == "ended":
            self._say(f"  {stage:<10} {event['message']} ({event['seconds']:.1f} s)")
        elif kind in {"progress", "started", "queued"}:
            self._say(f"  {stage:<10} {event['message']}")
        elif kind == "failed":
            self._say(f"  {stage:<10} {sentences(event['title'], event['seen'], event['todo'])}")
        elif kind == "cancelled":
            self._say(f"  {event['message']}")
        elif kind == "log" and self._log:
            for line in str(event["message"]).splitlines():
                self._say(f"  {stage:<10} | {line}")
