"""Bring the database's tables up to date, in a child process: alembic would cost the launcher its memory for ever."""

from __future__ import annotations

import asyncio
import os
import sys


class UpgradeFailed(Exception):
    """The tables could not be brought up to date. Its text is the child's sentence."""


async def upgrade(url: str, *, timeout_s: float = 300) -> str:
    """Run the migrations that are missing; returns the revision. Raises UpgradeFailed."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "launcher.store", "upgrade"),
        env={**os.environ, "REPOLAUNCH_DATABASE_URL": url},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        lines = err.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        raise UpgradeFailed(lines[-1])
    return out.decode().strip()
