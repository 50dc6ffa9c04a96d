"""Nix as it runs in a pair of containers (builders/sandbox.py): its settings, and what they are for."""

from __future__ import annotations

from builders.sandbox import SOCKETS, WORK, Tool

IMAGE = "localhost/repolaunch/nix:1"
VERSION = "2.26"
"""Of the Nix in that image (deploy/images/nix): it evaluates, and makes the environment of a shell."""
STORE = "/nix/store"
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
    "experimental-features": "nix-command flakes",
    "allow-import-from-derivation": "false",
    "accept-flake-config": "false",
    "use-registries": "false",
    "flake-registry": "",
    "eval-cache": "false",
    "pure-eval": "true",
    "substituters": "",
    "warn-dirty": "false",
}


def _config(settings: dict[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


NIX = Tool(
    name="nix",
    image=IMAGE,
    folders={"nix": "/nix"},
    daemon=("nix", "--extra-experimental-features", "nix-command", "daemon"),
    socket="socket",
    daemon_env={
        "NIX_REMOTE": "local",
        "NIX_DAEMON_SOCKET_PATH": f"{SOCKETS}/socket",
        "NIX_CONFIG": _config(_DAEMON),
    },
    evaluator_env={"NIX_REMOTE": _SOCKET, "NIX_CONFIG": _config(_EVALUATOR)},
)
