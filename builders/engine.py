"""The container engine, seen from a builder process: one connection, one translation of its errors."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from builders.errors import DiskFull, EngineDown
from builders.sockets import lasting
from builders.text import says_full
from builders.variables import BUILD_ENGINE, CONTROL_SOCKET, ENGINE_SOCKET, ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

DISK = "container engine"
"""The place of which is told that it is full."""
TIMEOUT_S = 60
"""Seconds for one answer of the engine (a busy one takes its time); the verb's own time limit is another."""

_TOOL = tuple(
    name for name in ENVIRONMENT if name not in {"HOME", "DOCKER_CONFIG", BUILD_ENGINE} and not name.startswith("PIP_")
)
PROXIES = tuple(name for name in ENVIRONMENT if name.lower().endswith("_proxy"))

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def this_platform() -> str:
    """This machine as OCI names it: `linux/amd64`."""
    machine = platform.machine().lower()
    return f"linux/{_MACHINES.get(machine, machine)}"


def build_control() -> Path | None:
    """Where leases for builds are given; None: the one engine builds too, without limits."""
    folder = os.environ.get(BUILD_ENGINE)
    return Path(folder, CONTROL_SOCKET) if folder else None


def build_address() -> str:
    """Of the engine that builds, for this process and those that it starts. Raises EngineDown."""
    try:
        return f"unix://{lasting(Path(os.environ[BUILD_ENGINE], ENGINE_SOCKET))}"
    except OSError:
        raise EngineDown("the build engine does not run") from None


@contextlib.contextmanager
def client(timeout_s: int = TIMEOUT_S, address: str = "") -> Iterator[DockerClient]:
    """A connection to the engine at `address`, else of DOCKER_HOST, else of this machine.

    Raises EngineDown, DiskFull, then and later.
    """
    # docker and requests take 0.2 s to import, which `detect` does without.
    import docker  # noqa: PLC0415
    import docker.errors  # noqa: PLC0415
    import requests  # noqa: PLC0415
    import urllib3  # noqa: PLC0415

    try:
        where = docker.DockerClient(base_url=address, timeout=timeout_s) if address else None
        with contextlib.closing(where or docker.DockerClient.from_env(timeout=timeout_s)) as connection:
            connection.ping()
            yield connection
    except docker.errors.APIError as error:
        if says_full(str(error.explanation)):
            raise DiskFull(DISK) from error
        raise EngineDown(str(error.explanation or error)) from error
    except (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise EngineDown(_reason(error)) from error


@contextlib.contextmanager
def tool_environment(date: int) -> Iterator[dict[str, str]]:
    """The environment of the `docker` tool: nobody's home, nobody's logins, no colours. Gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="repolaunch-docker-") as home:
        plugins = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker", "cli-plugins")
        if plugins.is_dir():
            # Where a person has installed buildx for himself only.
            Path(home, "cli-plugins").symlink_to(plugins)
        yield {
            **{name: os.environ[name] for name in _TOOL if name in os.environ},
            "HOME": home,
            "DOCKER_CONFIG": home,
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "BUILDKIT_PROGRESS": "plain",
            # One image, not an index of an image and papers about it.
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
            "SOURCE_DATE_EPOCH": str(date),
        }


def _reason(error: BaseException) -> str:
    """The innermost cause in words: the SDK wraps "No such file or directory" four times."""
    inner: BaseException = error
    while (cause := inner.__cause__ or inner.__context__) is not None:
        inner = cause
    if isinstance(inner, FileNotFoundError):
        return "its socket is not there"
    if isinstance(inner, ConnectionRefusedError):
        return "nothing listens at its address"
    return (inner.strerror or str(inner)) if isinstance(inner, OSError) else str(inner)
