"""The registry of our own: who may use it, and how it is started.

It listens on this machine only, but a build runs on this machine too: without a password, any Dockerfile could list and
fetch what other people's repositories were built into.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt

from launcher.operate import leftovers
from launcher.operate.children import Child
from launcher.operate.installation import LOOPBACK, write_private

if TYPE_CHECKING:
    from launcher.operate.installation import Installation
    from launcher.settings import Settings

log = logging.getLogger(__name__)

USERNAME = "repolaunch"
SECRET = "registry-password"  # noqa: S105  # the name of its file
REALM = "repolaunch"
ROUNDS = 4
"""The least that bcrypt knows: the registry computes it for every request, and nobody guesses 32 random bytes."""
CONFIG = "registry.yml"
EMPTY = hashlib.sha256().hexdigest()
"""A blob that is of no bytes."""
READY_S = 120
"""A container's image may have to be fetched first."""


def address(installation: Installation, settings: Settings) -> str:
    """host:port of the registry: our own, unless the settings name another."""
    return settings.registry or f"{LOOPBACK}:{installation.ports.registry}"


def login(installation: Installation, settings: Settings) -> tuple[str, str]:
    """User name and password at the registry that is used, ours or the operator's; `""` for one that wants none."""
    if settings.registry:
        return settings.registry_username, settings.registry_password
    return USERNAME, installation.secret(SECRET)


def child(installation: Installation, environ: dict[str, str]) -> Child:
    """The distribution's own registry program; where there is none, the registry's image."""
    port = installation.ports.registry
    passwords = _passwords(installation)
    url = f"http://{LOOPBACK}:{port}/v2/"
    program = shutil.which("docker-registry")
    folder = installation.path("registry")

    async def before() -> None:
        if program is None:  # the client that is killed leaves it running
            await leftovers.remove_container(f"repolaunch-{installation.id}-registry", installation)
        await asyncio.to_thread(mend, folder)

    if program is None:
        return Child("registry", container(installation, passwords), environ, url, ready_s=READY_S, before=before)
    path = installation.path("run") / CONFIG
    path.write_text(json.dumps(_config(installation, passwords), indent=1))  # JSON is YAML
    return Child(
        "registry", (program, "serve", str(path)), environ | {"OTEL_TRACES_EXPORTER": "none"}, url, before=before
    )


def mend(folder: Path) -> None:
    """Remove what a registry that was killed had begun to write. Blocks; call it while none runs.

    It makes a manifest's file, and a link, first and writes it then. One of no bytes it would answer with 500 for ever,
    also to who lists or collects; one that is not there is pushed again.
    """
    for place, folders, names in os.walk(folder / "docker" / "registry" / "v2"):
        if "_uploads" in folders:
            folders.remove("_uploads")
        if Path(place).name == EMPTY:
            continue
        for name in {"data", "link"} & set(names):
            path = Path(place, name)
            if path.stat().st_size == 0:
                path.unlink()
                log.warning("removed a file that the registry had begun to write: %s", path.relative_to(folder))


def own(installation: Installation) -> str:
    """What the build worker has to know to clear it up (`builders/turns.py`, Own), as JSON."""
    collect: tuple[str, ...] = ("docker-registry", "garbage-collect", str(installation.path("run") / CONFIG))
    if shutil.which(collect[0]) is None:
        inside = ("registry", "garbage-collect", "/etc/docker/registry/config.yml")
        collect = ("docker", "exec", f"repolaunch-{installation.id}-registry", *inside)
    folder = installation.path("registry")
    return json.dumps({"folder": str(folder), "turns": str(turns(installation)), "collect": collect})


def turns(installation: Installation) -> Path:
    """Beside which file who copies the registry, puts something there or clears it up takes turns."""
    return installation.path("run") / "registry"


def container(installation: Installation, passwords: Path) -> tuple[str, ...]:
    """The registry's image, in the foreground."""
    port, folder = installation.ports.registry, installation.path("registry")
    name = f"repolaunch-{installation.id}-registry"
    return (
        *("docker", "run", "--rm", "--name", name, "--label", installation.label),
        *("--user", f"{os.getuid()}:{os.getgid()}", "--publish", f"{LOOPBACK}:{port}:5000"),
        *("--volume", f"{folder}:/var/lib/registry", "--env", "REGISTRY_STORAGE_DELETE_ENABLED=true"),
        *("--volume", f"{passwords}:/etc/htpasswd:ro", "--env", "REGISTRY_AUTH=htpasswd"),
        *("--env", f"REGISTRY_AUTH_HTPASSWD_REALM={REALM}", "--env", "REGISTRY_AUTH_HTPASSWD_PATH=/etc/htpasswd"),
        "registry:2",
    )


def _config(installation: Installation, passwords: Path) -> dict[str, object]:
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(installation.path("registry"))},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"{LOOPBACK}:{installation.ports.registry}"},
        "auth": {"htpasswd": {"realm": REALM, "path": str(passwords)}},
    }


def _passwords(installation: Installation) -> Path:
    """The file in which the registry looks its user up."""
    path = installation.path("run") / "registry-htpasswd"
    hashed = bcrypt.hashpw(installation.secret(SECRET).encode(), bcrypt.gensalt(ROUNDS)).decode()
    write_private(path, f"{USERNAME}:{hashed}\n")
    return path
