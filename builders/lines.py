"""The lines that a builder process writes: one JSON object a line, on stdout.

They are a closed union, `Line`. Every verb's last line is one of FINAL; the exit status is 0 only after a final
line that is not an error. A damaged line becomes a `Log`: it is shown, never lost, never a crash.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping


REPRODUCIBLE, LOCKED, LOOSE = "reproducible", "locked", "not-pinned"
PINNINGS = (REPRODUCIBLE, LOCKED, LOOSE)
"""How firmly an environment is pinned: all that it is built from is, and what declares it was evaluated purely; a lock
file names hashed packages; or something may be another thing tomorrow."""


@dataclass(frozen=True, slots=True)
class Log:
    """A line of a tool's output, without colour codes or control characters but tab."""

    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the build began: `[2/5] RUN pip install …`."""

    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Something worth a line; `percent` (0 to 100) when it is known."""

    text: str
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a directory declares: the fields of the launcher's Environment."""

    builder: str
    builder_version: str
    evidence: tuple[str, ...]
    key: str
    platform: str
    pinning: str = LOOSE
    """One of PINNINGS."""
    loose: tuple[str, ...] = ()
    """What is not pinned, each as `file:line: what`."""
    advice: tuple[str, ...] = ()
    """Lines that would pin it."""
    tree: tuple[str, ...] = ()
    """Why every file of the directory counts, each as `file:line: what`; none: what declares it alone does."""
    space: str = ""
    """The namespace that the key is of: that of a private repository, or `""`."""


@dataclass(frozen=True, slots=True)
class Unevaluated:
    """What a directory declares is known when it has been evaluated, which takes minutes: `detect` does that."""

    builder: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Digest of what `detect` depends on besides the directory: the builders, their versions, the platform."""

    fingerprint: str


@dataclass(frozen=True, slots=True)
class Built:
    """The build ended well; `engine_id` is the image's id in the engine."""

    engine_id: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What an image is like: the fields of the launcher's ImageFacts, which says what each means."""

    engine_id: str
    home: str
    repo_dir: str
    path: str
    server: tuple[str, ...]
    entrypoint: tuple[str, ...]
    passwd: str
    user_site: tuple[str, ...]
    content: str
    volumes: tuple[str, ...]
    jupyter_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pushed:
    """The push ended well; `digest` is the manifest's."""

    digest: str


@dataclass(frozen=True, slots=True)
class Archived:
    """Which commit of a repository the registry keeps the files of; all `""`: none."""

    source: str
    ref: str
    commit: str
    name: str
    tree: str


@dataclass(frozen=True, slots=True)
class Papers:
    """What the registry keeps about an image: each document as JSON, by media type; none: nothing is known of it."""

    documents: Mapping[str, Any]


IDENTICAL = "identical"


@dataclass(frozen=True, slots=True)
class Verified:
    """What building an image again has shown."""

    verdict: str
    """IDENTICAL; `different`; `not-comparable`: what it was built from is not pinned, or nothing is known of it."""
    difference: str
    """All inputs and store paths that differ, or the first file of the image, by name; or why nothing was compared."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the build worker knows of an image: its id or its digest; `""`: there is none."""

    digest: str


@dataclass(frozen=True, slots=True)
class Held:
    """Something that is kept in the stores or in the registry and could be let go, unless somebody uses it."""

    place: str
    """`registry` or `stores`."""
    kind: str
    name: str
    about: Mapping[str, Any]
    """`used`: seconds since the epoch, of its files; what else is known: `digest`, `key`, `space`, `source`, `commit`,
    `is_last`."""


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes that all of these things have; they are freed with the last of them."""

    place: str
    kind: str
    size: int | None
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rooms:
    """How much the places hold.

    By place: `held` (bytes; null where that is not known), `used` and `size` of its disk (null where that is none of
    ours), `reason` where nothing may be let go there.
    """

    places: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Error:
    """The verb failed: `error` names a class of `builders/errors.py`, `facts` are its fields."""

    error: str
    facts: Mapping[str, Any] = field(default_factory=dict)


Line = (
    Log
    | Step
    | Progress
    | Found
    | Unevaluated
    | Fingerprint
    | Built
    | Facts
    | Pushed
    | Archived
    | Papers
    | Verified
    | Known
    | Held
    | Share
    | Rooms
    | Error
)
FINAL = (
    Found,
    Unevaluated,
    Fingerprint,
    Built,
    Facts,
    Pushed,
    Archived,
    Papers,
    Verified,
    Known,
    Rooms,
    Error,
)

_TYPES: dict[str, type[Line]] = {
    "log": Log,
    "step": Step,
    "progress": Progress,
    "environment": Found,
    "unevaluated": Unevaluated,
    "fingerprint": Fingerprint,
    "built": Built,
    "facts": Facts,
    "pushed": Pushed,
    "archived": Archived,
    "papers": Papers,
    "verified": Verified,
    "known": Known,
    "held": Held,
    "share": Share,
    "rooms": Rooms,
    "error": Error,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}

Tell = Callable[[Line], None]

READING = "reading the repository"
"""A step, as people are told."""
MAX_LINE = 4 * 1024 * 1024
"""Bytes of the longest line (facts with a long /etc/passwd)."""


def format_line(line: Line) -> str:
    """The line as JSON, without its line end."""
    body = {each.name: getattr(line, each.name) for each in fields(line)}
    return json.dumps({"type": _NAMES[type(line)], **body}, ensure_ascii=False, separators=(",", ":"))


def parse_line(text: str) -> Line:
    """The line that `text` says; a `Log` of the text itself where it says none."""
    try:
        body = json.loads(text)
        kind = _TYPES[body.pop("type")]
        return kind(**{name: _checked(kind, name, value) for name, value in body.items()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Log(clean(text))


def _checked(kind: type[Line], name: str, value: object) -> Any:
    """`value` as the field's type has it. Raises ValueError, KeyError."""
    wanted = {each.name: str(each.type) for each in fields(kind)}[name]
    if wanted == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if wanted.startswith("Mapping") and isinstance(value, dict):
        return {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
    if wanted == "int | None" and (value is None or (isinstance(value, int) and not isinstance(value, bool))):
        return value
    if wanted == "str" and isinstance(value, str):
        return value
    raise ValueError(name)
