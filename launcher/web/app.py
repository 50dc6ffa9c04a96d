"""The routes, and the application that serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tornado.routing import URLSpec
from tornado.web import Application

from launcher.web import (
    api,
    assets,
    away,
    binder,
    by_hand,
    collection,
    connect,
    credentials,
    elsewhere,
    errors_page,
    events,
    lasting,
    limits,
    links,
    login,
    one_project,
    openapi,
    pages,
    projects,
    service,
    site_pages,
    state_badge,
)
from launcher.web.assets import Assets
from launcher.web.handler import Bare, Missing
from launcher.web.headers import headers_of
from launcher.web.serving import answered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tornado.httputil import HTTPServerRequest

    from launcher.web.context import Web
    from launcher.web.routes import Route

ROUTES: Final[tuple[Route, ...]] = (
    # ---- pages
    *pages.ROUTES,
    *away.ROUTES,
    *errors_page.ROUTES,
    *assets.ROUTES,
    *state_badge.ROUTES,
    # ---- for links and programs of others
    *elsewhere.ROUTES,
    *binder.ROUTES,
    *service.ROUTES,
    # ---- people
    *login.ROUTES,
    *credentials.ROUTES,
    *connect.ROUTES,
    # ---- launches
    *links.ROUTES,
    *by_hand.ROUTES,
    *lasting.ROUTES,
    *site_pages.ROUTES,
    *api.ROUTES,
    *events.ROUTES,
    *limits.ROUTES,
    # ---- projects and sessions
    *projects.ROUTES,
    *one_project.ROUTES,
    *collection.ROUTES,
    *openapi.ROUTES,
    # ---- the hub
    *service.INTERNAL,
)
"""Every address that the launcher serves. Nothing is served that is not documented here."""


PASSED_ON: Final = "X-Forwarded-For"
"""Our proxy writes it into all that it passes on. Without it asks this machine itself: the hub, the command line."""


class _Site(Application):
    """The routes below the path that the public address has: what answers knows nothing of it.

    The hub and the command line on this machine ask without it. For who comes by the proxy nothing is beside it.
    """

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Tornado's: who answers this request."""
        base, web = self.settings["base"], self.settings["default_handler_args"]
        if base and request.path == base:
            return self.get_handler_delegate(request, Bare, web)
        if base and request.path.startswith(f"{base}/") and str(request.uri).startswith(base):
            request.path, request.uri = request.path[len(base) :], str(request.uri)[len(base) :]
        elif base and PASSED_ON in request.headers:
            return self.get_handler_delegate(request, Missing, web)
        return super().find_handler(request, **kwargs)


def make_app(web: Web, routes: Sequence[Route] = ROUTES) -> Application:
    """Build the application. Reads the static files once, from disk."""
    files = Assets(web.dist)
    document = openapi.document(routes)
    specs: list[Any] = []
    for route in routes:
        arguments: dict[str, Any] = {"web": web, **(route.arguments or {})}
        if issubclass(route.handler, pages.Shell) or arguments.get("assets"):
            arguments["assets"] = files
        if issubclass(route.handler, openapi.OpenApi):
            arguments["document"] = document
        specs.append(URLSpec(route.pattern, route.handler, arguments, name=route.path))
    application = _Site(
        specs,
        default_handler_class=Missing,
        default_handler_args={"web": web},
        cookie_secret=web.secret.hex(),
        log_function=lambda handler: answered(web, handler),
        serve_traceback=False,
        headers=headers_of(web),
        styles=files.styles,
        said=lambda: web.limits().pages,
        allow_origin=web.allow_origin,
        base=web.base,
    )
    web.watching.changed = web.metrics.watchers.inc
    names = {route.handler: route.path for route in routes}
    application.settings["routes"] = names
    return application
