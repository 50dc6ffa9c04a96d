"""Listening, counting and logging."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tornado.httpserver import HTTPServer

if TYPE_CHECKING:
    from tornado.web import Application, RequestHandler

    from launcher.web.context import Web

log = logging.getLogger(__name__)
BACKLOG = 1024
"""Connections that may wait to be accepted: a class clicks within the same second."""


def serve(application: Application) -> HTTPServer:
    """A server for the place behind the proxy, whose word about the visitor's address and scheme is taken.

    The caller lets it listen, on loopback only.
    """
    return HTTPServer(
        application,
        xheaders=True,
        trusted_downstream=["127.0.0.1", "::1"],
        max_body_size=2**20,
        max_header_size=32 * 1024,
        idle_connection_timeout=300,
    )


async def stop(server: HTTPServer, web: Web) -> None:
    """Accept nobody any more and let all go who are here."""
    server.stop()
    await web.watching.close()
    await server.close_all_connections()


def answered(web: Web, handler: RequestHandler) -> None:
    """Count the request; log it without its query, which may hold a code or a token."""
    request, status = handler.request, handler.get_status()
    route = handler.application.settings["routes"].get(type(handler), "other")
    seconds = request.request_time()
    streamed = getattr(handler, "streamed", False)
    method = request.method if request.method in handler.SUPPORTED_METHODS else "other"
    web.metrics.answered(method or "other", route, status, None if streamed else seconds)
    level = logging.WARNING if status >= 500 and route != "/user/{rest}" else logging.DEBUG  # noqa: PLR2004  # HTTP's line
    log.log(
        level,
        "%s %s %d %.0f ms",
        method,
        route if route.startswith("/internal") else request.path,
        status,
        seconds * 1000,
    )
