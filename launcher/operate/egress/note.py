"""`run/egress.json`: whether the rules are in place. `up` writes it; who starts sessions, and `doctor`, read it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAME = "egress.json"


@dataclass(frozen=True, slots=True)
class Note:
    """Whether sessions may start, and what sees to it, or why not."""

    ok: bool
    seen: str


def write(run: Path, note: Note) -> None:
    """Write it, if it says something new."""
    if read(run) != note:
        new = run / f"{NAME}.new"
        new.write_text(json.dumps(asdict(note)))
        new.chmod(0o644)  # also for a launcher that is another user
        new.replace(run / NAME)


def read(run: Path) -> Note:
    """The note; one that is not there, or damaged, says no."""
    try:
        found = json.loads((run / NAME).read_text())
        return Note(found["ok"] is True, str(found["seen"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Note(ok=False, seen="nobody has set the rules")


def remove(run: Path) -> None:
    """Take it away."""
    (run / NAME).unlink(missing_ok=True)
