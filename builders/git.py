"""What git says of a checkout: nothing that is in it is run, and nothing that this machine is set to counts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from builders.process import Command, output

if TYPE_CHECKING:
    from pathlib import Path


async def said(checkout: Path, *arguments: str, limit_s: float) -> tuple[int, str]:
    """Its status and what it prints. Raises ProgramMissing, and TimeoutError after so many seconds."""
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        # The checkout may belong to another user of this machine; nothing in it is run by what we ask.
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "GIT_CONFIG_KEY_1": "core.fsmonitor",
        "GIT_CONFIG_VALUE_1": "false",
    }
    return await output(Command(("git", "-C", str(checkout), *arguments), env, stderr=False), time_limit_s=limit_s)
