"""Waiting until a server that was started answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tornado.httpclient import HTTPClientError, HTTPRequest

from deploy.hub.asking import http

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROBE_S = 0.025
"""The hub's own wait backs off to seconds; asked so often here, its first question is answered."""
LOOK_S = 0.5


async def answered(url: str, within: float, look: Callable[[], Awaitable[None]]) -> bool:
    """Wait until something answers; False: not within so many seconds.

    `url`: `""` where there is no address to ask. `look` is called now and then, and raises where the server has ended.
    """
    clock = asyncio.get_running_loop().time
    began = looked = clock()
    while not (url and await _answers(url)):
        now = clock()
        if now - looked > LOOK_S or not url:
            looked = now
            await look()
        if now - began > within:
            return False
        await asyncio.sleep(PROBE_S)
    return True


async def _answers(url: str) -> bool:
    request = HTTPRequest(url, connect_timeout=1, request_timeout=2, follow_redirects=False)
    try:
        answer = await http().fetch(request, raise_error=False)
    except (OSError, ValueError, HTTPClientError):
        return False
    return answer.code < 500  # noqa: PLR2004  # the server is up, whatever it says
