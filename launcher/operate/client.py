"""The launcher's JSON API as the command line uses it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(eq=False)
class Refused(Exception):
    """The launcher's answer was an error: its title, what was seen and what to do."""

    title: str
    seen: str
    todo: str
    status: int = 0

    def __str__(self) -> str:
        return sentences(self.title, self.seen, self.todo)


def sentences(*parts: str) -> str:
    """Parts of a message in one line; each ends as a sentence does."""
    return " ".join(part if part.endswith((".", "!", "?", ":")) else f"{part}." for part in parts if part)


@dataclass(frozen=True, slots=True)
class Entry:
    """The way into a session for whoever has no browser's login: its address and a token for it alone."""

    url: str
    token: str

    @property
    def address(self) -> str:
        """What a browser opens."""
        return f"{self.url}lab?token={self.token}"


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks to one launcher as its operator. Every method raises Refused.

    It asks at `local_url`, where this machine reaches the public proxy, and names the address of `public_url`: that
    may lead through somebody else's proxy, or nowhere from here.
    """

    local_url: str
    token: str
    public_url: str

    async def launch(self, body: dict[str, Any], on_event: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Launch a link and follow it to its end.

        Returns the final event (`ready`, `failed` or `cancelled`), and in `launch_link` the path that leads here.
        """
        launch = await self.call("POST", "/api/v1/launches", body)
        final = await self.follow(launch, on_event)
        return {**final, "launch_link": launch["link"]}

    async def follow(self, launch: dict[str, Any], on_event: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """A launch's events from the first on, to its final one, which is returned."""
        reader = _EventReader(on_event)
        while reader.final is None:
            seen = reader.last
            await self._fetch("GET", f"{launch['events']}?from={seen + 1}", None, reader.feed, limit_s=0)
            if reader.last == seen and reader.final is None:
                raise Refused("The launch's events ended early.", "", "Look at the launch page.")
        return reader.final

    async def entry(self, project: str) -> Entry:
        """A token for the session of a project."""
        answer = await self.call("POST", f"/api/v1/projects/{project}/token")
        return Entry(urljoin(self.public_url, answer["url"]), answer["token"])

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None, *, limit_s: float = 60) -> Any:
        """One request. Returns the decoded answer, None when it is empty. `limit_s`: 0 for no limit."""
        answer = await self._fetch(method, path, body, None, limit_s=limit_s)
        return json.loads(answer.body) if answer.body else None

    async def text(self, path: str) -> str:
        """An answer that is text."""
        return (await self._fetch("GET", path, None, None, limit_s=60)).body.decode()

    async def _fetch(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        on_bytes: Callable[[bytes], None] | None,
        *,
        limit_s: float,
    ) -> HTTPResponse:
        request = HTTPRequest(
            self.local_url + path,
            method=method,
            # Tornado sends a POST without a body in chunks, which the proxy takes for sessions only.
            body=json.dumps(body) if body is not None else "" if method == "POST" else None,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "Host": urlsplit(self.public_url).netloc,
            },
            streaming_callback=on_bytes,
            request_timeout=limit_s,
            follow_redirects=False,
            allow_nonstandard_methods=True,
        )
        try:
            return await AsyncHTTPClient().fetch(request)
        except HTTPClientError as error:
            raise _refused(error) from None
        except OSError:
            raise Refused(
                "The launcher does not answer.", f"Asked {self.local_url}.", "Start it with `repolaunch up`."
            ) from None


class _EventReader:
    """Cuts an event stream into events; remembers the last number and the final event."""

    def __init__(self, on_event: Callable[[dict[str, Any]], None]) -> None:
        self._on_event = on_event
        self._rest = b""
        self.last = 0
        self.final: dict[str, Any] | None = None

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                event = json.loads(line[5:])
                self.last = event["n"]
                self._on_event(event)
                if event["type"] in {"ready", "failed", "cancelled"}:
                    self.final = event


def _refused(error: HTTPClientError) -> Refused:
    body = error.response.body if error.response is not None else b""
    try:
        facts = json.loads(body)["error"]
        return Refused(facts["title"], facts["seen"], facts["todo"], error.code)
    except (ValueError, KeyError, TypeError):
        return Refused(
            "The launcher gave an answer that cannot be read.",
            f"Status {error.code}.",
            "Look at its log.",
            error.code,
        )
