"""A project's workspace as a volume of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import NotFound
from docker.types import DriverConfig

from deploy.hub.failures import FAILED, REFUSED, NoSession

if TYPE_CHECKING:
    from deploy.hub.allowance import Ground, Volume
    from deploy.hub.clearing import Docker


async def have_volume(docker: Docker, ground: Ground, wanted: Volume, project: str, installation: str) -> None:
    """Have the engine know the volume. Raises NoSession for one that is not this project's workspace."""
    if not ground.is_workspace_of(project, wanted.device):
        said = "The launcher named a workspace that is not this project's."
        raise NoSession(REFUSED, said, log_message=f"{said} {wanted.device}")
    options = {"type": "none", "o": "bind", "device": wanted.device}
    try:
        found = await docker("inspect_volume", wanted.name)
    except NotFound:
        driver = DriverConfig("local", options)
        labels = {"repolaunch.installation": installation, "repolaunch.kind": "workspace"}
        found = await docker("create_volume", wanted.name, driver["Name"], driver_opts=driver["Options"], labels=labels)
    # Docker takes a volume of that name whatever is behind it.
    if (found.get("Options") or {}).get("device") != wanted.device:
        raise NoSession(FAILED, "The workspace's volume leads to another folder; the operator has to look.")
