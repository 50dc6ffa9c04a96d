"""`repolaunch restart`: the running `up`, or one of its parts, is started again while sessions go on."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import psutil
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from launcher.operate import noted
from launcher.operate.installation import SERVICE, InstallationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.operate.installation import Installation

LONGEST_S = 180.0
LOOK_S = 0.1
NO_ANSWER = 500
"""From this status on nobody is there, or the launcher is not."""


async def restart(installation: Installation, part: str) -> None:
    """Return when the service answers again. Raises InstallationError."""
    up = _up(installation)
    service = installation.folder / "run" / SERVICE
    before = service.stat().st_mtime_ns
    if part:
        one = _part(installation, part)
        noted.signal_group(one.pid, signal.SIGTERM)
        await _until(lambda: _has_another(installation, one), f"{part} was not started again.")
    else:
        os.kill(up, signal.SIGUSR2)
        await _until(
            lambda: service.exists() and service.stat().st_mtime_ns != before,
            f"The service was not ready again within {LONGEST_S:.0f} s. Look at what `up` says.",
            alive=up,
        )
    await _answers(installation.service()["local_url"])


def _up(installation: Installation) -> int:
    note = installation.service()
    # The note of an `up` that was killed names a process that may be anybody's by now.
    pid = int(note.get("pid") or 0)
    if not noted.Noted("up", pid, float(note.get("began") or 0)).runs:
        raise InstallationError("The service does not run on this data folder. Start it with `repolaunch up`.")
    if not _children(installation):
        raise InstallationError("Each part runs by itself here: start it again where it is kept (systemctl, compose).")
    return pid


def _children(installation: Installation) -> list[noted.Noted]:
    return noted.read(installation.folder / "run" / "children.json")


def _part(installation: Installation, part: str) -> noted.Noted:
    known = {one.name: one for one in _children(installation) if one.runs}
    if part not in known:
        raise InstallationError(f"There is no {part} here. The parts are: {', '.join(sorted(known))}.")
    return known[part]


def _has_another(installation: Installation, before: noted.Noted) -> bool:
    return any(one.name == before.name and one.pid != before.pid for one in _children(installation))


async def _until(done: Callable[[], bool], sentence: str, alive: int = 0) -> None:
    deadline = asyncio.get_running_loop().time() + LONGEST_S
    while not done():
        if asyncio.get_running_loop().time() > deadline or (alive and not psutil.pid_exists(alive)):
            raise InstallationError(sentence)
        await asyncio.sleep(LOOK_S)


async def _answers(url: str) -> None:
    deadline = asyncio.get_running_loop().time() + LONGEST_S
    while asyncio.get_running_loop().time() < deadline:
        try:
            await AsyncHTTPClient().fetch(HTTPRequest(f"{url}/versions", request_timeout=5, follow_redirects=False))
        except HTTPClientError as error:
            if error.code < NO_ANSWER:
                return
        except OSError:
            pass
        else:
            return
        await asyncio.sleep(LOOK_S)
    raise InstallationError(f"The service does not answer at {url}. Look at the files in logs/.")
