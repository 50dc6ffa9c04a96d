"""What may be asked of the build worker: one JSON object on a line, and nothing that is not in VERBS.

The worker does not trust who asks: a launcher that somebody has taken over can have commits built, looked at and pushed
to our own registry. Options of the engine, other folders, other images and other registries cannot be said here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders.logs import LAUNCH_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST = 16 * 1024
"""Bytes of a request's line."""

VERBS: Mapping[str, tuple[str, ...]] = {
    "fingerprint": (),
    "detect": ("checkout", "space"),
    "build": ("checkout", "key", "space", "platform", "date", "source", "commit", "afresh"),
    "inspect": ("image", "checkout", "commit"),
    "push": ("engine_id", "key", "space"),
    "archive": ("checkout", "source", "ref", "commit", "name", "tree"),
    "archived": ("source", "ref"),
    "restore": ("checkout", "source", "commit"),
    "holdings": ("measure",),
    "forget": ("kind", "thing", "space"),
    "clear": ("place",),
    "has": ("engine_id",),
    "find": ("key", "space"),
    "registry": (),
}
"""Each verb and all of its fields: `python -m builders VERB`; the last three are answered by the worker itself."""

LIMITS_S: Mapping[str, int] = {
    "inspect": 600,
    "push": 3600,
    "archive": 3600,
    "archived": 60,
    "restore": 3600,
    "holdings": 1800,
    "forget": 1800,
    "clear": 4 * 3600,
}
"""Seconds that a builder process may take. A build's limit is a setting, and that of looking too: what evaluates a
declaration may first have to be built."""


def _matches(pattern: str) -> Callable[[object], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _seconds(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def _switch(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in {0, 1}


_FIELDS: Mapping[str, Callable[[object], bool]] = {
    "afresh": _switch,
    # One name: a folder of its own among the checkouts, never a path.
    "checkout": _matches(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"),
    "kind": _matches(r"image|source|environment|channels|wheels"),
    # A key, a digest, a tag or a folder's name: never a path.
    "thing": _matches(r"(sha256:)?[A-Za-z0-9][A-Za-z0-9._+-]{0,199}"),
    "place": _matches(r"registry|stores"),
    "measure": _matches(r"yes|no"),
    "commit": _matches(r"[0-9a-f]{40}([0-9a-f]{24})?"),
    "date": _seconds,
    "engine_id": _matches(r"sha256:[0-9a-f]{64}"),
    # Which registry and repository it names is for the worker to compare.
    "image": _matches(r"(?:[a-z0-9][A-Za-z0-9._:/-]{0,400}@)?sha256:[0-9a-f]{64}"),
    "key": _matches(r"[0-9a-f]{64}"),
    # The namespace of a private repository; none: everybody's.
    "space": _matches(r"([0-9a-f]{32})?"),
    "platform": _matches(r"[a-z0-9]{1,20}/[a-z0-9]{1,20}(/v[0-9]{1,2})?"),
    # What a link says, and what that was found to be: any one line of text, or none.
    "ref": _matches(r"[^\x00-\x1f\x7f]{0,1000}"),
    "name": _matches(r"[^\x00-\x1f\x7f]{0,1000}"),
    "tree": _matches(r"[A-Za-z0-9:+._-]{0,200}"),
    # It becomes a label: any one line of text.
    "source": _matches(r"[^\x00-\x1f\x7f]{1,4096}"),
}


@dataclass(eq=False)
class RequestWrong(Exception):
    """A line that asks for nothing that there is; `reason` says why, without the line's own text."""

    reason: str


@dataclass(frozen=True, slots=True)
class Request:
    """A verb with all of its fields, each of its form."""

    verb: str
    fields: Mapping[str, Any]
    launch: str = ""
    """For which launch it is asked, if for one: it is named in the worker's log."""


def format_request(verb: str, fields: Mapping[str, str | int], launch: str = "") -> bytes:
    """The line, with its end. Raises RequestWrong for what `parse_request` would refuse."""
    about = {"launch": launch} if launch else {}
    line = json.dumps({"verb": verb, **about, **fields}, ensure_ascii=False).encode() + b"\n"
    parse_request(line)
    return line


def parse_request(line: bytes) -> Request:
    """What the line asks for. Raises RequestWrong."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        raise RequestWrong("it is not JSON") from None
    if not isinstance(body, dict):
        raise RequestWrong("it is not an object")
    verb, launch = body.pop("verb", None), body.pop("launch", "")
    if launch and not (isinstance(launch, str) and LAUNCH_ID.fullmatch(launch)):
        raise RequestWrong("the launch is not of its form")
    if not isinstance(verb, str) or verb not in VERBS:
        raise RequestWrong("there is no such verb")
    if set(body) != set(VERBS[verb]):
        raise RequestWrong(f"the fields of {verb} are {', '.join(VERBS[verb]) or 'none'}")
    for name, value in body.items():
        if not _FIELDS[name](value):
            raise RequestWrong(f"the {name} is not of its form")
    return Request(verb, body, launch or "")
