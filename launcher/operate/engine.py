"""What `up` needs of the container engine: a client, the sessions' bridge and a look at what is there.

Synchronous (Docker's SDK is): call it in a thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import docker
import docker.errors
import requests.exceptions

from launcher.operate.installation import InstallationError
from launcher.settings import SettingWrong

if TYPE_CHECKING:
    from docker.models.networks import Network

    from launcher.operate.installation import Installation

BASE_IMAGE = "localhost/repolaunch/base:1"
PYTHON_IMAGE = "localhost/repolaunch/python:1"
"""What environments from Python lock files are built on."""


def connect() -> docker.DockerClient:
    """A client of the engine. Raises InstallationError when none answers."""
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError):
        raise InstallationError(
            "No container engine answers. Install Docker Engine and start it, or run `make setup` as root on Debian."
        ) from None
    return client


def ensure_network(client: docker.DockerClient, installation: Installation) -> str:
    """The sessions' bridge, made at first use; containers on it cannot reach each other. Returns its gateway."""
    network = _ensure(client, installation, installation.network, bridge(installation))
    gateway = network.attrs["IPAM"]["Config"][0].get("Gateway")
    if not gateway:
        raise InstallationError(f"The network {installation.network} has no gateway. Remove it and start again.")
    return str(gateway).partition("/")[0]


def ensure_fetching(client: docker.DockerClient, installation: Installation) -> str:
    """The bridge of what Nix and Guix fetch on the engine of the sessions, made likewise. Returns its interface."""
    interface = f"rf-{installation.id}"
    _ensure(client, installation, installation.fetching, interface)
    return interface


def _ensure(client: docker.DockerClient, installation: Installation, name: str, interface: str) -> Network:
    label, identity = installation.label.split("=")
    found = client.networks.list(names=[name], filters={"label": installation.label})
    network = next((one for one in found if one.name == name), None)
    if network is not None:
        return network
    options = {"com.docker.network.bridge.enable_icc": "false", "com.docker.network.bridge.name": interface}
    try:
        network = client.networks.create(name, driver="bridge", labels={label: identity}, options=options)
    except docker.errors.APIError as error:
        raise InstallationError(
            f"The network {name} could not be made: {error.explanation}. "
            "Remove networks that are no longer used, or give the engine more address pools."
        ) from None
    network.reload()
    return network


def root(client: docker.DockerClient) -> str:
    """The folder where the engine keeps its images, as the engine names it; "" where it does not say."""
    return str(client.info().get("DockerRootDir") or "")


def runtimes(client: docker.DockerClient) -> list[str]:
    """The names of the runtimes that the engine knows."""
    return sorted(client.info().get("Runtimes") or {})


def check_runtime(client: docker.DockerClient, name: str) -> None:
    """Look whether the engine knows the runtime of sessions. Raises SettingWrong."""
    known = runtimes(client)
    if name and name not in known:
        reason = f"the container engine has no runtime of that name; it has {', '.join(known)}"
        raise SettingWrong("session_runtime", repr(name), reason)


def bridge(installation: Installation) -> str:
    """The interface that the sessions' network is on this machine."""
    return f"rl-{installation.id}"


def is_here(client: docker.DockerClient, image: str) -> bool:
    """Whether the engine has an image of this name."""
    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        return False
    return True
