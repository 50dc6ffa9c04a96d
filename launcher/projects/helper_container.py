"""How `up` starts and stops the volume helper's container. Synchronous; the launcher itself never calls it.

Restarts: the engine starts a helper that crashed again (`on-failure`), but never one that `stop` stopped, and none
after a restart of the machine or the engine: the folders may not be mounted by then. `ensure` does that.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import docker.errors
import requests.exceptions
from docker.types import LogConfig, Mount

from launcher.errors import WorkspaceFailed

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

CODE = Path(__file__).parent / "volume_helper"
CAPABILITIES = ("CHOWN", "SETUID", "SETGID", "DAC_OVERRIDE", "FOWNER")
SOCKET = "helper.sock"
MEMORY = 512 * 2**20
PROCESSES = 128
FLAVOUR = "repolaunch.helper"
"""Label with the digest of what a container was made from: another digest, another container."""
FOREIGN = (docker.errors.DockerException, requests.exceptions.RequestException)


@dataclass(frozen=True, slots=True)
class Folders:
    """Absolute folders of the host; all are made if they are missing."""

    workspaces: Path
    checkouts: Path
    contents: Path
    run: Path
    """Where the helper's socket appears."""
    client: tuple[int, int] | None = None
    """User and group who may ask the helper; None: ours."""

    @property
    def owner(self) -> tuple[int, int]:
        """Whose the helper's socket is."""
        return self.client or (os.getuid(), os.getgid())

    @property
    def socket(self) -> Path:
        """The helper's socket: what `HelperVolumes` is given."""
        return self.run / SOCKET


class HelperContainer:
    """The one resident container that writes workspaces."""

    def __init__(self, client: DockerClient, installation: str, image: str, folders: Folders) -> None:
        """`image` is any that has `python3` (3.11 or later), `git`, `timeout` and `rm`: the site's base image."""
        self._client = client
        self._installation = installation
        self._image = image
        self._folders = folders

    @property
    def name(self) -> str:
        """The container's name."""
        return f"repolaunch-{self._installation}-volumes"

    def ensure(self, seconds: float = 30) -> None:
        """Return when the helper answers; started, or made anew where image or code changed. Raises WorkspaceFailed."""
        self._make_folders()
        try:
            container = self._current() or self._create()
            if container.status != "running":
                container.start()
            self._wait(container, seconds)
        except FOREIGN as error:
            raise WorkspaceFailed(f"the volume helper cannot be started: {_sentence(error)}") from error

    def stop(self) -> None:
        """Stop it and remove its container; no error if there is none. Workspaces stay. Raises WorkspaceFailed."""
        try:
            container = self._find()
            if container is not None:
                container.stop(timeout=5)
                container.remove(force=True)
        except docker.errors.NotFound:
            return
        except FOREIGN as error:
            raise WorkspaceFailed(f"the volume helper cannot be stopped: {_sentence(error)}") from error

    def _make_folders(self) -> None:
        folders = self._folders
        for folder, mode in (
            # git writes a new workspace as the session's user, who must come this far but not see the names.
            (folders.workspaces, 0o711),
            (folders.checkouts, 0o755),
            (folders.contents, 0o700),
            (folders.run, 0o700),
        ):
            folder.mkdir(mode=mode, parents=True, exist_ok=True)

    def _find(self) -> Container | None:
        try:
            return self._client.containers.get(self.name)
        except docker.errors.NotFound:
            return None

    def _current(self) -> Container | None:
        """The container, if it is one that `_create` would make now; another is removed."""
        container = self._find()
        if container is not None and container.labels.get(FLAVOUR) != self._flavour():
            container.remove(force=True)
            return None
        return container

    def _flavour(self) -> str:
        """A digest of all that a container is made from."""
        code = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(CODE.glob("*.py"))}
        image = self._client.images.get(self._image).id
        # This module too: the flags are in it.
        ours = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        parts = [image, code, ours, str(self._folders), *self._folders.owner]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _code(self) -> Path:
        """A copy of the helper's code that the engine can mount: ours may be inside a container of its own."""
        copy = self._folders.run.with_name("helper-code")
        shutil.copytree(CODE, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        return copy

    def _create(self) -> Container:
        folders = self._folders
        mounts = [
            Mount("/workspaces", str(folders.workspaces), type="bind"),
            Mount("/checkouts", str(folders.checkouts), type="bind", read_only=True),
            Mount("/contents", str(folders.contents), type="bind", read_only=True),
            Mount("/run/volumes", str(folders.run), type="bind"),
            Mount("/opt/repolaunch/volume_helper", str(self._code()), type="bind", read_only=True),
        ]
        return self._client.containers.create(
            self._image,
            entrypoint=["python3", "-s", "-B", "-P", "-m", "volume_helper"],
            command=[
                *("--workspaces", "/workspaces", "--checkouts", "/checkouts", "--contents", "/contents"),
                *("--socket", f"/run/volumes/{SOCKET}", "--owner", "{}:{}".format(*folders.owner)),
            ],
            name=self.name,
            labels={
                "repolaunch.installation": self._installation,
                "repolaunch.kind": "volume-helper",
                FLAVOUR: self._flavour(),
            },
            environment={"PYTHONPATH": "/opt/repolaunch"},
            user="0:0",
            working_dir="/",
            mounts=mounts,
            tmpfs={"/tmp": "size=16m,mode=1777"},  # noqa: S108 - a path in the container
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            cap_add=list(CAPABILITIES),
            security_opt=["no-new-privileges:true"],
            pids_limit=PROCESSES,
            mem_limit=MEMORY,
            memswap_limit=MEMORY,
            restart_policy={"Name": "on-failure", "MaximumRetryCount": 10},
            log_config=LogConfig(type="json-file", config={"max-size": "5m", "max-file": "2"}),
        )

    def _wait(self, container: Container, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not healthy(self._folders.socket):
            container.reload()
            if container.status in ("exited", "dead") or time.monotonic() > until:
                last = container.logs(tail=3).decode(errors="replace").strip().splitlines()
                raise WorkspaceFailed(f"the volume helper does not start: {last[-1] if last else container.status}")
            time.sleep(0.05)


def healthy(path: Path, seconds: float = 5) -> bool:
    """Whether a helper answers at this socket. Blocks up to `seconds`."""
    try:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
            asker.settimeout(seconds)
            # By the folder's descriptor: the address of a unix socket has at most 107 bytes.
            asker.connect(f"/proc/self/fd/{folder}/{path.name}")
            asker.sendall(b'{"verb": "health"}\n')
            return b'"ok": true' in asker.recv(4096)
    except OSError:
        return False
    finally:
        os.close(folder)


def _sentence(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error).splitlines()[0][:300]
