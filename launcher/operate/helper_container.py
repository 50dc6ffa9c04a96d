"""The volume helper's container: the one that writes workspaces. Synchronous; the launcher itself never calls it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from docker.types import Mount

from builders.sockets import connected
from launcher.operate.installation import InstallationError, is_run
from launcher.operate.kept import FOREIGN, Code, Kept, Recipe, failed, sentence_of

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

CODE = Path(__file__).parents[1] / "projects" / "volume_helper"
CAPABILITIES = ("CHOWN", "SETUID", "SETGID", "DAC_OVERRIDE", "FOWNER")
SOCKET = "helper.sock"
WORKSPACES = "/workspaces"
"""Where the container finds them."""
MEMORY = 512 * 2**20
PROCESSES = 128


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
        self._kept = Kept(client, installation, f"repolaunch-{installation}-volumes")
        self._image = image
        self._folders = folders

    @property
    def name(self) -> str:
        """The container's name."""
        return self._kept.name

    def ensure(self, seconds: float = 30) -> None:
        """Return when the helper answers; started, or made anew where something changed. Raises InstallationError."""
        self._make_folders()
        recipe = self._recipe()
        container = self._kept.ensure(recipe)
        try:
            self._wait(recipe, container, seconds)
        except FOREIGN as error:
            raise failed(recipe, sentence_of(error)) from error

    def stop(self) -> None:
        """Stop it and remove its container; no error if there is none. Workspaces stay."""
        self._kept.stop(5)

    def check_alone(self) -> None:
        """Refuse while another copy of this installation runs: its helper would be replaced, and the two would fight.

        One that nobody runs any more, as after a move or a kill, is replaced. Raises InstallationError.
        """
        try:
            container = self._kept.find()
        except FOREIGN as error:
            raise failed(self._recipe(), sentence_of(error)) from None
        mounts = container.attrs.get("Mounts", ()) if container is not None else ()
        for mount in mounts:
            workspaces = Path(mount.get("Source", "/"))
            if mount.get("Destination") != WORKSPACES or workspaces == self._folders.workspaces:
                continue
            if is_run(workspaces.parent):
                raise InstallationError(
                    f"Another copy of this installation runs on the data folder {workspaces.parent}. A restored copy "
                    "has the same identity: stop the other one first, or try the copy on another machine."
                )

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

    def _recipe(self) -> Recipe:
        folders = self._folders
        options = {
            "entrypoint": ["python3", "-s", "-B", "-P", "-m", "volume_helper"],
            "command": [
                *("--workspaces", WORKSPACES, "--checkouts", "/checkouts", "--contents", "/contents"),
                *("--socket", f"/run/volumes/{SOCKET}", "--owner", "{}:{}".format(*folders.owner)),
            ],
            "environment": {"PYTHONPATH": "/opt/repolaunch"},
            "user": "0:0",
            "working_dir": "/",
            "tmpfs": {"/tmp": "size=16m,mode=1777"},  # noqa: S108 - a path in the container
            "network_mode": "none",
            "read_only": True,
            "cap_drop": ["ALL"],
            "cap_add": list(CAPABILITIES),
            "security_opt": ["no-new-privileges:true"],
            "pids_limit": PROCESSES,
            "mem_limit": MEMORY,
            "memswap_limit": MEMORY,
        }
        mounts = (
            Mount(WORKSPACES, str(folders.workspaces), type="bind"),
            Mount("/checkouts", str(folders.checkouts), type="bind", read_only=True),
            Mount("/contents", str(folders.contents), type="bind", read_only=True),
            Mount("/run/volumes", str(folders.run), type="bind"),
        )
        code = Code(CODE, folders.run.with_name("helper-code"), "/opt/repolaunch/volume_helper")
        return Recipe("the volume helper", "volume-helper", self._image, code, options, mounts)

    def _wait(self, recipe: Recipe, container: Container, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not healthy(self._folders.socket):
            container.reload()
            if container.status in ("exited", "dead") or time.monotonic() > until:
                last = container.logs(tail=3).decode(errors="replace").strip().splitlines()
                raise failed(recipe, last[-1] if last else container.status)
            time.sleep(0.05)


def healthy(path: Path, seconds: float = 5) -> bool:
    """Whether a helper answers at this socket. Blocks up to `seconds`."""
    try:
        with connected(path, seconds) as asker:
            asker.sendall(b'{"verb": "health"}\n')
            return b'"ok": true' in asker.recv(4096)
    except OSError:
        return False
