"""What killed processes left in the container engine: found by the installation's label, removed by id.

Nothing here, or anywhere in the project, asks the engine to prune: what is not ours is never touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import docker.errors
import requests.exceptions

from launcher.operate import engine, sessions
from launcher.operate.installation import InstallationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.operate.installation import Installation

log = logging.getLogger(__name__)
KIND, PROJECT = "repolaunch.kind", "repolaunch.project"
SESSION = "session"
LOOK_S = 30
CONFLICT = 409
"""The engine's status for what somebody else is doing just now."""
SAVE_S = 10
"""What a server has to save and end."""
FOREIGN = (docker.errors.DockerException, requests.exceptions.RequestException, InstallationError)


async def end_unknown_sessions(hub_api_url: str, installation: Installation) -> None:
    """End the sessions that a hub killed in the middle of a start left: they run, and the hub knows nothing of them.

    The engine is asked before the hub: what the hub starts meanwhile is not on the list. A session that ended by
    itself is kept for its log until the project's next start.
    """
    with _told("sessions that the hub does not know"):
        running = await asyncio.to_thread(_sessions, installation)
        if not running:
            return
        known = await sessions.active(hub_api_url, installation)
        if known is None:
            return
        for container, project in running.items():
            if f"project-{project}" not in known:
                log.warning("the session of %s is unknown to the hub and is ended", project)
                await asyncio.to_thread(_remove, container, SAVE_S)


async def keep_ending_unknown_sessions(hub_api_url: str, installation: Installation) -> None:
    """Again and again: an engine that hung does in the end what the hub has given up waiting for."""
    while True:
        await asyncio.sleep(LOOK_S)
        await end_unknown_sessions(hub_api_url, installation)


async def remove_container(name: str, installation: Installation) -> None:
    """Remove our container of that name, if there is one."""
    with _told(f"the container {name}"):
        for container in await asyncio.to_thread(_named, name, installation):
            await asyncio.to_thread(_remove, container, SAVE_S)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """What cannot be removed now is logged; the next start tries again."""
    try:
        yield
    except FOREIGN as error:
        log.warning("%s could not be looked for: %s", what, error)


def _sessions(installation: Installation) -> dict[str, str]:
    """Ids of containers that run or were never started, and their projects."""
    filters = {"label": [installation.label, f"{KIND}={SESSION}"], "status": ["running", "created"]}
    found = engine.connect().api.containers(all=True, filters=filters)
    return {one["Id"]: one["Labels"].get(PROJECT, "") for one in found}


def _named(name: str, installation: Installation) -> list[str]:
    found = engine.connect().api.containers(all=True, filters={"label": installation.label, "name": f"^/?{name}$"})
    return [one["Id"] for one in found]


def _remove(container: str, grace_s: int) -> None:
    api = engine.connect().api
    try:
        if grace_s:
            api.stop(container, timeout=grace_s)
        # Volumes that an image declared were made for this container alone; named ones, workspaces, stay.
        api.remove_container(container, v=True, force=True)
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if error.status_code != CONFLICT:  # the hub, which starts the project's next session, removes it just now
            raise
