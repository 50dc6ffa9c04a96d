"""Nix as it runs in a pair of containers (builders/sandbox.py): its settings, and what they are for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from builders.sandbox import Tool
from builders.sandbox_commands import SOCKETS, WORK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builders.nix.site import Cache

IMAGE = "localhost/repolaunch/nix:1"
VERSION = "2.26"
"""Of the Nix in that image (deploy/images/nix): it evaluates, and makes the environment of a shell."""
STORE = "/nix/store"
_GUARD = "/usr/local/lib/repolaunch-readonly.so"
_CACHES = "/caches"
_SOCKET = f"unix://{SOCKETS}/socket"

_DAEMON = {
    # A step that cannot be put into a sandbox fails: Nix's own default is to build it without one.
    "sandbox": "true",
    "sandbox-fallback": "false",
    "sandbox-paths": "/bin/sh=/bin/busybox",
    # One uid builds: the container's own. There are no others in there.
    "build-users-group": "",
    # Nobody may lift these settings: an evaluator's wishes are ignored.
    "trusted-users": "",
    "allowed-users": "*",
    "build-dir": WORK,
    "substituters": "",
    "builders": "",
    "experimental-features": "",
    "keep-build-log": "false",
    "require-sigs": "true",
}
_EVALUATOR = {
    # Which caches are asked is not said here: the daemon would take a client's wish for fewer. Only that they are:
    # without a network Nix would think that there are none.
    "substitute": "true",
    "experimental-features": "nix-command flakes",
    "allow-import-from-derivation": "false",
    "accept-flake-config": "false",
    "use-registries": "false",
    "flake-registry": "",
    "eval-cache": "false",
    "pure-eval": "true",
    "warn-dirty": "false",
}
_PATIENCE = {
    "connect-timeout": "10",
    "stalled-download-timeout": "30",
    "download-attempts": "2",
}
PATIENCE = tuple(word for setting in _PATIENCE.items() for word in ("--option", *setting))
"""Of what an evaluator fetches: a host that accepts and never answers must not take all the time of an evaluation."""
_GIT = {"GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": "60"}
"""The same, of git: bytes each second, and for how many seconds it may be less."""


def builds(caches: Sequence[Cache], *, lenient: bool = False) -> Tool:
    """Nix as it builds: what these caches have, and signed, is copied.

    `lenient`: what cannot be copied is built; else that ends the build, so that a cache that hangs is waited for once.
    """
    if not caches:
        return NIX
    shared = {one.folder: f"{_CACHES}/{number}" for number, one in enumerate(caches) if one.folder}
    settings = {
        **_DAEMON,
        "substitute": "true",
        "substituters": " ".join(one.url or f"file://{shared[one.folder]}" for one in caches),
        "trusted-public-keys": " ".join(one.key for one in caches),
        "connect-timeout": "5",
        "stalled-download-timeout": "15",
        "download-attempts": "2",
    }
    return replace(
        NIX,
        shared=shared,
        daemon_env={**NIX.daemon_env, "NIX_CONFIG": _config(settings)},
        # The daemon takes this wish of a client's, whoever that is, for its own.
        evaluator_env={
            **NIX.evaluator_env,
            "NIX_CONFIG": _config({**_EVALUATOR, "fallback": "true" if lenient else "false"}),
        },
    )


def guarded(*arguments: str) -> tuple[str, ...]:
    """A Nix whose steps cannot write what they are given (deploy/images/nix/readonly.c), or none."""
    return ("sh", "-c", f'[ -r {_GUARD} ] && LD_PRELOAD={_GUARD} exec nix "$@"', "nix", *arguments)


def _config(settings: dict[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


NIX = Tool(
    name="nix",
    image=IMAGE,
    folders={"nix": "/nix"},
    unlisted=("nix/store", "nix/store/.links"),
    daemon=guarded("--extra-experimental-features", "nix-command", "daemon"),
    socket="socket",
    daemon_env={
        "NIX_REMOTE": "local",
        "NIX_DAEMON_SOCKET_PATH": f"{SOCKETS}/socket",
        "NIX_CONFIG": _config(_DAEMON),
    },
    evaluator_env={"NIX_REMOTE": _SOCKET, "NIX_CONFIG": _config(_EVALUATOR), **_GIT},
)
