"""The form in which one kind of error is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """How one kind of error is told. `{name}` in a text is the error's fact of that name."""

    code: str
    status: int
    """HTTP status."""
    title: str
    seen: str
    todo: str
    more: tuple[tuple[str, str], ...] = ()
    """(fact, text): the text follows `seen` where the fact is not empty."""
