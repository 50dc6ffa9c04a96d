"""What a flake's lock file wants fetched; and which of the addresses that it or an expression names may be."""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders import addresses
from builders.errors import BuildAddressClosed, EnvironmentBroken
from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTSIDE = "it is the folder “{path}”, which is not in the repository: keep it there, and name it by a relative path"
"""Of an input."""
MOST = 1000
"""Inputs of one lock file. The largest of public flakes have some two hundred."""
_FORGES = {"github": "github.com", "gitlab": "gitlab.com", "sourcehut": "git.sr.ht"}
_WEB = ("http", "https")
_SCHEMES = frozenset({*_WEB, *(f"{way}+{one}" for way in ("git", "tarball", "file") for one in _WEB), "git"})


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
        if about.get("type") == "path":
            _check_path(about, nodes[node].get("parent"), name, node)
            continue
        if not isinstance(about.get("narHash"), str):
            raise EnvironmentBroken(name, f"the input “{node}” has no narHash: run `nix flake lock` with a newer Nix")
        one = Wanted("fetchTree", about)
        check(one, f"{name}: {node}")
        found.append(one)
    return tuple(found)


def _check_path(about: Mapping[str, Any], parent: object, name: str, node: str) -> None:
    """A folder of the repository needs no fetching. Raises EnvironmentBroken for one of the machine."""
    path = str(about.get("path"))
    # What belongs to an input that is fetched is in that one's tree, and Nix lets nothing leave it.
    place = path if parent else posixpath.join(posixpath.dirname(name), path)
    if path.startswith("/") or posixpath.normpath(place).startswith(".."):
        raise EnvironmentBroken(f"{name}: {node}", OUTSIDE.format(path=clean(path)[: addresses.SHOWN]))


def check(wanted: Wanted, step: str) -> None:
    """Raise BuildAddressClosed, EnvironmentBroken for an address that nobody outside an institution has."""
    host, scheme = addresses.place(_address(wanted.args))
    if scheme not in _SCHEMES:
        shown = wanted.address[: addresses.SHOWN]
        raise EnvironmentBroken(step, addresses.ONLY_WEB.format(address=shown))
    if addresses.is_private(host):
        raise BuildAddressClosed(host, step)


def _address(args: Mapping[str, Any]) -> str:
    if (kind := args.get("type")) in _FORGES:
        return f"https://{args.get('host') or _FORGES[str(kind)]}"
    return str(args.get("url", ""))
