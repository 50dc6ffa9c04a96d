"""People as JupyterHub knows them: tokens and the OAuth code flow (RFC 6749 with PKCE), without blocking.

Speaks to the hub's API directly: `jupyterhub.services.auth` would block the loop on a cache miss, keeps caches
without a limit and costs 25 MiB of memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from launcher.errors import HubDown
from launcher.model import Account, Kind
from launcher.sessions.hub import reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TIMEOUT_S: Final = 10.0
NOBODY: Final = {400, 401, 403, 404}
"""The hub's answers to a token or a code that is not good."""


@dataclass(frozen=True, slots=True)
class Client:
    """The launcher as the hub's configuration knows it: a service with OAuth."""

    api_url: str
    """The hub's API as the launcher reaches it, `http://…/hub/api`."""
    token: str
    """The service's API token, which is also its OAuth secret."""
    service: str
    client_id: str
    base: str = ""
    """What the site's paths begin with."""

    @property
    def callback(self) -> str:
        """Where the hub sends browsers back."""
        return f"{self.base}/api/v1/oauth_callback"

    @property
    def authorize(self) -> str:
        """Where browsers ask the hub who they are."""
        return f"{self.base}/hub/api/oauth2/authorize"


class Remembered:
    """Answers of the hub by token, at most `most` of them, each for `max_age_s`."""

    def __init__(self, clock: Callable[[], float], max_age_s: float, most: int) -> None:
        """`clock`: monotonic seconds."""
        self._clock, self._max_age_s, self._most = clock, max_age_s, most
        self._known: OrderedDict[str, tuple[float, Account | None]] = OrderedDict()

    def get(self, key: str) -> tuple[Account | None] | None:
        """The answer in a tuple; None: ask."""
        known = self._known.get(key)
        return (known[1],) if known and self._clock() - known[0] < self._max_age_s else None

    def put(self, key: str, account: Account | None) -> None:
        """Remember, and forget the oldest beyond the limit."""
        self._known[key] = (self._clock(), account)
        self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def __len__(self) -> int:
        return len(self._known)


async def _none() -> None:
    """There is no doubt."""


class OAuthHub:
    """Is a `context.HubLogin`. A revoked token is known for at most `max_age_s` longer."""

    def __init__(
        self,
        client: Client,
        clock: Callable[[], float],
        max_age_s: float = 30,
        most: int = 4096,
        doubt: Callable[[], Awaitable[None]] = _none,
    ) -> None:
        """`clock`: monotonic seconds. `doubt` is awaited before somebody is told to be nobody: it may raise.

        JupyterHub notes when a token was used. Where its database has no room for that, it knows nobody any more.
        """
        self._doubt = doubt
        self._client = client
        self._http: AsyncHTTPClient | None = None
        self._asking: dict[str, asyncio.Task[Account | None]] = {}
        self.remembered = Remembered(clock, max_age_s, most)

    async def identify(self, token: str) -> Account | None:
        """Whom the token belongs to; None: nobody who may come in. Simultaneous questions are one. Raises HubDown."""
        key = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        known = self.remembered.get(key)
        if known is not None:
            return known[0]
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._identify(token, key))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(asking)

    async def _identify(self, token: str, key: str) -> Account | None:
        if not token.isascii() or not token.isprintable():
            return None
        answer = await self._fetch("GET", "/user", {"Authorization": f"token {token}"})
        if answer is None:
            await self._doubt()
        account = None if answer is None else account_of(answer, self._client.service)
        self.remembered.put(key, account)
        return account

    def authorize_url(self, state: str, challenge: str) -> str:
        """Where a browser asks the hub who it is."""
        asked = {
            "client_id": self._client.client_id,
            "redirect_uri": self._client.callback,
            "response_type": "code",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._client.authorize}?{urlencode(asked)}"

    async def redeem(self, code: str, verifier: str) -> str | None:
        """The access token for an OAuth code; None if the code is not good. Raises HubDown."""
        asked = {
            "client_id": self._client.client_id,
            "client_secret": self._client.token,
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._client.callback,
            "code_verifier": verifier,
        }
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self._fetch("POST", "/oauth2/token", form, urlencode(asked))
        return None if answer is None else str(answer["access_token"])

    async def _fetch(
        self, method: str, path: str, headers: dict[str, str], body: str | None = None
    ) -> dict[str, Any] | None:
        if self._http is None:
            self._http = SimpleAsyncHTTPClient(force_instance=True, max_clients=32, max_body_size=2**20)
        request = HTTPRequest(
            self._client.api_url + path,
            method=method,
            headers=headers,
            body=body,
            connect_timeout=TIMEOUT_S,
            request_timeout=TIMEOUT_S,
            follow_redirects=False,
        )
        try:
            return _decoded(await self._http.fetch(request, raise_error=False))
        except HubDown:
            raise
        except (OSError, HTTPClientError) as error:
            raise HubDown(f"Asking it who you are failed: {reason(error)}") from error
        except (ValueError, KeyError) as error:
            raise HubDown("Asked who you are, it gave an answer that cannot be read") from error


def _decoded(answer: HTTPResponse) -> dict[str, Any] | None:
    if answer.code in NOBODY:
        return None
    if answer.code != 200:  # noqa: PLR2004  # HTTP's own number
        raise HubDown(f"Asked who you are, it answered with status {answer.code}")
    found = json.loads(answer.body)
    if not isinstance(found, dict):
        raise HubDown("Asked who you are, it gave an answer that cannot be read")
    return found


def account_of(model: dict[str, Any], service: str) -> Account | None:
    """The person in the hub's model of a token; None for services, projects, and tokens without access to us.

    The token of a session's own server carries no access to this service, so that no notebook acts as a person here.
    """
    name, scopes = str(model.get("name", "")), set(model.get("scopes", ()))
    wanted = {"access:services", f"access:services!service={service}"}
    if model.get("kind") != "user" or not scopes & wanted:
        return None
    if not name or name == "operator" or name.startswith("project-"):
        return None
    groups = tuple(str(one) for one in model.get("groups") or ())
    return Account(name, Kind.GUEST if name.startswith("guest-") else Kind.MEMBER, groups)
