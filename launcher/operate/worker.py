"""The build worker (`builders/worker.py`): how it is started, and what it alone is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from builders.variables import CLOSURE, GUIX, NIX_CACHES, NIXPKGS, SITE_CHANNELS, STORE_CACHE, STORES
from launcher.operate import registry
from launcher.operate.account import account
from launcher.operate.children import Child
from launcher.settings import SettingWrong

LIMITS = ("memory", "cpus", "processes", "disk", "log")
"""Of one build: fields of `builders/interface.py` and, after `build_`, settings."""

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.operate.installation import Installation
    from launcher.settings import Settings


def stores(installation: Installation, settings: Settings) -> Path:
    """Where what Nix and Guix have built stays; the folder is made if it is missing."""
    if not settings.stores:
        return installation.path("stores")
    folder = Path(settings.stores).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def told(installation: Installation, settings: Settings) -> dict[str, str]:
    """What builder processes are told of the stores and of what the site has chosen for Nix and Guix. Blocks.

    Raises SettingWrong.
    """
    folder = stores(installation, settings)
    _choose_channels(folder / SITE_CHANNELS, settings.guix_channels)
    said = {STORES: str(folder), CLOSURE: settings.closure, GUIX: settings.guix, NIX_CACHES: settings.nix_caches}
    said[STORE_CACHE] = settings.store_cache
    if settings.nixpkgs is not None:
        said[NIXPKGS] = settings.nixpkgs.model_dump_json()
    return {name: text for name, text in said.items() if text}


def _choose_channels(place: Path, chosen: str) -> None:
    if not chosen:
        place.unlink(missing_ok=True)
        return
    try:
        text = Path(chosen).read_bytes()
    except OSError as error:
        raise SettingWrong("guix_channels", repr(chosen), error.strerror or "it cannot be read") from None
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text)


def child(installation: Installation, settings: Settings, where: str, environ: Mapping[str, str]) -> Child:
    """The worker of this installation; `where` is its registry, `environ` names the engine."""
    socket = installation.path("run", "worker") / "worker.sock"
    username, password = registry.login(installation, settings)
    values = {
        "SOCKET": str(socket),
        "CLIENT": str(account(settings).user),
        "INSTALLATION": installation.id,
        "CHECKOUTS": str(installation.folder / "checkouts"),
        "CONTENTS": str(installation.path("contents")),
        "SCRATCH": str(installation.path("tmp")),
        "REGISTRY": where,
        "PREFIX": settings.registry_prefix,
        "TLS": "1" if settings.registry_tls and settings.registry else "0",
        "CA_FILE": settings.registry_ca_file,
        "SESSION_LOG_DAYS": f"{settings.session_log_days:g}",
        "IMAGE_DAYS": f"{settings.image_days:g}",
        "IMAGE_ROOM": str(settings.image_room_bytes),
        "OWN_REGISTRY": "" if settings.registry else registry.own(installation),
        "ARCHIVE_BYTES": str(settings.archive_max_bytes),
        "LOG_FORMAT": settings.log_format,
        "LOG_LEVEL": settings.log_level,
        "BUILD_LIMIT": str(settings.build_limit),
        "BUILD_TIMEOUT_S": f"{settings.build_timeout_s:.0f}",
        "BUILD_LOCAL_IMAGES": ",".join(settings.build_local_images),
        **{f"BUILD_{name.upper()}": str(getattr(settings, f"build_{name}")) for name in LIMITS},
    }
    env = {**environ, **told(installation, settings)}
    env |= {f"REPOLAUNCH_WORKER_{name}": value for name, value in values.items() if value}
    env |= {"REPOLAUNCH_REGISTRY_USERNAME": username, "REPOLAUNCH_REGISTRY_PASSWORD": password} if username else {}
    return Child("worker", (sys.executable, "-m", "builders.worker"), env, ready_socket=socket, stop_s=30)
