"""A launcher that plays launches by script: the shell, the built pages and the HTTP contract, nothing behind them.

`python -m tests.ui.scenario_server DIST` serves it to a person: open `/v2/gh/example/<scenario>/main`.
"""

from __future__ import annotations

import asyncio
import html
import json
import logging
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, StaticFileHandler

log = logging.getLogger(__name__)

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types lit-html"
)
FINAL = ("ready", "failed", "cancelled")
COMMIT = "9f2c1e7ab04d4c55a3b0f6d7e8c9a1b2c3d4e5f6"
Event = dict[str, Any]


@dataclass
class PlayedLaunch:
    """One launch: a numbered log that a test (or a scenario) writes and any number of pages follow."""

    id: str
    spec: str
    log: list[Event] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ago: float = 0
    """How many seconds before now an event is told to have happened."""

    def tell(self, kind: str, **fields: Any) -> None:
        """Append an event and wake every follower."""
        at = (datetime.now(UTC) - timedelta(seconds=self.ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.log.append({"n": len(self.log) + 1, "at": at, "type": kind, **fields})
        self.news.set()
        self.news = asyncio.Event()

    @property
    def state(self) -> str:
        last = self.log[-1]["type"] if self.log else ""
        return str(last) if last in FINAL else "running"

    @property
    def body(self) -> dict[str, Any]:
        """The launch as the API shows it."""
        owner, name, ref = (*self.spec.split("/"), "", "")[:3]
        return {
            "id": self.id,
            "state": self.state,
            "provider": "gh",
            "spec": self.spec,
            "url": f"https://github.com/{owner}/{name}",
            "ref": ref,
            "commit": COMMIT,
            "project": None,
            "created": "2026-03-01T12:00:00Z",
            "ended": None,
            "events": f"/api/v1/launches/{self.id}/events",
            "link": f"/v2/gh/{self.spec}",
        }


Scenario = Callable[[PlayedLaunch], None]


def waiting(launch: PlayedLaunch) -> None:
    """The first stage has begun."""
    launch.tell("started", stage="resolve", message="Asking github.com for main")


def until_build(launch: PlayedLaunch) -> None:
    """Everything before the build, which began a while ago."""
    launch.ago = 96
    waiting(launch)
    launch.ago = 94
    launch.tell("ended", stage="resolve", message="main is commit 9f2c1e7ab0", seconds=0.42)
    launch.tell("started", stage="checkout", message="")
    launch.tell("ended", stage="checkout", message="148 files, 3.1 MB", seconds=1.31)
    launch.tell("started", stage="detect", message="")
    launch.tell("ended", stage="detect", message="repo2docker, from binder/Dockerfile", seconds=0.2)
    launch.tell("started", stage="image", message="")
    launch.tell("ended", stage="image", message="No image of this environment yet", seconds=0.05)
    launch.tell("started", stage="build", message="repo2docker builds the image")


def build_lines(count: int) -> Iterator[str]:
    """What a build looks like; every line carries its number."""
    packages = ("numpy-2.3.1", "pandas-3.0.0", "matplotlib-3.11.0", "scipy-1.18.2", "jupyterlab-4.6.1")
    for n in range(1, count + 1):
        package = packages[n % len(packages)]
        size = (n * 37) % 190 / 10 + 0.3
        yield f"#{n:04d} Downloading {package}-cp313-cp313-manylinux_2_28_x86_64.whl ({size:.1f} MB)"


def building(launch: PlayedLaunch) -> None:
    """In mid-build, with 2,000 lines."""
    until_build(launch)
    launch.ago = 0
    for line in build_lines(2000):
        launch.tell("log", stage="build", message=line + "\n")
    launch.tell("progress", stage="build", message="Step 7 of 12: RUN pip install -r requirements.txt", percent=58)


def failed(launch: PlayedLaunch) -> None:
    """The build ends with an error that holds what a hostile repository could have put there."""
    until_build(launch)
    for line in build_lines(40):
        launch.tell("log", stage="build", message=line + "\n")
    launch.ago = 0
    launch.tell("log", stage="build", message="ERROR: No matching distribution found for nunpy==2.3\n")
    launch.tell("log", stage="build", message="<img src=x onerror=alert(1)><script>alert(2)</script>\n")
    launch.tell(
        "failed",
        stage="build",
        code="build-failed",
        status=422,
        title="The environment could not be built",
        seen="The step “RUN pip install -r requirements.txt” of binder/Dockerfile ended with status 1: "
        "No matching distribution found for nunpy==2.3 <b>bold</b>",
        todo="Correct the line in requirements.txt, commit, and launch again. The log shows what the step wrote.",
        link="/docs/reference/errors#build-failed",
    )


def ready(launch: PlayedLaunch) -> None:
    """A launch that found everything ready."""
    launch.ago = 2.5
    waiting(launch)
    launch.tell("ended", stage="resolve", message="main is commit 9f2c1e7ab0", seconds=0.42)
    launch.ago = 0
    launch.tell("started", stage="session", message="")
    launch.tell("ended", stage="session", message="The server answers", seconds=1.6)
    launch.tell("ready", url="/user/project-abc/lab", project="abc", image="sha256:1", message="Ready")


def cancelled(launch: PlayedLaunch) -> None:
    """Somebody stopped it."""
    until_build(launch)
    launch.ago = 0
    launch.tell("cancelled", message="Cancelled")


SCENARIOS: dict[str, Scenario] = {
    "waiting": waiting,
    "building": building,
    "failed": failed,
    "ready": ready,
    "cancelled": cancelled,
}


@dataclass
class Faults:
    """What goes wrong, as the test says."""

    signed_in: bool = True
    login_works: bool = True
    gateway_down: bool = False
    overlap: int = 0
    """How many events before the asked one a stream repeats."""
    drop_after: list[int] = field(default_factory=list)
    """The next streams break after that event."""
    skip: set[int] = field(default_factory=set)
    """Events that the next stream leaves out, once."""


class ScenarioServer:
    """The server; `address` is its base, `launches` what was begun, `seen` the requests it had."""

    def __init__(self, dist: Path) -> None:
        self.dist = dist
        self.faults = Faults()
        self.launches: dict[str, PlayedLaunch] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.streams: set[EventsHandler] = set()
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
        self.launches.clear()
        self.seen.clear()

    def drop(self) -> None:
        """Break every event stream that is open."""
        for stream in list(self.streams):
            stream.request.connection.stream.close()  # type: ignore[union-attr]

    def begin(self, spec: str) -> PlayedLaunch:
        launch = PlayedLaunch(secrets.token_hex(16), spec)
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
        entry = f"src/{self.page}/main.ts"
        manifest = json.loads((self.played.dist / ".vite/manifest.json").read_text())
        styles = "".join(f'<link rel="stylesheet" href="/static/{css}">' for css in sorted(styles_of(manifest, entry)))
        raw = self.request.path.removeprefix(f"/v2/{provider}/") if spec else ""
        config = {"baseUrl": "/", "provider": provider, "spec": raw, "urlpath": self.get_argument("urlpath", "")}
        data = json.dumps(config).replace("<", "\\u003c")
        self.set_header("Content-Security-Policy", CSP)
        self.finish(
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>repolaunch</title>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">{styles}'
            f'<script id="page-config" type="application/json">{data}</script>'
            f'<script type="module" src="/static/{manifest[entry]["file"]}"></script></head>'
            f'<body><div id="app"></div><noscript>This page needs JavaScript: '
            f'<a href="/build/{html.escape(provider)}/{html.escape(raw)}">the launch as text</a>.</noscript>'
            "</body></html>"
        )


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
        self.set_cookie("_xsrf", "form-token", path="/api/")
        self.finish({"name": "guest-1f2e", "kind": "guest", "xsrf": "form-token"})


class LoginHandler(Handler):
    def get(self) -> None:
        self.played.faults.signed_in = self.played.faults.login_works
        self.redirect(self.get_argument("next"))


class LaunchesHandler(Handler):
    def post(self) -> None:
        body = json.loads(self.request.body)
        if self.request.headers.get("X-XSRFToken") != "form-token":
            self.refuse(403, "forbidden", "No form token")
        elif body["spec"].startswith("nonsense"):
            self.refuse(404, "repository-missing", "There is no such repository")
        else:
            self.set_status(201)
            self.finish(self.played.begin(body["spec"]).body)


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
                self.request.connection.stream.close()  # type: ignore[union-attr]
                return
            if position and launch.log[position - 1]["type"] in FINAL:
                return
            await news.wait()


class LinksHandler(Handler):
    def get(self) -> None:
        url, ref = self.get_argument("url"), self.get_argument("ref", "")
        if not url.startswith("https://github.com/"):
            self.refuse(400, "bad-url", "That is not the address of a repository")
            return
        spec = url.removeprefix("https://github.com/") + "/" + (ref or "HEAD")
        self.finish({"link": f"/v2/gh/{spec}", "provider": "gh", "spec": spec})


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


def application(server: ScenarioServer) -> Application:
    """The routes of the contract that the pages use."""
    return Application(
        [
            ("/", ShellHandler, {"page": "home"}),
            (r"/v2/([a-z]+)/(.+)", ShellHandler, {"page": "launch"}),
            ("/api/v1/me", MeHandler),
            ("/api/v1/login", LoginHandler),
            ("/api/v1/launches", LaunchesHandler),
            ("/api/v1/launches/([0-9a-f]+)", LaunchHandler),
            ("/api/v1/launches/([0-9a-f]+)/events", EventsHandler),
            ("/api/v1/links", LinksHandler),
            ("/user/.*", SessionHandler),
            ("/badge_logo.svg", BadgeHandler),
            ("/static/(.*)", StaticFileHandler, {"path": str(server.dist)}),
        ],
        played=server,
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
