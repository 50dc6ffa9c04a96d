"""The one package that speaks: errors' facts become sentences for people.

`ROWS` is the whole vocabulary. `docs/reference/errors.md` and the page `/docs/errors` are made from it.
Texts are plain and short; none carries a traceback, a path of the host, a credential or a token.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from launcher import errors
from launcher.events import Failed
from launcher.explain import asking, builds, credentials, limits, links, repositories, sessions
from launcher.explain.languages import in_language
from launcher.explain.row import Row
from launcher.explain.spoken import (
    FRONTEND_MISSING,
    INTERNAL,
    LENGTH_MISSING,
    METHOD_REFUSED,
    PAGE_MISSING,
    PART_AWAY,
    RECONNECTING,
    REQUEST_REFUSED,
    SESSION_STOPPED,
    SPOKEN,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.events import Stage

__all__ = [
    "ERRORS_PAGE",
    "FRONTEND_MISSING",
    "INTERNAL",
    "LENGTH_MISSING",
    "METHOD_REFUSED",
    "PAGE_MISSING",
    "PART_AWAY",
    "RECONNECTING",
    "REQUEST_REFUSED",
    "ROWS",
    "SESSION_STOPPED",
    "SPOKEN",
    "Row",
    "explain",
    "plain",
    "row_of",
    "say",
    "speak",
]

ERRORS_PAGE: Final = "/docs/errors"
_LONGEST: Final = 500
"""Characters of one fact (of one line, where a fact has lines) that are shown."""

ROWS: Final[Mapping[type[errors.LauncherError], Row]] = {
    **links.ROWS,
    **repositories.ROWS,
    **builds.ROWS,
    **sessions.ROWS,
    **asking.ROWS,
    **limits.ROWS,
    **credentials.ROWS,
}

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def plain(text: str) -> str:
    """Without credentials in URLs, control characters and marks that turn text around; not endless."""
    text = _CONTROL.sub("\ufffd", _CREDENTIALS.sub("", text))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _fact(name: str, value: object) -> str:
    if isinstance(value, errors.LauncherError):
        return explain(value).seen
    if name == "near" and isinstance(value, tuple):
        return "\n".join(plain(builds.near(one)) for one in value)
    if isinstance(value, tuple):
        between = "\n" if name == "tail" else ", "
        return between.join(plain(str(one)) for one in value)
    if name == "bytes" and isinstance(value, int):
        return _size(value)
    # A reason ends a sentence, whose full stop is the row's; in all others a dot may mean something.
    return plain(str(value).rstrip(". \n") if name == "reason" else str(value))


def _size(count: int) -> str:
    """A number of bytes as people say it."""
    size, unit = float(count), "bytes"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:  # noqa: PLR2004  # a unit has 1024 of the next smaller
            break
        size, unit = size / 1024, bigger
    return f"{size:.1f}".removesuffix(".0") + f" {unit}"


def row_of(error: BaseException) -> Row:
    """The row of the error's class, else of its nearest parent that has one, else INTERNAL."""
    for one in type(error).__mro__:
        if one in ROWS:
            return ROWS[one]
    return INTERNAL


def say(row: Row, status: int | None = None) -> Failed:
    """One of SPOKEN; `status` where it is told with another HTTP status than its own."""
    link = f"{ERRORS_PAGE}#{row.code}"
    return Failed(None, row.code, status or row.status, row.title, row.seen, row.todo, link)


def speak(told: Failed, language: str) -> Failed:
    """What was told, in this language as far as it is known (`languages.py`)."""
    return in_language(told, language, [*ROWS.values(), *SPOKEN])


def explain(error: BaseException, stage: Stage | None = None) -> Failed:
    """Say what went wrong, in `stage` if it was in one. Never raises; unknown exceptions keep their text."""
    row = row_of(error)
    facts = {} if row is INTERNAL else {name: _fact(name, value) for name, value in vars(error).items()}
    parts = [row.seen, *(text for name, text in row.more if facts.get(name))]
    if row.seen.startswith("{reason}") and facts["reason"]:
        facts["reason"] = facts["reason"][0].upper() + facts["reason"][1:]
    return Failed(
        stage=stage,
        code=row.code,
        status=row.status,
        title=row.title,
        seen="\n".join(part.format_map(facts) for part in parts),
        todo=row.todo.format_map(facts),
        link=f"{ERRORS_PAGE}#{row.code}",
    )
