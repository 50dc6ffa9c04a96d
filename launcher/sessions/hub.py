"""A client of the hub's REST API: every request has a timeout, every failure becomes one of ours.

JupyterHub's API: https://jupyterhub.readthedocs.io/en/stable/reference/rest-api.html
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError, SimpleAsyncHTTPClient

from launcher.errors import HubDown, SessionsFull, SpawnRefused, SpawnTimeout
from launcher.sessions.progress import Progress, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.sessions.progress import Step

log = logging.getLogger(__name__)

CONNECTIONS = 1000
"""Every start under way holds one for its progress."""
PAGE = 200
FETCH_S = 1900.0
"""More than the hub gives the fetching of an image: the hub's own limits come first."""
PAGINATED = "application/jupyterhub-pagination+json"
LISTEN_AGAIN_S = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Pauses before a progress stream that broke off is listened to again."""


class Asked(Enum):
    """What came of asking for a server."""

    STARTING = auto()
    RUNNING = auto()
    """It was running already."""
    BUSY = auto()
    """It is stopping: ask again."""
    MISSING = auto()
    """The account does not exist."""


BROKE = "Internal Server Error"
"""All that JupyterHub says of what it did not expect, as a database without room."""
NOT_STARTED = (
    (400, "is already running", Asked.RUNNING),
    (400, "is pending", Asked.BUSY),
    (404, "", Asked.MISSING),
)
"""JupyterHub's statuses and words, and what they mean."""
FULL_WORDS = "Active user limit exceeded"
"""What it says beyond `active_server_limit`; that too many start at one time has the same status."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that the hub knows to run, or to be starting or stopping."""

    account: str
    ready: bool
    pending: str
    """`spawn`, `stop` or `""`."""
    started: str
    """When, as ISO 8601, or `""`."""


class HubClient:
    """Speaks to the hub as the service `launcher`. Any method raises HubDown when the hub does not answer sensibly."""

    def __init__(self, api_url: str, token: str, timeout_s: float = 20.0) -> None:
        self._api = api_url.rstrip("/")
        self._headers = {"Authorization": f"token {token}", "Accept": "application/json"}
        self._timeout = timeout_s
        self._http = SimpleAsyncHTTPClient(force_instance=True, max_clients=CONNECTIONS)

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    async def version(self) -> str:
        """The hub's version: shows that it answers."""
        return str(_object(await self._ask("GET", "/")).get("version", ""))

    async def ensure_account(self, account: str) -> None:
        """Make the project's account unless it exists (deploy/hub/accounts.py)."""
        await self._ask("POST", f"/project-accounts/{_quoted(account)}")

    async def start(self, account: str, options: dict[str, str]) -> Asked:
        """Ask for the account's server. Raises SessionsFull, SpawnRefused, HubDown."""
        answer = await self._ask(
            "POST", f"/users/{_quoted(account)}/server", {"user_options": options}, also=(400, 403, 404, 429, 500)
        )
        if answer.code < 300:  # noqa: PLR2004  # 201 started, 202 starting
            return Asked.STARTING
        message = _message(answer)
        for code, words, asked in NOT_STARTED:
            if answer.code == code and words in message:
                return asked
        if answer.code == 429 and message.startswith(FULL_WORDS):  # noqa: PLR2004
            raise SessionsFull
        if message == BROKE:
            raise HubDown(f"it answered with status {answer.code}, and says why in its log")
        raise SpawnRefused(message)

    async def follow(self, account: str, told: Callable[[Step], None], answer_s: float) -> None:
        """Tell the steps of a start until the server is ready; `answer_s` is what the hub gives a server.

        Raises SpawnRefused, SpawnFailed, SpawnTimeout, HubDown.
        """
        stream = Progress(told)
        for pause in LISTEN_AGAIN_S:
            await self._listen(account, stream, answer_s)
            if stream.failure is not None:
                raise failure(stream.failure, answer_s)
            # The connection ended without a last word: what became of the server?
            server = None if stream.ready else await self.server(account)
            if stream.ready or (server is not None and server.ready):
                return
            if server is None:
                break
            await asyncio.sleep(pause)
        raise HubDown("the hub stopped telling before the server was ready")

    async def _listen(self, account: str, stream: Progress, answer_s: float) -> None:
        """Feed the stream until its connection ends, by whatever cause. Raises SpawnTimeout, HubDown."""
        path = f"/users/{_quoted(account)}/server/progress"
        try:
            await self._fetch("GET", path, timeout_s=answer_s + FETCH_S, streaming_callback=stream.feed)
        except HTTPTimeoutError:
            raise SpawnTimeout(round(answer_s + FETCH_S)) from None
        except HTTPStreamClosedError:
            log.warning("the hub's progress of %s broke off", account)
        except HTTPClientError as error:
            raise HubDown(f"the hub did not say how {account} starts (status {error.code})") from error
        except OSError as error:
            raise HubDown(reason(error)) from error

    async def server(self, account: str) -> Server | None:
        """The account's server, if it runs, starts or stops."""
        answer = await self._ask("GET", f"/users/{_quoted(account)}", also=(404,))
        return None if answer.code == 404 else _server(_object(answer))  # noqa: PLR2004

    async def servers(self) -> tuple[Server, ...]:
        """All servers that run, start or stop."""
        found: list[Server] = []
        offset: int | None = 0
        while offset is not None:
            page = _object(
                await self._ask("GET", f"/users?state=active&limit={PAGE}&offset={offset}", accept=PAGINATED)
            )
            found += [server for user in page["items"] if (server := _server(user)) is not None]
            after = page["_pagination"]["next"]
            offset = int(after["offset"]) if after else None
        return tuple(found)

    async def stop(self, account: str) -> None:
        """Ask the account's server to stop; no error if there is none."""
        await self._ask("DELETE", f"/users/{_quoted(account)}/server", also=(400, 404))

    async def share(self, account: str, person: str) -> None:
        """Let `person` enter the account's server. The server must have been asked for at least once."""
        await self._ask("POST", f"/shares/{_quoted(account)}/", {"user": person})

    async def token(self, account: str, scopes: Sequence[str], expires_s: int, note: str) -> str:
        """Mint a token that the account itself owns."""
        body = {"expires_in": expires_s, "note": note, "scopes": list(scopes)}
        return str(_object(await self._ask("POST", f"/users/{_quoted(account)}/tokens", body))["token"])

    async def _ask(
        self, method: str, path: str, body: object = None, *, also: tuple[int, ...] = (), accept: str = ""
    ) -> HTTPResponse:
        try:
            answer = await self._fetch(method, path, body, accept=accept)
        except (HTTPClientError, OSError) as error:
            raise HubDown(reason(error)) from error
        if answer.code < 300 or answer.code in also:  # noqa: PLR2004
            return answer
        log.error("the hub answered %s %s with %d: %s", method, path, answer.code, _message(answer))
        raise HubDown(f"it answered with status {answer.code}: {_message(answer)}")

    async def _fetch(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        accept: str = "",
        timeout_s: float = 0,
        streaming_callback: Callable[[bytes], None] | None = None,
    ) -> HTTPResponse:
        request = HTTPRequest(
            self._api + path,
            method=method,
            headers=self._headers | ({"Accept": accept} if accept else {}),
            body=json.dumps(body) if body is not None else None,
            allow_nonstandard_methods=True,
            connect_timeout=self._timeout,
            request_timeout=timeout_s or self._timeout,
            follow_redirects=False,
            streaming_callback=streaming_callback,
        )
        return await self._http.fetch(request, raise_error=streaming_callback is not None)


def _quoted(account: str) -> str:
    return quote(account, safe="")


def _object(answer: HTTPResponse) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError as error:
        raise HubDown("its answer could not be read") from error
    if not isinstance(found, dict):
        raise HubDown("its answer could not be read")
    return found


def _message(answer: HTTPResponse) -> str:
    try:
        return str(json.loads(answer.body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.code}"


def reason(error: Exception) -> str:
    """Why no answer came, as the end of a sentence."""
    if isinstance(error, HTTPTimeoutError):
        return "it did not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return f"it does not let us connect ({error.strerror})"
    return str(error) or "the connection broke"


def _server(user: dict[str, Any]) -> Server | None:
    found = (user.get("servers") or {}).get("")
    if not found or not (found.get("ready") or found.get("pending")):
        return None
    return Server(user["name"], bool(found["ready"]), found.get("pending") or "", found.get("started") or "")
