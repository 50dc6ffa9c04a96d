"""What Nix writes with `--log-format internal-json`, line by line (recorded in tests/recordings/nix/).

@nix {"action":"start","id":1,"level":3,"type":105,"text":"building '/nix/store/…-x.drv'","fields":["/nix/…",…]}
@nix {"action":"result","id":1,"type":101,"fields":["a line that the step wrote"]}
@nix {"action":"stop","id":1}
@nix {"action":"msg","level":0,"msg":"error: …","raw_msg":"…","file":"/nix/store/…","line":3,"trace":[…]}

@nix {"action":"start","id":1,"level":3,"type":105,"text":"building …","fields":["/nix/store/…-x.drv",…]}
that says none of them is `Plain`, and is shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from builders.text import clean

PREFIX = "@nix "
FETCH, BUILD, SUBSTITUTE, COPY = 101, 105, 108, 100
"""Kinds of activities: a download, a derivation's build, a path from a substituter, a path copied."""
_WRITTEN, _PHASE, _LAST_WRITTEN = 101, 104, 107
ERROR, WARNING = 0, 1
"""Levels of messages; higher ones are chatter."""


THE_DAEMONS = "because it is a restricted setting and you are not a trusted user"
"""What Nix says of a setting that is the evaluator's, and that its daemon would not take, nor needs to."""
NO_NETWORK = "you don't have Internet access; disabling some network-dependent features"
"""What Nix says in every container without a network."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an expression something happened, innermost first; `line` 0: not known."""

    file: str
    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Message:
    """Something that Nix says, without colours."""

    level: int
    text: str
    reason: str
    """Of an error the sentence without its trace; `""`: it is no error, whatever its level."""
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Began:
    """An activity began."""

    number: int
    kind: int
    text: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """An activity ended."""

    number: int


@dataclass(frozen=True, slots=True)
class Wrote:
    """A line that a build wrote; or that one of its phases began (`phase`)."""

    number: int
    text: str
    phase: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """Numbers for a progress bar, and other results that nobody reads here."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A line that is not Nix's, or is damaged."""

    text: str


Event = Message | Began | Ended | Wrote | Counted | Plain


def parse(raw: str) -> Event:
    """What a line says."""
    if not raw.startswith(PREFIX):
        return Plain(clean(raw))
    try:
        body = json.loads(raw.removeprefix(PREFIX))
        match body["action"]:
            case "msg":
                return _message(body)
            case "start":
                return Began(_int(body["id"]), _int(body["type"]), clean(str(body["text"])), _fields(body))
            case "stop":
                return Ended(_int(body["id"]))
            case "result":
                return _result(body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return Plain(clean(raw))


def _message(body: dict[str, Any]) -> Message:
    text = str(body["msg"])
    reason = str(body.get("raw_msg", ""))
    places = [(body.get("file"), body.get("line"), "")]
    places += [(each.get("file"), each.get("line"), each.get("raw_msg")) for each in body.get("trace") or ()]
    return Message(
        _int(body["level"]),
        "\n".join(map(clean, text.splitlines())),
        "\n".join(map(clean, reason.splitlines())),
        tuple(
            Place(str(file), line, clean(str(what))) for file, line, what in places if file and isinstance(line, int)
        ),
    )


def _result(body: dict[str, Any]) -> Event:
    kind = _int(body["type"])
    if kind in {_WRITTEN, _LAST_WRITTEN, _PHASE}:
        return Wrote(_int(body["id"]), clean(str(body["fields"][0])), kind == _PHASE)
    return Counted()


def _fields(body: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(each) for each in body.get("fields") or ())


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value
