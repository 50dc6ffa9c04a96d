"""What the supervisor asks of the hub: stop every session when the service goes down, tell a new proxy its routes."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest

if TYPE_CHECKING:
    from launcher.operate.installation import Installation

log = logging.getLogger(__name__)
STOP_S = 40.0
PAGE = 100
ROUTES_S = 60.0
AGAIN_S = 0.2


async def stop_all(hub_api_url: str, installation: Installation) -> None:
    """Ask the hub to stop every project's server and wait until it has. What cannot be stopped is logged."""
    headers = {"Authorization": f"token {installation.secret('supervisor-token')}"}
    client = AsyncHTTPClient()

    async def running() -> list[str]:
        answer = await client.fetch(HTTPRequest(f"{hub_api_url}/users?state=active", headers=headers))
        return [user["name"] for user in json.loads(answer.body)]

    async def stop(name: str) -> None:
        request = HTTPRequest(f"{hub_api_url}/users/{name}/server", "DELETE", headers, request_timeout=STOP_S)
        await client.fetch(request, raise_error=False)

    try:
        async with asyncio.timeout(STOP_S):
            while names := await running():
                await asyncio.gather(*(stop(name) for name in names))
                await asyncio.sleep(0.1)
    except (OSError, HTTPError, TimeoutError) as error:
        log.warning("not every session could be stopped: %s", error)


async def active(hub_api_url: str, installation: Installation) -> set[str] | None:
    """The accounts whose server runs, starts or stops; None where the hub does not say."""
    headers = {"Authorization": f"token {installation.secret('supervisor-token')}"}
    found: set[str] = set()
    try:
        while True:  # the hub gives a page at a time, also to those who do not ask for pages
            url = f"{hub_api_url}/users?state=active&limit={PAGE}&offset={len(found)}"
            answer = await AsyncHTTPClient().fetch(HTTPRequest(url, headers=headers))
            page = {user["name"] for user in json.loads(answer.body)}
            if page <= found:
                return found
            found |= page
    except (OSError, HTTPError, ValueError) as error:
        log.warning("the hub does not say which sessions run: %s", error)
        return None


async def restore_routes(hub_api_url: str, installation: Installation) -> None:
    """Have the hub tell its routes to a proxy that was started again.

    Until it has, nobody reaches a session: a hub that is away or too busy is asked again. One that starts tells its
    routes by itself. What fails for too long is logged.
    """
    headers = {"Authorization": f"token {installation.secret('supervisor-token')}"}
    request = HTTPRequest(f"{hub_api_url}/proxy", "POST", headers, body="{}", request_timeout=ROUTES_S)
    clock = asyncio.get_running_loop().time
    until = clock() + ROUTES_S
    while True:
        try:
            await AsyncHTTPClient().fetch(request)
        except (OSError, HTTPError) as error:
            if clock() > until:
                log.warning("the proxy's routes could not be restored: %s", error)
                return
            await asyncio.sleep(AGAIN_S)
        else:
            return
