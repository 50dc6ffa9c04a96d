"""The events of a launch for people who read another language than English."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.catalogue import about, told
from launcher.events import Ended, Failed, Progress, Queued, Started
from launcher.explain import speak
from launcher.gate.words import waits

if TYPE_CHECKING:
    from launcher.events import Event


def explained(event: Event, language: str) -> Event:
    """The event with what went wrong said in this language; a step's `message` stays English."""
    if isinstance(event, Failed):
        return speak(event, language)
    if not isinstance(event, Progress):
        return event
    facts = dict(event.facts)
    parts = [facts.get(name) for name in ("problem", "title", "seen", "todo")]
    code, title, seen, todo = ("" if part is None else str(part) for part in parts)
    if None in parts:
        return event
    problem = speak(Failed(event.stage, code, 0, title, seen, todo, ""), language)
    return replace(event, facts=tuple(sorted({**facts, **about(problem)}.items())))


def spoken(event: Event, language: str) -> Event:
    """The event with all that it says in this language, as far as that is known."""
    match event:
        case Failed():
            return explained(event, language)
        case Started() | Progress() | Ended():
            facts = getattr(explained(event, language), "facts", ())
            return replace(event, message=told(language, event.message, event.code, facts))
        case Queued():
            return replace(event, message=waits(language, event.reason, event.place) or event.message)
        case _:
            return event
