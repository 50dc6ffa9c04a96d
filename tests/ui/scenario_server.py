"""A launcher that plays launches by script: the shell, the built pages and the HTTP contract, nothing behind them.

`python -m tests.ui.scenario_server DIST` serves it to a person: open `/v2/gh/example/<scenario>/main`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import sys
import time
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, StaticFileHandler

from launcher.compose.web import display_config
from launcher.errors import RefMissing, RepositoryMissing
from launcher.model import Record, ResolvedRepo
from launcher.rates import Rates
from launcher.repos.providers import PROVIDERS, parse_spec
from launcher.repos.recognise import folders, recognise
from launcher.web import links
from launcher.web.assets import OWN, Assets
from launcher.web.context import Links, Web
from launcher.web.looking import Looking
from launcher.web.pages import Language, script_json
from launcher.web.rendering import render
from launcher.web.texts import COOKIE, chosen, text
from tests.ui.scenarios import COMMIT, FINAL, SCENARIOS, PlayedLaunch, waiting

if TYPE_CHECKING:
    from launcher.model import Account, RepoRef

log = logging.getLogger(__name__)

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types lit-html"
)

NAMES = {"guest": "guest-1f2e", "member": "ada"}
SETTLED_S = 0.2
"""How long a stream that breaks has been silent: the browser has given the page what came before."""


@dataclass
class Faults:
    """What goes wrong, as the test says."""

    signed_in: bool = True
    kind: str = "guest"
    """Who everybody is."""
    login_works: bool = True
    gateway_down: bool = False
    overlap: int = 0
    """How many events before the asked one a stream repeats."""
    drop_after: list[int] = field(default_factory=list)
    """The next streams break after that event."""
    stop_refused: bool = False
    change_refused: str = ""
    """The code with which a project is not renamed, put away or taken back."""
    slow_change: asyncio.Event | None = None
    """Such a change is answered once this is set."""
    form_token: str = "form-token"
    logins_after: int = 0
    """How often another tab logs in again right after a page has learnt who it is: its form token is worth nothing."""
    slow_stop: asyncio.Event | None = None
    """A stop is answered once this is set."""
    skip: set[int] = field(default_factory=set)
    """Events that the next stream leaves out, once."""


class ScenarioServer:
    """The server; `address` is its base, `launches` what was begun, `seen` the requests it had."""

    def __init__(self, dist: Path) -> None:
        self.dist = dist
        self.faults = Faults()
        self.launches: dict[str, PlayedLaunch] = {}
        self.projects: dict[str, dict[str, Any]] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.streams: set[EventsHandler] = set()
        self.host = PlayedHost()
        self._sockets = bind_sockets(0, "127.0.0.1")
        self.address = f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}"
        self._server = HTTPServer(application(self))

    def start(self) -> None:
        self._server.add_sockets(self._sockets)

    async def stop(self) -> None:
        self.drop()
        self._server.stop()
        await self._server.close_all_connections()

    def reset(self) -> None:
        """Forget everything: the next test begins."""
        self.drop()
        self.faults = Faults()
        self.host.slow = None
        self.launches.clear()
        self.projects.clear()
        self.seen.clear()

    def drop(self) -> None:
        """Break every event stream that is open."""
        for stream in list(self.streams):
            stream.request.connection.stream.close()  # type: ignore[union-attr]

    def begin(self, spec: str, *, afresh: bool = False) -> PlayedLaunch:
        launch = PlayedLaunch(secrets.token_hex(16), spec, afresh=afresh)
        self.launches[launch.id] = launch
        name = spec.split("/")[1] if "/" in spec else spec
        SCENARIOS.get(name, waiting)(launch)
        return launch

    @property
    def only(self) -> PlayedLaunch:
        """The one launch that there is."""
        (launch,) = self.launches.values()
        return launch

    def count(self, method: str, path: str) -> int:
        return sum(1 for seen in self.seen if seen[0] == method and seen[1].startswith(path))


class Handler(RequestHandler):
    """What every handler needs."""

    @property
    def played(self) -> ScenarioServer:
        server: ScenarioServer = self.settings["played"]
        return server

    def prepare(self) -> None:
        self.played.seen.append((str(self.request.method), self.request.uri or "", dict(self.request.headers)))
        if self.played.faults.gateway_down and self.request.path.startswith("/api/"):
            self.set_status(503)
            self.finish("<html>no route</html>")

    def refuse(self, status: int, code: str, title: str, login: str = "") -> None:
        """Answer with an explained error."""
        error = {
            "code": code,
            "title": title,
            "seen": f"Seen: {title}",
            "todo": "Do this.",
            "link": "",
            "status": status,
        }
        self.set_status(status)
        self.finish({"error": error | ({"login": login} if login else {})})


class ShellHandler(Handler):
    """The shells, with the strictest policy that the launcher could send."""

    def initialize(self, page: str) -> None:
        self.page = page

    def get(self, provider: str = "", spec: str = "") -> None:
        raw = self.request.path.removeprefix(f"/v2/{provider}/") if spec else ""
        config: dict[str, object] = {
            "baseUrl": "/",
            "provider": provider,
            "spec": raw,
            "urlpath": self.get_argument("urlpath", ""),
        }
        config["opened"] = ["repository-missing"]
        page = Assets(self.played.dist).page(f"src/{self.page}/main.ts", texts=self.language)
        values = {"title": "repolaunch", "page": page, "config": script_json(config), "told": None}
        values |= {"about": None, "binder_config": "", "standing": "unknown", "refresh": None, "start": "/"}
        asked = {"url": "", "ref": "", "labpath": ""}
        self.set_header("Content-Security-Policy", CSP)
        self.finish(render(self, f"{self.page}.html", asked=asked, link=None, here=self.request.uri, **values))

    @property
    def language(self) -> str:
        return chosen(self.get_cookie(COOKIE, ""), self.request.headers.get("Accept-Language", ""))


def styles_of(manifest: dict[str, Any], entry: str) -> set[str]:
    """The style sheets of an entry and of every chunk that it imports."""
    chunk = manifest[entry]
    found = set(chunk.get("css", ()))
    for name in chunk.get("imports", ()):
        found |= styles_of(manifest, name)
    return found


class MeHandler(Handler):
    def get(self) -> None:
        if not self.played.faults.signed_in:
            self.refuse(401, "login-required", "Please sign in", login="/api/v1/login?next=%2F")
            return
        faults = self.played.faults
        self.set_cookie("_xsrf", faults.form_token, path="/api/")
        self.finish({"name": NAMES[faults.kind], "kind": faults.kind, "xsrf": faults.form_token})
        if faults.logins_after:
            faults.logins_after -= 1
            faults.form_token += "-new"


class LoginHandler(Handler):
    def get(self) -> None:
        self.played.faults.signed_in = self.played.faults.login_works
        self.redirect(self.get_argument("next"))


class LaunchesHandler(Handler):
    def post(self) -> None:
        body = json.loads(self.request.body)
        if self.request.headers.get("X-XSRFToken") != self.played.faults.form_token:
            self.refuse(403, "not-from-our-page", "No form token")
        elif body["spec"].startswith("closed"):
            self.refuse(403, "launch-closed", "You may not launch here")
        elif body["spec"].startswith("nonsense"):
            self.refuse(404, "repository-missing", "There is no such repository")
        else:
            self.set_status(201)
            self.finish(self.played.begin(body["spec"], afresh=body.get("afresh", False)).body)


class LaunchHandler(Handler):
    def get(self, launch: str) -> None:
        if launch in self.played.launches:
            self.finish(self.played.launches[launch].body)
        else:
            self.refuse(404, "launch-missing", "No launch has that number")

    def delete(self, launch: str) -> None:
        self.set_status(202)
        self.played.launches[launch].tell("cancelled", message="Cancelled by guest-1f2e")


class EventsHandler(Handler):
    """The stream of one launch, with the faults that the test asked for."""

    async def get(self, launch: str) -> None:
        played = self.played.launches.get(launch)
        if played is None:
            self.refuse(404, "launch-missing", "No launch has that number")
            return
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store")
        faults = self.played.faults
        begin = max(0, int(self.request.headers.get("Last-Event-ID", "0")) - faults.overlap)
        stop = faults.drop_after.pop(0) if faults.drop_after else None
        skip, faults.skip = faults.skip, set()
        self.played.streams.add(self)
        try:
            await self.play(played, begin, stop, skip)
        except StreamClosedError:
            log.debug("the page left")
        finally:
            self.played.streams.discard(self)

    async def play(self, launch: PlayedLaunch, position: int, stop: int | None, skip: set[int]) -> None:
        """Send what there is, then what comes, up to the final event or to where it shall break."""
        while True:
            news = launch.news
            batch = launch.log[position:stop]
            for event in batch:
                if event["n"] not in skip:
                    self.write(f"id: {event['n']}\ndata: {json.dumps(event)}\n\n")
            position += len(batch)
            await self.flush()
            if stop is not None and position >= stop:
                await asyncio.sleep(SETTLED_S)
                self.request.connection.stream.close()  # type: ignore[union-attr]
                return
            if position and launch.log[position - 1]["type"] in FINAL:
                return
            await news.wait()


class ProjectsHandler(Handler):
    def get(self) -> None:
        archived = self.get_argument("archived", "") == "true"
        shown = [one for one in self.played.projects.values() if (one["archived"] is not None) == archived]
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(shown))


class ProjectHandler(Handler):
    def get(self, project: str) -> None:
        if project in self.played.projects:
            self.finish(self.played.projects[project])
        else:
            self.refuse(404, "project-missing", "There is no such project")

    async def patch(self, project: str) -> None:
        faults = self.played.faults
        if self.request.headers.get("X-XSRFToken") != faults.form_token:
            self.refuse(403, "not-from-our-page", "No form token")
            return
        if faults.slow_change is not None:
            await faults.slow_change.wait()
        if faults.change_refused:
            self.refuse(409, faults.change_refused, "It cannot be")
            return
        one, asked = self.played.projects[project], json.loads(self.request.body)
        one["title"] = asked.get("title", one["title"])
        if "archived" in asked:
            one["archived"] = "2026-03-01T12:00:00.000Z" if asked["archived"] else None
        self.finish(one)


class StopHandler(Handler):
    """Like the launcher's, it answers when the server has stopped."""

    async def delete(self, project: str) -> None:
        if self.request.headers.get("X-XSRFToken") != self.played.faults.form_token:
            self.refuse(403, "not-from-our-page", "No form token")
            return
        if self.played.faults.slow_stop is not None:
            await self.played.faults.slow_stop.wait()
        if self.played.faults.stop_refused:
            self.refuse(503, "hub-down", "The hub is away")
            return
        if project in self.played.projects:
            self.played.projects[project]["state"] = "stopped"
        self.set_status(204)


@dataclass
class PlayedHost:
    """Is a `Finder`: `main` is everywhere the default branch, `v1` a tag; of a record there is a newer version."""

    slow: asyncio.Event | None = None
    """An answer comes once this is set."""

    async def resolve(self, ref: RepoRef, account: Account) -> ResolvedRepo:
        del account
        if self.slow is not None:
            await self.slow.wait()
        if "nonsense" in ref.url:
            raise RepositoryMissing(ref.url)
        if PROVIDERS[ref.provider].is_record:
            return ResolvedRepo(ref, "", "", record=Record("10.5281/zenodo.3242075", 0, ()))
        names = {"": "refs/heads/main", "main": "refs/heads/main", "v1": "refs/tags/v1", COMMIT: ""}
        if ref.ref not in names:
            raise RefMissing(ref.url, ref.ref, ("main", "v1"))
        return ResolvedRepo(ref, COMMIT, names[ref.ref])


def links_of(server: ScenarioServer) -> Web:
    """The launcher's own reading of links, over a played host."""
    known: dict[str, Any] = dict.fromkeys(
        one.name for one in fields(Web) if one.default is one.default_factory is MISSING
    )
    known["links"] = Links(parse_spec, recognise, folders, [display_config(row) for row in PROVIDERS.values()])
    known["looking"] = Looking(server.host, Rates(0, time.monotonic))
    return Web(**known | {"secret": b"s" * 32, "operator_token": "", "internal_token": ""})


class SessionHandler(Handler):
    def get(self) -> None:
        self.finish("<!doctype html><title>session</title><h1>The session</h1>")


class BadgeHandler(Handler):
    def get(self) -> None:
        self.set_header("Content-Type", "image/svg+xml")
        self.finish(
            '<svg xmlns="http://www.w3.org/2000/svg" width="140" height="20"><rect width="140" height="20" rx="3" '
            'fill="#1f5fbf"/><text x="8" y="14" font-family="sans-serif" font-size="11" fill="#fff">'
            "launch | repolaunch</text></svg>"
        )


class SignOutHandler(Handler):
    """`/api/v1/logout`."""

    def get(self) -> None:
        """The launcher's page."""
        self.language = chosen(self.get_cookie(COOKIE, ""), self.request.headers.get("Accept-Language", ""))
        guest = self.played.faults.kind == "guest"
        title = text(self.language, "signout.guest.title" if guest else "signout.title")
        self.finish(render(self, "signout.html", title=title, guest=guest, xsrf="x"))


def application(server: ScenarioServer) -> Application:
    """The routes of the contract that the pages use."""
    web = links_of(server)
    return Application(
        [
            ("/", ShellHandler, {"page": "home"}),
            (r"/v2/([a-z]+)/(.+)", ShellHandler, {"page": "launch"}),
            ("/api/v1/me", MeHandler),
            ("/api/v1/login", LoginHandler),
            ("/api/v1/logout", SignOutHandler),
            ("/api/v1/launches", LaunchesHandler),
            ("/api/v1/launches/([0-9a-f]+)", LaunchHandler),
            ("/api/v1/launches/([0-9a-f]+)/events", EventsHandler),
            ("/api/v1/projects", ProjectsHandler),
            ("/api/v1/projects/([a-z0-9]+)", ProjectHandler),
            ("/api/v1/sessions/([a-z0-9]+)", StopHandler),
            ("/api/v1/links", links.Links, {"web": web}),
            ("/api/v1/links/found", links.LinkFound, {"web": web}),
            (r"/api/v1/links/qr\.svg", links.QrCode, {"web": web}),
            (r"/api/v1/links/qr\.png", links.QrCode, {"web": web, "form": "png"}),
            ("/language/([a-z]+)", Language, {"web": web}),
            ("/user/.*", SessionHandler),
            ("/badge_logo.svg", BadgeHandler),
            ("/static/(icon.svg)", StaticFileHandler, {"path": str(OWN)}),
            ("/static/(.*)", StaticFileHandler, {"path": str(server.dist)}),
        ],
        played=server,
        cookie_secret="of the tests",
        styles=Assets(server.dist).styles,
        log_function=lambda _: None,
    )


async def main(dist: Path) -> None:
    """Serve until interrupted."""
    server = ScenarioServer(dist)
    server.start()
    for name in SCENARIOS:
        print(f"{server.address}/v2/gh/example/{name}/main")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
