"""What the helper may be asked, as types; and the one place that believes nothing of what came over the socket."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from .folders import Refusal

MAX_LINE = 64 * 1024
ID = re.compile(r"[a-z][a-z0-9]{9}\Z")
COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
CONTENTS = re.compile(r"[0-9a-f]{64}\.tar\Z")
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,254}\Z")
MAX_PARTS = 8
MAX_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Seed:
    """Make the workspace `id` from a shared checkout and, where the image carries more, from its contents."""

    id: str
    checkout: tuple[str, ...]
    """The names that lead from the root of the checkouts to the clone."""
    contents: str
    """A file name in the folder of contents, or `""`."""
    url: str
    commit: str


@dataclass(frozen=True, slots=True)
class Exists:
    """Is there a workspace of that name?"""

    id: str


@dataclass(frozen=True, slots=True)
class Usage:
    """How much disk does a workspace take?"""

    id: str


@dataclass(frozen=True, slots=True)
class List:
    """The workspaces, a page at a time, in order, after `after`."""

    after: str


@dataclass(frozen=True, slots=True)
class Health:
    """Is the helper alive, and how full is the disk?"""


Request = Seed | Exists | Usage | List | Health


def parse(line: bytes) -> Request:
    """The request that a line holds. Raises Refusal("bad-request", …)."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refusal("bad-request", "the request is no line of JSON") from error
    if not isinstance(fields, dict):
        raise Refusal("bad-request", "the request is no JSON object")
    match fields.pop("verb", None):
        case "seed":
            return _seed(fields)
        case "exists":
            return Exists(_only(fields, "id", ID))
        case "usage":
            return Usage(_only(fields, "id", ID))
        case "list":
            return List(_only(fields, "after", re.compile(r"(?:[a-z][a-z0-9]{9})?\Z")))
        case "health":
            _nothing_else(fields)
            return Health()
        case _:
            raise Refusal("bad-request", "unknown verb")


def _seed(fields: dict[str, object]) -> Seed:
    project = _matching(fields.pop("id", None), "id", ID)
    checkout = fields.pop("checkout", None)
    if not isinstance(checkout, list) or not 0 < len(checkout) <= MAX_PARTS:
        raise Refusal("bad-request", "checkout is no short list of names")
    contents = fields.pop("contents", "")
    url = _text(fields.pop("url", None), "url")
    commit = _matching(fields.pop("commit", None), "commit", COMMIT)
    _nothing_else(fields)
    return Seed(
        id=project,
        checkout=tuple(_matching(part, "checkout", PART) for part in checkout),
        contents=_matching(contents, "contents", CONTENTS) if contents else "",
        url=url,
        commit=commit,
    )


def _only(fields: dict[str, object], name: str, form: re.Pattern[str]) -> str:
    value = _matching(fields.pop(name, None), name, form)
    _nothing_else(fields)
    return value


def _matching(value: object, name: str, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not form.match(value):
        raise Refusal("bad-request", f"{name} does not have its form")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise Refusal("bad-request", f"{name} does not have its form")
    return value


def _nothing_else(fields: dict[str, object]) -> None:
    if fields:
        raise Refusal("bad-request", "the request has fields that its verb does not know")
