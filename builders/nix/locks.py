"""What a flake's lock file wants fetched; and which of the addresses that it or an expression names may be."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from builders.errors import BuildAddressClosed, EnvironmentBroken

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 1000
"""Inputs of one lock file. The largest of public flakes have some two hundred."""
_FORGES = {"github": "github.com", "gitlab": "gitlab.com", "sourcehut": "git.sr.ht"}
_WEB = ("http", "https")
_SCHEMES = frozenset({*_WEB, *(f"{way}+{one}" for way in ("git", "tarball", "file") for one in _WEB), "git"})
_HERE = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "test", "invalid")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Something to be fetched: with what, and with which arguments."""

    fetch: str
    """A function of fetch.nix."""
    args: Mapping[str, Any]
    key: str = ""
    """What the evaluation calls it."""

    @property
    def address(self) -> str:
        """Of what it fetches, for people."""
        if self.args.get("type") in _FORGES:
            return f"{self.args['type']}:{self.args.get('owner')}/{self.args.get('repo')}"
        # Without an address: a name that a registry of flakes would know.
        return str(self.args.get("url") or f"flake:{self.args.get('id')}")


def inputs(text: bytes, name: str) -> tuple[Wanted, ...]:
    """What the lock file `name` pins. Raises EnvironmentBroken, BuildAddressClosed."""
    try:
        nodes = json.loads(text)["nodes"]
        locked = {node: about["locked"] for node, about in nodes.items() if "locked" in about}
        wanted = [(node, dict(about)) for node, about in sorted(locked.items())]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise EnvironmentBroken(name, "it is no lock file of a flake: run `nix flake lock`, and commit it") from None
    if len(wanted) > MOST:
        raise EnvironmentBroken(name, f"it locks {len(wanted)} inputs; at most {MOST} are fetched")
    found = []
    for node, about in wanted:
        if about.get("type") == "path":  # a folder of the repository itself, or nothing that is here
            continue
        if not isinstance(about.get("narHash"), str):
            raise EnvironmentBroken(name, f"the input “{node}” has no narHash: run `nix flake lock` with a newer Nix")
        one = Wanted("fetchTree", about)
        check(one, f"{name}: {node}")
        found.append(one)
    return tuple(found)


def check(wanted: Wanted, step: str) -> None:
    """Raise BuildAddressClosed, EnvironmentBroken for an address that nobody outside an institution has."""
    host, scheme = _place(wanted.args)
    if scheme not in _SCHEMES:
        what = f"it fetches “{wanted.address[:200]}”, and only http, https and git addresses are fetched"
        raise EnvironmentBroken(step, what)
    if _is_private(host):
        raise BuildAddressClosed(host, step)


def _place(args: Mapping[str, Any]) -> tuple[str, str]:
    """Host and scheme."""
    address = str(args.get("url", ""))
    if (kind := args.get("type")) in _FORGES:
        address = f"https://{args.get('host') or _FORGES[str(kind)]}"
    try:
        url = urlsplit(address)
        place = url.hostname or "", url.scheme
    except ValueError:
        return "", ""
    return place


def _is_private(host: str) -> bool:
    name = host.rstrip(".").lower()
    try:
        return not ipaddress.ip_address(name.strip("[]")).is_global
    except ValueError:
        # Digits and dots that are no address are still read as one by some programs: 127.1, 0x7f000001.
        return "." not in name or name.endswith(tuple(f".{end}" for end in _HERE)) or _looks_like_number(name)


def _looks_like_number(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last.isdigit() or last.startswith("0x")
