"""What an earlier session has left in the engine is out of the way before the next one starts."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Docker = Callable[..., Awaitable[Any]]
    """A call of the engine, by its name and arguments."""

STOP_GRACE_S = 10
"""Seconds between SIGTERM and SIGKILL: the server saves its notebooks and ends its kernels."""
LOOK_S = 0.1
CONFLICT = 409
"""The engine's status for what somebody else is doing just now."""


async def clear_old(docker: Docker, labels: Mapping[str, str]) -> None:
    """Remove the last session's container, kept for its log; one that runs unknown to the hub is stopped first."""
    mine = [f"{name}={value}" for name, value in labels.items()]
    for old in await docker("containers", all=True, filters={"label": mine}):
        await clear(docker, old)


async def clear(docker: Docker, old: Mapping[str, Any]) -> None:
    """Have one container (its `Id` and `State`) gone. Raises APIError where the engine cannot end it."""
    try:
        if old["State"] == "paused":
            await docker("unpause", old["Id"])
        if old["State"] in {"running", "paused"}:
            # One writer per workspace; it may save first.
            await docker("stop", old["Id"], timeout=STOP_GRACE_S)
        # Without its volumes, whatever they are: a session has no volume but its project's, which stays.
        await docker("remove_container", old["Id"], v=False, force=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != CONFLICT:
            raise
        await _gone(docker, old["Id"])


async def _gone(docker: Docker, container: str) -> None:
    """Wait until one is gone that somebody else removes just now: the supervisor does, after a hub was killed."""
    with contextlib.suppress(NotFound):
        async with asyncio.timeout(STOP_GRACE_S):
            while True:
                await docker("inspect_container", container)
                await asyncio.sleep(LOOK_S)
