"""What a route says about itself: enough to serve it and to document it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from launcher.web.handler import Handler

Who = Literal["anybody", "login", "hub"]
HTML: Final = "text/html"
EVENTS: Final = "text/event-stream"
JSON: Final = "application/json"
SVG: Final = "image/svg+xml"
NO_REPOSITORY: Final = ("local-path", "publication-id", "site-unknown", "archive-file")
"""Codes of what was pasted and is no repository."""
LINK_ERRORS: Final = ("unknown-provider", "bad-spec", "bad-url", "bad-ref", "protocol-refused", *NO_REPOSITORY)
"""Codes of what is wrong with a link."""
LAST_ID: Final = ("Last-Event-ID", "The id of the last event that was received: what follows it is sent.")
URLPATH: Final = ("urlpath", "Where in the session to arrive.")
NEXT: Final = ("next", "The page to come back to: a path of this site.")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of a route, as the reference tells it."""

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    summary: str
    answer: type[BaseModel] | str
    """A schema (JSON), or a media type."""
    status: int = 200
    many: bool = False
    """The answer is a list of `answer`."""
    body: type[BaseModel] | None = None
    who: Who = "anybody"
    query: tuple[tuple[str, str], ...] = ()
    """(name, meaning)."""
    headers: tuple[tuple[str, str], ...] = ()
    """(name, meaning) of request headers that matter."""
    errors: tuple[str, ...] = ()
    """Codes (docs/reference/errors.md), beside those that any request may meet."""


@dataclass(frozen=True, slots=True)
class Route:
    """An address, who handles it, and what can be done there."""

    path: str
    """`{spec}` and `{rest}` may hold slashes, other names may not."""
    handler: type[Handler]
    operations: tuple[Operation, ...]
    arguments: Mapping[str, Any] | None = None
    """For the handler, beside the web: `assets` True stands for the static files."""

    @property
    def pattern(self) -> str:
        """As tornado matches it."""
        parts = re.split(r"(\{\w+\})", self.path)
        return "".join(_PATTERNS.get(one, "([^/]+)") if one.startswith("{") else re.escape(one) for one in parts)

    @property
    def names(self) -> list[str]:
        """The path's parameters."""
        return re.findall(r"\{(\w+)\}", self.path)


_PATTERNS = {"{spec}": "(.+)", "{rest}": "(.*)", "{file}": "(.+)"}
