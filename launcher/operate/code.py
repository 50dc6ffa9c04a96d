"""Whether the program's files are still those with which this process began.

New files under an `up` of before are started by it with what the old version told its parts: they may end again and
again, for reasons that their last words do not name.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

from launcher.operate.installation import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PLACES = ("launcher", "builders", "deploy/hub")
CHANGED = (
    " The program's files have changed since the service was started: `repolaunch restart` starts all of it in the "
    "version that is there now."
)


def digest(root: Path = ROOT) -> str:
    """Of all our Python files as they are now. Blocks, some milliseconds."""
    found = hashlib.sha256()
    for path in sorted(path for place in PLACES for path in (root / place).rglob("*.py")):
        found.update(f"{path.relative_to(root)}\0".encode())
        try:
            found.update(path.read_bytes())
        except OSError:  # it is just being replaced
            found.update(b"gone")
    return found.hexdigest()


@cache
def began() -> str:
    """The digest when this was called for the first time."""
    return digest()


def changed() -> str:
    """A sentence where the files are others now, else `""`. Blocks."""
    return "" if digest() == began() else CHANGED
