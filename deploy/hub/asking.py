"""Asking the launcher what a session may have, and whose turn it is. Fails closed."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from deploy.hub.failures import REFUSED, NoSession

if TYPE_CHECKING:
    from collections.abc import Mapping

RESOLVE_TIMEOUT_S = 10.0
ANSWER_BYTES = 2**20
Form = TypeVar("Form", bound=BaseModel)


@cache
def http() -> AsyncHTTPClient:
    """For the launcher and for probes of starting servers; shared by all spawners."""
    # A client of its own: its many short probes never queue behind the hub's other requests.
    return SimpleAsyncHTTPClient(force_instance=True, max_clients=1000, max_body_size=ANSWER_BYTES)


async def ask(launcher: str, secret: str, path: str, question: Mapping[str, Any], form: type[Form]) -> Form:
    """The launcher's answer at `/internal/<path>`. Raises NoSession when it says no, nothing, or nonsense."""
    request = HTTPRequest(
        f"{launcher.rstrip('/')}/internal/{path}",
        method="POST",
        headers={"Authorization": f"token {secret}", "Content-Type": "application/json"},
        body=json.dumps(question),
        request_timeout=RESOLVE_TIMEOUT_S,
        connect_timeout=RESOLVE_TIMEOUT_S,
        follow_redirects=False,
    )
    try:
        answer = await http().fetch(request)
        return form.model_validate_json(answer.body)
    except HTTPClientError as error:
        raise NoSession(REFUSED, _sentence(error), log_message=f"the launcher answered {error}") from error
    except ValidationError as error:
        said = "The launcher's answer could not be understood."
        raise NoSession(REFUSED, said, log_message=f"{said} {error}") from error
    except (OSError, ValueError) as error:
        said = "The launcher cannot be reached; try again shortly."
        raise NoSession(REFUSED, said, log_message=f"{said} {error}") from error


def _sentence(error: HTTPClientError) -> str:
    """The launcher's own sentence, if it sent one."""
    if error.response is None or not error.response.body:
        return "The launcher did not answer in time; try again shortly."
    try:
        message = json.loads(error.response.body)["message"]
    except (ValueError, KeyError, TypeError):
        return f"The launcher could not say what this session may have (status {error.code})."
    return str(message)[:500]
