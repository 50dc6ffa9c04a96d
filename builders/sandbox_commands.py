"""How the two containers of a pair are run: what each sees, and what it may (builders/sandbox.py)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from builders import engine
from builders import sandbox_files as files
from builders.process import Command
from builders.sandbox_door import Reach, Rights
from builders.sandbox_start import WAITING
from builders.variables import NETWORK

if TYPE_CHECKING:
    from pathlib import Path

    from builders.interface import Limits
    from builders.sandbox import Daemon

BRIDGE = "bridge"
"""The engine's own network."""
SOCKETS = "/run/daemon"
"""Where both containers see the folder with the daemon's socket."""
WORK = "/run/work"
"""Where the daemon has room on the disk for its sandboxes."""
SOURCE = "/source"
"""Where the evaluator sees the author's files."""
# A sandbox mounts a /proc of its own: the kernel forbids that where the engine hides parts of the container's.
_UNMASKED = ("--security-opt=systempaths=unconfined",)
_LEASH = 'exec 3<&0 </dev/null; "$@" & tool=$!; { read -r _ <&3; kill -9 "$tool"; } & wait "$tool"'
"""Run a program until it ends or stdin does; when this shell ends, the engine ends all that is left in there."""


def daemon_command(of: Daemon, *, network: bool) -> Command:
    """Runs the daemon."""
    uid = files.owner()
    return Command(
        argv=(
            *_docker_run(of, of.container, uid, of.workshop.limits, network=network),
            *(f"--security-opt=seccomp={of.folder / files.SECCOMP}", *_UNMASKED),
            *("--tmpfs", f"/tmp:uid={uid},gid={uid},mode=700,nosuid,nodev"),  # noqa: S108  # a container's own
            *(_mount(source, target, "rw") for source, target in stores_seen(of)),
            *(_mount(of.folder / files.DAEMON, SOCKETS, "rw"), _mount(of.folder / files.WORK, WORK, "rw")),
            *(f"--env={key}={value}" for key, value in of.tool.daemon_env.items()),
            *_started(of.tool.image, of.tool.daemon),
        ),
        env=of.env,
        leash=True,
    )


def evaluator_command(of: Daemon, name: str, rights: Rights, socket: Path | None, argv: tuple[str, ...]) -> Command:
    """Runs what a stranger wrote."""
    uid = files.owner() + 1
    withheld = () if rights.reach is Reach.DAEMON else of.tool.withheld
    # It may be ready before the daemon is.
    waiting = ("sh", "-c", WAITING, f"{SOCKETS}/{of.tool.socket}") if socket else ()
    return Command(
        argv=(
            *_docker_run(of, name, uid, of.workshop.limits, network=rights.network),
            *("--tmpfs", f"/tmp:uid={uid},gid={uid},mode=700,exec,nosuid,nodev"),  # noqa: S108  # a container's own
            *(_mount(source, target, "ro") for source, target in stores_seen(of) if target not in withheld),
            *((_mount(socket, SOCKETS, "ro"),) if socket else ()),
            _mount(of.folder / files.SOURCE, SOURCE, "ro"),
            *(_mount(of.workshop.stores / kept, target, "rw") for kept, target in rights.keeps.items()),
            *(f"--env={key}={value}" for key, value in of.tool.evaluator_env.items()),
            *_started(of.tool.image, (*waiting, *argv)),
        ),
        env=of.env,
        leash=True,
    )


def _docker_run(of: Daemon, name: str, uid: int, limits: Limits, *, network: bool) -> tuple[str, ...]:
    """What both containers have."""
    return (
        *("docker", "run", "--interactive", f"--name={name}", f"--user={uid}:{uid}", "--pull=never"),
        *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--log-driver=none"),
        f"--network={_network(of) if network else 'none'}",
        *((f"--cgroup-parent={of.lease.parent}",) if of.lease.parent else ()),
        *(f"--memory={limits.memory}", f"--memory-swap={limits.memory}", f"--cpus={limits.cpus}"),
        *(f"--pids-limit={limits.processes}", "--ulimit=core=0", "--workdir=/"),
        *(f"--label={key}={value}" for key, value in of.workshop.marks.items()),
        _mount(of.folder / files.PASSWD, "/etc/passwd", "ro"),
        # By name only: the tool takes the value from its environment; no list of processes shows it.
        *(f"--env={key}" for key in engine.PROXIES if network and key in of.env),
        "--env=HOME=/tmp",
    )


def _network(of: Daemon) -> str:
    """A build engine has walls around all that is in it; on the engine of the sessions one network has them."""
    return BRIDGE if of.lease.parent else os.environ.get(NETWORK) or BRIDGE


def _started(image: str, argv: tuple[str, ...]) -> tuple[str, ...]:
    return "--entrypoint=/bin/sh", image, "-c", _LEASH, "sh", *argv


def stores_seen(of: Daemon) -> list[tuple[Path, str]]:
    """The folders that a pair sees, and where."""
    own = [(of.workshop.stores / name, target) for name, target in of.tool.folders.items()]
    return own + [(of.workshop.common / name, target) for name, target in of.tool.shared.items()]


def _mount(source: Path, target: str, mode: str) -> str:
    # Not `--volume`: that would make a missing folder, and take a colon in a name for its own.
    read_only = ",readonly" if mode == "ro" else ""
    return f'--mount=type=bind,"source={source}",target={target}{read_only}'
