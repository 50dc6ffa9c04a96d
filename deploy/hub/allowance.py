"""What the launcher says that a session may have, checked, and the container that follows from it.

The hub obeys the launcher, and adds the walls that no answer can lower.
"""

from __future__ import annotations

import hashlib
import posixpath
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from docker.types import Mount, Ulimit
from pydantic import BaseModel, ConfigDict, Field, model_validator

from builders.oci import held, view
from deploy.hub.seccomp import profile

if TYPE_CHECKING:
    from pathlib import Path

    from builders.oci.view import View

PORT = 8888
Absolute = Annotated[str, Field(pattern=r"^/")]
OOM_SCORE = 500
"""When the machine runs out of memory, a session goes before hub, launcher or engine."""
SHM_BYTES = 64 * 2**20
HOSTNAME = "session"
"""Says nothing about the machine or the project."""
OPEN_FILES = 16384
LOG = {"type": "json-file", "config": {"max-size": "1m", "max-file": "2"}}
PASSWD = "/etc/passwd"  # noqa: S105  # a file
MOST_OF_PASSWD = 2**20
CERTIFICATES = "/etc/repolaunch/ca-certificates.crt"
"""Where a session finds the authorities that this site trusts (launcher/sessions/resolve.py names it too)."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Volume(_Answer):
    """The project's workspace: a named volume over a folder of the host, mounted once."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")]
    device: Absolute
    target: Absolute


class Allowance(_Answer):
    """The launcher's answer. An image is named by a digest only: an engine's image id or a registry's digest.

    It names one folder of the host, its project's workspace (see `Ground.mounts`), and no file.
    """

    image: Annotated[str, Field(pattern=r"^(\S+@)?sha256:[0-9a-f]{64}$")]
    volume: Volume
    environment: dict[str, str]
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    entrypoint: tuple[str, ...] | None = None
    working_dir: Absolute
    user: Literal["1000:1000"]
    memory: Annotated[int, Field(ge=64 * 2**20)]
    cpu: Annotated[float, Field(gt=0)]
    pids: Annotated[int, Field(ge=16)]
    tmpfs: dict[Absolute, str]
    passwd: Annotated[str, Field(max_length=MOST_OF_PASSWD)] = ""
    """What the session's `/etc/passwd` says; `""`: what the image says."""
    certificates: bool = False
    """Whether it is to have the site's certificate authorities."""
    args: tuple[str, ...] = ()
    runtime: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]*$")] = ""
    launch: Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")] = ""
    """Which launch starts it, for the log."""

    @model_validator(mode="after")
    def _nothing_hides_the_workspace(self) -> Self:
        workspace = self.volume.target
        for path, options in self.tmpfs.items():
            if path != posixpath.normpath(path) or path.startswith("//") or ":" in path:
                raise ValueError(f"a tmpfs at {path!r}")
            if _is_at_or_below(path, workspace) or _is_at_or_below(workspace, path):
                raise ValueError(f"a tmpfs at {path}, where it would hide the workspace")
            if not {"nosuid", "nodev"} <= set(options.split(",")) or ",size=" not in options:
                raise ValueError(f"a tmpfs at {path} without its limits")
        return self

    def lacks(self, declared: dict[str, Any] | None) -> list[str]:
        """Which of the volumes that an image declares are not replaced by a tmpfs: Docker would make a disk there."""
        return sorted(path for path in declared or () if "/" + posixpath.normpath(path).lstrip("/") not in self.tmpfs)


def _is_at_or_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


@dataclass(frozen=True, slots=True)
class Ground:
    """What sessions may see of this machine's files. The hub knows that by itself: the launcher cannot widen it."""

    workspaces: Path
    """The folder whose folders are the projects' workspaces, by their ids."""
    own: Path
    """A folder of the hub for the files that it writes for sessions."""
    certificates: str = ""
    """The file with the certificate authorities that this site trusts; `""`: there is none."""
    stores: Path | None = None
    """The Nix and Guix stores of this machine, of which a session may see its own environment; None: it sees none."""

    def is_workspace_of(self, project: str, device: str) -> bool:
        """Say whether `device` is this project's workspace, and nothing else."""
        return device == str(self.workspaces / project)

    def view(self, image: str) -> View | None:
        """What a session of this image sees of the stores, by what builders wrote there and nobody else. Blocks."""
        return view.anywhere(self.stores, image) if self.stores else None

    def hold(self, seen: View, container: str, installation: str) -> bool:
        """Keep what a container sees; False: it is gone. Blocks. Raises OSError."""
        return held.hold(seen, container, installation)

    def mounts(self, allowance: Allowance, seen: View | None = None) -> list[Mount]:
        """The files that a session reads. Blocks: it may write one."""
        sources = dict(seen.mounts) if seen else {}
        if allowance.passwd:
            sources[PASSWD] = str(self._passwd(allowance.passwd))
        if allowance.certificates and self.certificates:
            sources[CERTIFICATES] = self.certificates
        return [Mount(target, source, type="bind", read_only=True) for target, source in sources.items()]

    def _passwd(self, text: str) -> Path:
        path = self.own / hashlib.sha256(text.encode()).hexdigest()
        if not path.exists():
            self.own.mkdir(parents=True, exist_ok=True)
            # Two sessions may start at once, each with the same text: each has a file of its own until it is whole.
            new = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
            new.write_text(text, encoding="utf-8")
            new.chmod(0o644)
            new.replace(path)
        return path


def host_config(allowance: Allowance, network: str, files: list[Mount]) -> dict[str, Any]:
    """Arguments of docker's `create_host_config`: limits as allowed, walls as always, `files` by `Ground.mounts`."""
    volume = Mount(allowance.volume.target, allowance.volume.name, type="volume", no_copy=True)
    return {
        "network_mode": network,
        "runtime": allowance.runtime or None,
        "mounts": [volume, *files],
        "mem_limit": allowance.memory,
        "memswap_limit": allowance.memory,
        "nano_cpus": round(allowance.cpu * 1e9),
        "pids_limit": allowance.pids,
        "tmpfs": dict(allowance.tmpfs),
        "shm_size": SHM_BYTES,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true", f"seccomp={profile()}"],
        "ulimits": [Ulimit(name="nofile", soft=OPEN_FILES, hard=OPEN_FILES), Ulimit(name="core", soft=0, hard=0)],
        # The machine's own search domains would say where it stands.
        "dns_search": ["."],
        "privileged": False,
        "ipc_mode": "private",
        "oom_score_adj": OOM_SCORE,
        "init": True,
        "log_config": LOG,
        "auto_remove": False,
        "restart_policy": {"Name": "no"},
    }


def container(allowance: Allowance, environment: dict[str, str], labels: dict[str, str]) -> dict[str, Any]:
    """Arguments of docker's `create_container`, but `name` and `host_config`."""
    return {
        "image": allowance.image,
        "command": [*allowance.command, *allowance.args],
        "entrypoint": None if allowance.entrypoint is None else list(allowance.entrypoint),
        "environment": environment,
        "user": allowance.user,
        "working_dir": allowance.working_dir,
        "hostname": HOSTNAME,
        "labels": labels,
        "ports": [PORT],
    }
