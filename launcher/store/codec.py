"""Events and the other stored values as JSON. What an older or a newer version wrote is shown, never a crash."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from launcher.events import Cancelled, Declared, Ended, Event, Failed, Log, Progress, Queued, Ready, Stage, Started
from launcher.model import Environment, Image, ImageFacts, ImageRef

if TYPE_CHECKING:
    from launcher.events import Facts

EVENTS: dict[str, type[Event]] = {
    "started": Started,
    "log": Log,
    "progress": Progress,
    "ended": Ended,
    "declared": Declared,
    "queued": Queued,
    "ready": Ready,
    "failed": Failed,
    "cancelled": Cancelled,
}
"""The closed union, by the name that an event has in JSON."""

_NAMES: dict[type[Event], str] = {kind: name for name, kind in EVENTS.items()}


def event_fields(event: Event) -> dict[str, Any]:
    """The event as JSON has it: `type`, and its fields."""
    # Events are flat: asdict's deep copy of every log line would be most of the cost of storing it.
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    if "facts" in values:
        values["facts"] = dict(values["facts"])
    return {"type": _NAMES[type(event)], **values}


def event_text(event: Event) -> str:
    """The event as one line of ASCII JSON: no database has trouble with it, whatever a tool printed."""
    return json.dumps(event_fields(event), separators=(",", ":"))


def parse_event(body: str) -> Event:
    """Read what `event_text` wrote; anything else comes back as a log line that shows it."""
    try:
        values = json.loads(body)
        kind = EVENTS[values.pop("type")]
        given = _given(kind, values)
        if given.get("stage") is not None:
            given["stage"] = Stage(given["stage"])
        if "facts" in given:
            given["facts"] = _facts(given["facts"])
        return kind(**given)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Log(Stage.SESSION, body)


def _given(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that the type has, lists as tuples."""
    known = {field.name for field in fields(kind)}
    return {name: tuple(one) if isinstance(one, list) else one for name, one in values.items() if name in known}


def _facts(said: object) -> Facts:
    """A step's facts; without one that is of another kind, its text is that of `message`."""
    given = said.items() if isinstance(said, dict) else ()
    return tuple(sorted((name, one) for name, one in given if isinstance(one, str | int | float)))


def facts_text(facts: ImageFacts) -> str:
    """An image's facts as JSON."""
    return json.dumps(asdict(facts), separators=(",", ":"), sort_keys=True)


def parse_facts(body: str) -> ImageFacts:
    """Read what `facts_text` wrote. Fields of a newer version are left out."""
    return ImageFacts(**_given(ImageFacts, json.loads(body)))


def environment_text(environment: Environment) -> str:
    """An environment as JSON."""
    return json.dumps(asdict(environment), separators=(",", ":"), sort_keys=True)


def parse_environment(body: str) -> Environment:
    """Read what `environment_text` wrote. Fields of a newer version are left out."""
    return Environment(**_given(Environment, json.loads(body)))


def image_of(
    key: str,
    facts: str,
    ref: tuple[str | None, str | None, str | None],
    built: float | None = None,
    pinning: str | None = None,
    space: str = "",
) -> Image:
    """An image from its columns; `ref`: registry, repository, digest."""
    registry, repository, digest = ref
    found = ImageRef(registry, repository, digest) if registry and repository and digest else None
    return Image(key, parse_facts(facts), found, built or 0.0, pinning or "", space)
