"""How every part logs: a line for people, or a line of JSON; the launch that it belongs to; never a secret.

Who works for a launch sets `LAUNCH`; whatever is started from there inherits it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import Context, ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

LAUNCH: ContextVar[str] = ContextVar("launch", default="")
"""The id of the launch for which work is done now; `""`: for none, or for all."""
LAUNCH_ID: Final = re.compile(r"[0-9a-f]{32}")
HUMAN, JSON = "human", "json"
_HIDDEN: Final = "(hidden)"
_SECRETS: Final = (
    re.compile(r"(?<=://)[^/@\s\"']+(?=@)"),
    re.compile(r"(?i)\b(?:bearer|token|basic)\s+(?=[\w.~+/=-]{12,})(?=\S*\d)[\w.~+/=-]+"),
    re.compile(
        r"(?i)(?<=[?&\s\"'(,;])((?:access_|build_|private_)?token|code|password|secret|_xsrf|state)=[^&\s\"'),;]+"
    ),
)
"""What looks like a password in an address, a header or a query: a last net, nothing of it is logged knowingly."""


def without_secrets(text: str) -> str:
    """The text without what looks like a secret."""
    for pattern in _SECRETS:
        text = pattern.sub(_HIDDEN, text)
    return text


class Human(logging.Formatter):
    """A line for people, with its launch at the end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the library's name
        """The line itself; a traceback follows it."""
        launch = LAUNCH.get()
        return super().formatMessage(record) + (f" [launch {launch}]" if launch else "")

    def format(self, record: logging.LogRecord) -> str:
        """All of it."""
        return without_secrets(super().format(record))


class Json(logging.Formatter):
    """One JSON object on one line, whatever is told."""

    def __init__(self, *_: object, **__: object) -> None:
        """Takes what a hub's configuration gives any formatter, and needs none of it."""
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """`time` (UTC), `level`, `logger`, `message`, and where there is one: `launch`, `error` (the traceback)."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts = {
            "time": when.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
        }
        if launch := LAUNCH.get():
            facts["launch"] = launch
        if record.exc_info:
            facts["error"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(facts)


def begin(form: str, level: str, stream: TextIO | None = None) -> None:
    """Let this process log in this form (`human`, `json`)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Json() if form == JSON else Human())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


def nobodys() -> Context:
    """For a task that works for all launches, whoever it is started by."""
    return Context()


def readable(line: str) -> str:
    """A line of either form, for people."""
    if not line.startswith("{"):
        return line
    try:
        facts = json.loads(line)
        last = [facts.get("error", "").strip().rpartition("\n")[2]]
        return " ".join(part for part in [str(facts["message"]), *last] if part)
    except (ValueError, KeyError, AttributeError, TypeError):
        return line
