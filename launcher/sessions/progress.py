"""What the hub tells while a server starts, and why one did not."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.catalogue import text
from launcher.errors import DiskFull, EngineDown, LauncherError, SpawnFailed, SpawnRefused, SpawnTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
SPAWN_FAILED = "Spawn failed: "
THEIRS = {text("en", code): code for code in ("step.session.requested",)}
"""What JupyterHub itself tells, word for word; the spawner gives a code (deploy/hub/spawner.py)."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened while a server started. `percent` is of the way to an answering server."""

    message: str
    percent: int
    code: str = ""
    """As the launch's events have it."""


class Progress:
    """Reads the hub's event stream, piece by piece."""

    def __init__(self, told: Callable[[Step], None]) -> None:
        self._told = told
        self._rest = b""
        self._told_steps: set[Step] = set()
        self.ready = False
        self.failure: str | None = None

    def feed(self, piece: bytes) -> None:
        """Read on."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._read(line.removeprefix(b"data:"))

    def _read(self, data: bytes) -> None:
        try:
            event = json.loads(data)
            message, percent = str(event.get("message", "")), int(event.get("progress", 0))
        except (ValueError, TypeError, AttributeError):
            log.warning("the hub's progress has a line that cannot be read: %r", data[:200])
            return
        if event.get("ready"):
            self.ready = True
        elif event.get("failed"):
            self.failure = message
        else:
            step = Step(message, percent, str(event.get("code") or THEIRS.get(message, "")))
            if step not in self._told_steps:  # a stream that broke off is listened to again, from its beginning
                self._told_steps.add(step)
                self._told(step)


def failure(message: str, answer_s: float) -> LauncherError:
    """What a failed spawn's text says (deploy/hub/failures.py writes it: `<code>: <sentence>`, then the last lines)."""
    first, *tail = message.removeprefix(SPAWN_FAILED).split("\n")
    code, _, sentence = first.partition(": ")
    if code == "refused":
        return SpawnRefused(sentence)
    if code == "timeout":
        return SpawnTimeout(round(answer_s))
    if code == "full":
        return DiskFull("container engine")
    if code == "engine":
        return EngineDown("It did not answer while the session started")
    if code == "failed":
        return SpawnFailed(sentence, tuple(tail))
    # Not ours: JupyterHub's own words for what it did not expect.
    return SpawnFailed(first, tuple(tail))
