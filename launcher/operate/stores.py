"""The stores of Nix and Guix, as the engine of the sessions sees them. Synchronous; asked before anything starts."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import docker.errors
from docker.types import Mount

from launcher.operate import engine, worker

if TYPE_CHECKING:
    from docker import DockerClient

    from launcher.operate.installation import Installation
    from launcher.settings import Settings

TODO = "Keep the folder `stores` on the engine's machine, or say `mount_stores = false`."
NOT_SEEN = (
    "The container engine does not see the folder of the stores, so sessions get Nix and Guix environments as whole "
    f"images, which takes longer. {TODO}"
)
_INSIDE = "/stores"


def are_seen(client: DockerClient, installation: Installation, settings: Settings) -> bool:
    """Whether a container of this engine would see a file that we write to the stores; False, too, if none is to.

    The container is never started.
    """
    if not settings.mount_stores:
        return False
    folder = worker.stores(installation, settings)
    label, identity = installation.label.split("=")
    probe = folder / f".seen-{secrets.token_hex(16)}"
    probe.touch()
    made = ""
    try:
        mount = Mount(_INSIDE, str(folder), type="bind", read_only=True)
        made = client.api.create_container(
            engine.BASE_IMAGE,
            ["/never-run"],
            labels={label: identity, "repolaunch.kind": "look"},
            network_disabled=True,
            host_config=client.api.create_host_config(mounts=[mount]),
        )["Id"]
        client.api.get_archive(made, f"{_INSIDE}/{probe.name}")
    except docker.errors.APIError:
        return False
    finally:
        probe.unlink()
        if made:
            client.api.remove_container(made, force=True)
    return True
