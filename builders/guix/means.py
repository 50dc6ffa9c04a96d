"""How Guix is run at a site: where what is already built may come from; and what tests put in the place of seeds."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from builders.errors import BuildBroken
from builders.variables import GUIX

if TYPE_CHECKING:
    from collections.abc import Mapping


_KEY = re.compile(r"[0-9A-F]{64}")


@dataclass(frozen=True, slots=True)
class Means:
    """What an operator may choose."""

    command: str = "guix"
    """The Guix that reads channels, fetches and builds; another than the image's only where its seeds cannot be had."""
    schemes: tuple[str, ...] = ("https",)
    """What the addresses of channels begin with."""
    authenticate: bool = True
    """Whether who signed a channel's commits is looked at."""
    substitutes: tuple[str, ...] = ()
    """Where what is already built may come from, if it is signed by a key of `/etc/guix/acl` or one of `keys`."""
    keys: tuple[str, ...] = ()
    """Points of Ed25519 public keys, 64 hexadecimal digits each: what is between the `#` of a public key's file."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """More folders that the containers see, and where."""


def means(environ: Mapping[str, str] = os.environ) -> Means:
    """What the variable GUIX says: a JSON object with some of these fields. Raises BuildBroken."""
    text = environ.get(GUIX)
    if not text:
        return Means()
    try:
        body = json.loads(text)
        known = {name: _read(value) for name, value in body.items()}
        chosen = Means(**known)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise _broken("command, schemes, authenticate, substitutes, keys and folders") from None
    for name, kind in (
        ("command", str),
        ("schemes", tuple),
        ("authenticate", bool),
        ("substitutes", tuple),
        ("keys", tuple),
    ):
        if not isinstance(getattr(chosen, name), kind):
            raise _broken(name)
    if not all(_KEY.fullmatch(key) for key in chosen.keys):
        raise _broken("keys")
    if not isinstance(chosen.folders, dict) or not all(isinstance(one, str) for one in chosen.folders.values()):
        raise _broken("folders")
    return chosen


def _read(value: object) -> Any:
    if isinstance(value, list):
        if not all(isinstance(item, str) and item and " " not in item for item in value):
            raise ValueError
        return tuple(value)
    return value


def _broken(what: str) -> BuildBroken:
    return BuildBroken(f"{GUIX} is no JSON object with {what} as they should be")
