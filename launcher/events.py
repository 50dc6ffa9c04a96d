"""What happens during a launch or a build, as types: what is told, and how it ended.

Everything here is frozen and free of behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Fact = str | int | float
Facts = tuple[tuple[str, Fact], ...]
"""By name, sorted; an object in JSON."""


class Stage(StrEnum):
    """The stages of a launch, in the order in which it meets them."""

    RESOLVE = "resolve"
    CHECKOUT = "checkout"
    DETECT = "detect"
    IMAGE = "image"
    BUILD = "build"
    WORKSPACE = "workspace"
    QUEUE = "queue"
    """Waits for a place; told only where a launch has to."""
    SESSION = "session"
    PUSH = "push"
    """After `built`, beside the launch; told on the build's own log."""


@dataclass(frozen=True, slots=True)
class Started:
    """A stage began. `message`, here and below, is `code`'s text in English with these facts in it."""

    stage: Stage
    message: str
    code: str = ""
    """A key of the catalogue (`launcher/catalogue.py`); empty: a builder or an older version has said it."""
    facts: Facts = ()


@dataclass(frozen=True, slots=True)
class Log:
    """A line or two of a tool's output, without colour codes or control characters but newline and tab."""

    stage: Stage
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Something worth a line happened inside a stage; `percent` (0 to 100) when it is known."""

    stage: Stage
    message: str
    percent: int | None = None
    code: str = ""
    facts: Facts = ()
    """As Started has them."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A stage ended well."""

    stage: Stage
    message: str
    seconds: float
    code: str = ""
    facts: Facts = ()
    """As Started has them."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the repository declares was found. The fields from `builder` on are those of Environment.

    `message` says in English what `pinning` says.
    """

    stage: Stage
    message: str
    builder: str
    evidence: tuple[str, ...]
    pinning: str
    loose: tuple[str, ...]
    advice: tuple[str, ...]
    tree: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Queued:
    """The launch waits for a place: how it stands, told again when it has come closer.

    `message` says in English what `reason` and `place` say.
    """

    stage: Stage
    message: str
    place: int
    """From 1 on: the next."""
    ahead: int
    """Launches that are served before it."""
    reason: str
    """What there is too much of: `starting`, `sessions`, `repository` or `person`."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The end of a launch that went well. Carries no token: one is minted when this is sent (web).

    Where only a build was asked for, `project` and `path` are `""`.
    """

    project: str
    path: str
    image: str
    message: str
    built: float = 0.0
    pinning: str = ""
    """As Image has them."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a launch or a build that did not: what `explain.explain` made of the error."""

    stage: Stage | None
    code: str
    status: int
    title: str
    seen: str
    todo: str
    link: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The end of a launch or a build that somebody stopped."""

    message: str


Event = Started | Log | Progress | Ended | Declared | Queued | Ready | Failed | Cancelled
FINAL = (Ready, Failed, Cancelled)
"""A launch's log ends with exactly one of these."""


class State(StrEnum):
    """Where a launch or a build stands."""

    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event in a log: numbers begin at 1 and have no gaps; `at` is seconds since the epoch, UTC."""

    n: int
    at: float
    event: Event
