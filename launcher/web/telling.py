"""What went wrong with a request, as it is told."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError

from launcher import explain

if TYPE_CHECKING:
    from launcher.events import Failed


def as_json(told: Failed) -> dict[str, Any]:
    """What went wrong, as `schemas.Error` has it."""
    return {name: getattr(told, name) for name in ("code", "status", "title", "seen", "todo", "link")}


def told_of(status: int, error: BaseException | None) -> Failed:
    """What people are told of a request that failed."""
    if error is not None and not isinstance(error, HTTPError):
        return explain.explain(error)
    if status == HTTPStatus.NOT_FOUND:
        return explain.say(explain.PAGE_MISSING)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return explain.say(explain.METHOD_REFUSED)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return explain.say(explain.REQUEST_REFUSED, status)
    return explain.say(explain.INTERNAL)
