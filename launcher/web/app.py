"""The routes, and the application that serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tornado.routing import URLSpec
from tornado.web import Application

from launcher.web import (
    api,
    binder,
    collection,
    connect,
    credentials,
    elsewhere,
    events,
    lasting,
    limits,
    links,
    login,
    openapi,
    pages,
    schemas,
    service,
    site_pages,
    state_badge,
)
from launcher.web.assets import Assets, Static
from launcher.web.handler import Missing, headers_of
from launcher.web.routes import LINK_ERRORS, Operation, Route
from launcher.web.serving import answered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tornado.httputil import HTTPServerRequest

    from launcher.web.context import Web

HTML: Final = "text/html"
EVENTS: Final = "text/event-stream"
JSON: Final = "application/json"
SVG: Final = "image/svg+xml"
LAST_ID: Final = ("Last-Event-ID", "The id of the last event that was received: what follows it is sent.")
URLPATH: Final = ("urlpath", "Where in the session to arrive.")
NEXT: Final = ("next", "The page to come back to: a path of this site.")

PICTURE_S: Final = 30 * 86400
"""Badges are fetched with every view of a page; who changes one waits that long."""
ICO: Final = "image/vnd.microsoft.icon"
PICTURES: Final = (
    ("/badge_logo.svg", "badge.svg", SVG, "Badge for a README."),
    ("/badge.svg", "badge.svg", SVG, "The same badge."),
    ("/assets/images/badge.svg", "badge.svg", SVG, "The same badge, where the first Binder had it."),
    ("/logo_social.png", "", "image/png", "What other sites show beside a link to this one."),
    ("/favicon.ico", "", ICO, "Icon of this site."),
    ("/favicon_building.ico", "", ICO, "The same while something is built."),
    ("/favicon_success.ico", "", ICO, "The same when it is ready."),
    ("/favicon_fail.ico", "", ICO, "The same when it failed."),
)
LEGACY: Final = (
    Operation("GET", "A link of the first Binder: leads to the launch link on GitHub.", HTML, 302, errors=LINK_ERRORS),
)

ROUTES: Final[tuple[Route, ...]] = (
    # ---- pages
    Route("/", pages.Home, (Operation("GET", "Home page: paste an address, get a launch link.", HTML),)),
    Route(
        "/v2/{provider}/{spec}",
        pages.LaunchPage,
        (
            Operation(
                "GET",
                "Launch page of a link. Its script starts the launch; a crawler starts nothing.",
                HTML,
                query=(URLPATH, ("labpath", "A file to open in JupyterLab."), ("filepath", "A file to open.")),
                errors=LINK_ERRORS,
            ),
        ),
    ),
    Route(
        "/user/{rest}",
        pages.StoppedSession,
        (
            Operation(
                "GET", "Says that the session at this address has stopped.", HTML, 503, errors=("session-stopped",)
            ),
        ),
    ),
    Route(
        "/proxy-error/{status}",
        pages.ProxyError,
        (Operation("GET", "What the proxy shows where the part that should answer does not.", HTML, 503),),
    ),
    Route(
        "/language/{language}",
        pages.Language,
        (Operation("GET", "Reads on in another language, which is remembered.", HTML, 302, query=(NEXT,)),),
    ),
    Route("/docs/errors", pages.ErrorsPage, (Operation("GET", "What can go wrong, and what to do about it.", HTML),)),
    Route(
        "/static/{file}",
        Static,
        (Operation("GET", "The frontend's files.", "application/octet-stream"),),
        {"assets": True},
    ),
    *(
        Route(
            path,
            Static,
            (Operation("GET", summary, kind),),
            {"assets": True, "name": name or path[1:], "age_s": PICTURE_S},
        )
        for path, name, kind, summary in PICTURES
    ),
    Route(
        "/badge/state/{provider}/{spec}",
        state_badge.StateBadge,
        (
            Operation(
                "GET",
                "Badge that says where a link stands, by its launches here: `reproducible`, `locked`, `not pinned` or "
                "`ready`, `building`, `failed`, `unknown`. The address ends in `.svg`. Starts nothing.",
                SVG,
            ),
        ),
    ),
    # ---- for links and programs of others
    Route("/repo/{user}/{repo}", elsewhere.LegacyLink, LEGACY),
    Route("/repo/{user}/{repo}/{rest}", elsewhere.LegacyLink, LEGACY),
    Route(
        "/oembed",
        elsewhere.OEmbed,
        (
            Operation(
                "GET",
                "What other sites show for a launch link (oEmbed 1.0, type `link`). 404 for other addresses.",
                JSON,
                query=(("url", "The launch link, whole."), ("format", "`json`; else 501.")),
                errors=LINK_ERRORS,
            ),
        ),
    ),
    # ---- BinderHub's API
    Route(
        "/build/{provider}/{spec}",
        binder.Build,
        (
            Operation(
                "GET",
                "Launch a link and follow it, in BinderHub's event format. Without a login: a temporary project, "
                "entered by the token in `ready`. Errors are events too.",
                EVENTS,
                headers=(("Accept", "Must name text/event-stream."), LAST_ID),
                query=(("build_only", "`true`: end with the image, start no session; `ready` has `imageName`."),),
            ),
        ),
    ),
    Route("/api/repoproviders", service.RepoProviders, (Operation("GET", "How links are written.", JSON),)),
    Route("/versions", service.Versions, (Operation("GET", "Versions of the service's parts.", JSON),)),
    Route(
        "/health",
        service.HealthHandler,
        (Operation("GET", "Whether every part is well (else 503); asked at most every 15 s.", schemas.HealthAnswer),),
    ),
    Route("/metrics", service.MetricsHandler, (Operation("GET", "Numbers for Prometheus.", "text/plain"),)),
    # ---- people
    Route(
        "/api/v1/me",
        login.Me,
        (Operation("GET", "Who asks.", schemas.Me, who="login", query=(NEXT,)),),
    ),
    Route(
        "/api/v1/login",
        login.Login,
        (
            Operation(
                "GET",
                "Log in through the hub, as a guest where the site admits guests.",
                HTML,
                302,
                query=(NEXT, ("as", "`member`: sign in with a password.")),
            ),
        ),
    ),
    Route(
        "/api/v1/oauth_callback",
        login.Callback,
        (
            Operation(
                "GET",
                "Where the hub sends the browser back.",
                HTML,
                302,
                query=(("code", "The hub's code."), ("state", "The login's state.")),
                errors=("bad-request", "hub-down"),
            ),
        ),
    ),
    Route(
        "/api/v1/credentials",
        credentials.Credentials,
        (
            Operation(
                "GET",
                "One's credentials for private repositories, without what opens.",
                credentials.Credential,
                many=True,
                who="login",
                errors=("forbidden",),
            ),
            Operation(
                "POST",
                "Keep a token of a git host, or have a deploy key made: one's own launches are fetched with it.",
                credentials.Credential,
                201,
                body=credentials.CredentialRequest,
                who="login",
                errors=("forbidden", "bad-request", "credentials-full"),
            ),
        ),
    ),
    Route(
        "/api/v1/credentials/{id}",
        credentials.OneCredential,
        (
            Operation(
                "DELETE",
                "Forget a credential.",
                "",
                204,
                who="login",
                errors=("forbidden", "credential-missing"),
            ),
        ),
    ),
    Route(
        "/api/v1/connect",
        connect.Connect,
        (
            Operation(
                "GET",
                "Go to a git host and let this service read one's repositories there: for browsers.",
                HTML,
                302,
                who="login",
                query=(("host", "The git host; the operator has an application there."), NEXT),
                errors=("forbidden", "bad-request"),
            ),
        ),
    ),
    Route(
        "/api/v1/connected",
        connect.Connected,
        (
            Operation(
                "GET",
                "Where the git host sends the browser back: its token is kept.",
                HTML,
                302,
                who="login",
                query=(("code", "The host's code."), ("state", "The connection's state.")),
                errors=("forbidden", "bad-request", "connect-failed", "credentials-full"),
            ),
        ),
    ),
    # ---- launches
    *links.ROUTES,
    *lasting.ROUTES,
    *site_pages.ROUTES,
    Route(
        "/api/v1/launches",
        api.Launches,
        (
            Operation("GET", "One's launches, the newest first.", schemas.Launch, many=True, who="login"),
            Operation(
                "POST",
                "Launch a link. Returns at once; the launch does not end with the connection.",
                schemas.Launch,
                201,
                body=schemas.LaunchRequest,
                who="login",
                errors=LINK_ERRORS,
            ),
        ),
    ),
    Route(
        "/api/v1/launches/{id}",
        api.Launch,
        (
            Operation("GET", "How a launch stands.", schemas.Launch, who="login", errors=("launch-missing",)),
            Operation("DELETE", "Cancel it.", schemas.Launch, 202, who="login", errors=("launch-missing",)),
        ),
    ),
    Route(
        "/api/v1/launches/{id}/events",
        events.LaunchEvents,
        (
            Operation(
                "GET",
                "Its events: those that were, then those that come, to the final one. 204 when none is left.",
                EVENTS,
                who="login",
                query=(("from", "Number of the first event to send; 1 is the first of all."),),
                headers=(LAST_ID,),
                errors=("launch-missing", "bad-request"),
            ),
        ),
    ),
    Route(
        "/api/v1/limits",
        limits.Limits,
        (Operation("GET", "What this site lets people have, and how full it is.", schemas.Limits),),
    ),
    Route(
        "/api/v1/queue",
        limits.Queue,
        (
            Operation(
                "GET",
                "Launches that wait for a place, in the order of their places. For the operator.",
                schemas.Waiting,
                many=True,
                who="login",
                errors=("forbidden",),
            ),
        ),
    ),
    # ---- projects and sessions
    Route(
        "/api/v1/projects",
        api.Projects,
        (Operation("GET", "One's projects, the most recently used first.", schemas.Project, many=True, who="login"),),
    ),
    Route(
        "/api/v1/projects/{id}",
        api.Project,
        (Operation("GET", "A project.", schemas.Project, who="login", errors=("project-missing",)),),
    ),
    Route(
        "/api/v1/projects/{id}/session",
        api.ProjectSession,
        (
            Operation(
                "POST",
                "Resume it: the same as launching its link.",
                schemas.Launch,
                201,
                who="login",
                errors=("project-missing", "forbidden"),
            ),
        ),
    ),
    Route(
        "/api/v1/projects/{id}/token",
        api.ProjectToken,
        (
            Operation(
                "POST",
                "Mint a token that opens the project's session and nothing else. Only for programs that ask with "
                "a token.",
                schemas.Entry,
                201,
                who="login",
                errors=("project-missing", "forbidden", "hub-down"),
            ),
        ),
    ),
    Route(
        "/api/v1/projects/{id}/open",
        api.OpenProject,
        (Operation("GET", "Go to its launch link.", HTML, 302, who="login", errors=("project-missing",)),),
    ),
    Route(
        "/api/v1/sessions",
        api.Sessions,
        (Operation("GET", "One's sessions that run or start.", schemas.Session, many=True, who="login"),),
    ),
    Route(
        "/api/v1/sessions/{id}",
        api.Session,
        (
            Operation(
                "DELETE",
                "Stop the session of the project with this id; its files stay.",
                "",
                204,
                who="login",
                errors=("project-missing", "forbidden"),
            ),
        ),
    ),
    *collection.ROUTES,
    Route("/api/v1/openapi.json", openapi.OpenApi, (Operation("GET", "This API, as OpenAPI 3.1.", JSON),)),
    # ---- the hub
    Route(
        "/internal/resolve",
        service.InternalResolve,
        (Operation("POST", "What a spawn may have. For the hub alone, not through the proxy.", JSON, who="hub"),),
    ),
)
"""Every address that the launcher serves. Nothing is served that is not documented here."""


class _Site(Application):
    """The routes, also below the path that the public address has: what answers knows nothing of it.

    The hub and the command line on this machine ask without it.
    """

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Tornado's: who answers this request."""
        base = self.settings["base"]
        if base and request.path.startswith(f"{base}/") and str(request.uri).startswith(base):
            request.path, request.uri = request.path[len(base) :], str(request.uri)[len(base) :]
        return super().find_handler(request, **kwargs)


def make_app(web: Web, routes: Sequence[Route] = ROUTES) -> Application:
    """Build the application. Reads the static files once, from disk."""
    assets = Assets(web.dist)
    document = openapi.document(routes)
    specs: list[Any] = []
    for route in routes:
        arguments: dict[str, Any] = {"web": web, **(route.arguments or {})}
        if issubclass(route.handler, pages.Home | pages.LaunchPage) or arguments.get("assets"):
            arguments["assets"] = assets
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
        styles=assets.styles,
        allow_origin=web.allow_origin,
        base=web.base,
    )
    web.watching.changed = web.metrics.watchers.inc
    names = {route.handler: route.path for route in routes}
    application.settings["routes"] = names
    return application
