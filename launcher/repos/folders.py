"""Removing what a stranger's repository made, however deep it is."""

from __future__ import annotations

import logging
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)
LIMIT_S = 600


def remove(path: Path) -> None:
    """Remove a file or a whole tree, if it is there; never follows a link. Blocks; what fails is logged.

    By `rm`: Python's own way recurses, and a repository may be deeper than Python's stack.
    """
    try:
        done = subprocess.run(
            ["rm", "-rf", "--", str(path)], capture_output=True, text=True, check=False, timeout=LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        log.exception("%s could not be removed", path.name)
        return
    if done.returncode:
        log.error("%s could not be removed: %s", path.name, done.stderr.strip()[-500:])
