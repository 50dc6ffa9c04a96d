"""Pages. The launch page and the home page are shells that the frontend fills; the others need no script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from markupsafe import Markup
from tornado.web import HTTPError

from launcher import explain
from launcher.errors import BodyTooLarge, LauncherError
from launcher.explain.languages import words
from launcher.repos.recognise import arrival
from launcher.web import auth, links, texts
from launcher.web.assets import Assets
from launcher.web.elsewhere import PICTURE, PICTURE_SIZE
from launcher.web.elsewhere import title as embed_title
from launcher.web.handler import CSP, Handler, as_json
from launcher.web.rendering import HtmlPage, error_page, render

if TYPE_CHECKING:
    from launcher.model import Failed, RepoRef
    from launcher.web.assets import Page
    from launcher.web.context import Web

PROXYS_LONGEST_BODY = 2**20
"""As in deploy/proxy/escapes.mjs."""
_PROJECT = re.compile(r"/user/project-([a-z][a-z0-9]{0,24})(?:/|$)")
_UNSAFE = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def script_json(value: object) -> Markup:
    """JSON that cannot end the script element around it."""
    return Markup(json.dumps(value).translate(_UNSAFE))  # noqa: S704  # everything that markup could begin with is escaped


@dataclass(frozen=True, slots=True)
class About:
    """What other sites show for a page (OpenGraph), and where they ask for that (oEmbed)."""

    title: str
    url: str
    picture: str
    embed: str = ""
    size: tuple[int, int] = PICTURE_SIZE


def binder_script(web: Web, base: str, address: str, build_token: str) -> Markup:
    """`window.pageConfig`, as pages of BinderHub have it: programs read it there."""
    config = {
        "baseUrl": base,
        "badgeBaseUrl": f"{address}/",
        "logoUrl": f"{base}static/icon.svg",
        "logoWidth": "64px",
        "repoProviders": list(web.links.providers),
        "aboutMessage": "",
        "bannerHtml": "",
        "binderVersion": web.versions.get("binderhub", ""),
        **({"buildToken": build_token} if build_token else {}),
    }
    return Markup("window.pageConfig = ") + script_json(config) + Markup(";")


def allowing(script: Markup) -> str:
    """The content security policy of a page with this one script in it."""
    digest = base64.b64encode(hashlib.sha256(str(script).encode()).digest()).decode()
    return CSP.replace("script-src 'self'", f"script-src 'self' 'sha256-{digest}'")


class _Shell(HtmlPage):
    """A page of the frontend."""

    entry: ClassVar[str]
    template: ClassVar[str]
    assets: Assets

    def initialize(self, web: Web, assets: Assets | None = None) -> None:
        """`assets`: what was built."""
        super().initialize(web)
        self.assets = assets or Assets(None)

    def shell(self, title: str, config: dict[str, str], told: Failed | None = None, **values: object) -> None:
        """The shell, or a plain sentence where the frontend was not built. `told`: what is wrong already."""
        page: Page | None = self.assets.page(self.entry, texts=self.language)
        if page is None:
            told = explain.say(explain.FRONTEND_MISSING)
            self.render_page(error_page(self, told), told.status)
            return
        self.set_header("Cache-Control", "no-cache")
        base = f"{self.web.base}/"
        script = binder_script(self.web, base, self.address, str(values.pop("build_token", "")))
        self.set_header("Content-Security-Policy", allowing(script))
        values |= {
            "title": title,
            "page": page,
            "config": script_json(config | {"baseUrl": base}),
            "told": told and explain.speak(told, self.language),
        }
        values = {"about": None, "binder_config": script} | values
        html = render(self, self.template, here=self.request.uri, **values)
        self.render_page(html, told.status if told else 200)


class Home(_Shell):
    """`/`: paste an address."""

    entry = "src/home/main.ts"
    template = "home.html"

    def get(self) -> None:
        """The page; with `url`, and without a script, what that becomes."""
        asked = {name: self.get_query_argument(name, "") for name in ("url", "ref", "labpath")}
        told = link = None
        if asked["url"].strip():
            try:
                link = links.shown(self, links.asked(self))
            except LauncherError as error:
                told = explain.explain(error)
        config = {"provider": "", "spec": "", "urlpath": ""}
        made = {"badges": link.badges.model_dump(), "qr": links.qr_address(link.link)} if link else {}
        self.set_status(HTTPStatus.OK)
        about = About("repolaunch", f"{self.address}/", self.address + PICTURE)
        self.shell("repolaunch", config, told, asked=asked, link=link, address=self.address, about=about, **made)


class LaunchPage(_Shell):
    """`/v2/<provider>/<spec>`: the launch page. Its status says whether the link can be one."""

    entry = "src/launch/main.ts"
    template = "launch.html"

    def get(self, provider: str, spec: str) -> None:
        """The page; it starts nothing by itself: its script does, as the person who opened it."""
        raw = self.request.path.removeprefix(f"/v2/{provider}/")
        told, more = None, {}
        try:
            ref = self.web.links.parse_spec(provider, raw)
        except LauncherError as error:
            told = explain.explain(error)
        else:
            token = self.web.build_tokens.mint(f"{provider}/{raw}", self.request.host, self.visitor)
            more = {"build_token": token, "about": self._about(ref)}
        config = {"provider": provider, "spec": raw, "urlpath": self._urlpath()}
        self.shell(explain.plain(f"{provider}: {spec}"), config, told, **more)

    def _about(self, ref: RepoRef) -> About:
        names = {row["id"]: row["displayName"] for row in self.web.links.providers}
        url = f"{self.address}/v2/{ref.provider}/{ref.spec}"
        embed = f"{self.address}/oembed?{urlencode({'url': url})}"
        return About(embed_title(str(names.get(ref.provider)), ref.spec), url, self.address + PICTURE, embed)

    def _urlpath(self) -> str:
        ask = self.get_query_argument
        return arrival(ask("urlpath", ""), ask("labpath", ""), ask("filepath", ""))


class StoppedSession(HtmlPage):
    """`/user/…`: what the proxy sends here belongs to no running session."""

    def prepare(self) -> None:  # type: ignore[override]  # nothing to wait for
        """Answer every method alike, also a websocket's opening."""
        found = _PROJECT.match(self.request.path)
        if found and self.web.wildcard and not self.web.is_sessions_host(self.request.host_name):
            self.redirect(self.web.session_address(str(self.request.uri)))
            return
        error = self.web.storage.notice(found[1]) if found else None
        told = explain.say(explain.SESSION_STOPPED) if error is None else explain.explain(error)
        told = replace(told, status=explain.SESSION_STOPPED.status)
        self.set_header("Retry-After", "5")
        upgrade = self.request.headers.get("Upgrade", "").lower() == "websocket"
        if self.wants_page and not upgrade and self.request.method in {"GET", "HEAD"}:
            way = f"{self.web.public_url.rstrip('/')}/api/v1/projects/{found[1]}/open" if found else ""
            again = texts.text(self.language, "error.again")
            self.render_page(error_page(self, told, action=way, action_text=again), told.status)
            return
        self.set_status(told.status)
        self.set_header("Content-Type", "application/json")
        body = as_json(told)
        self.finish(json.dumps({"error": body, "message": told.seen}))


class ProxyError(HtmlPage):
    """`/proxy-error/<status>`: what the proxy shows where the part that should answer does not. It keeps its status."""

    on_sessions_hosts = answers_all = True

    def get(self, status: str) -> None:
        """A page, or JSON where a program asked: the proxy passes on nothing but the address."""
        address = self.get_query_argument("url", "")
        told = _proxys_word(status)
        code = told.status
        if "/api/" in address:
            self.set_status(code)
            self.set_header("Content-Type", "application/json")
            body = as_json(told)
            self.finish(json.dumps({"error": body, "message": told.seen}))
            return
        self.render_page(error_page(self, told), code)


def _proxys_word(status: str) -> Failed:
    """What is wrong, by the status that the proxy answers with."""
    if status == "413":
        return explain.explain(BodyTooLarge(PROXYS_LONGEST_BODY))
    if status == "411":
        return explain.say(explain.LENGTH_MISSING)
    if status in {"502", "503", "504"}:
        return explain.say(explain.PART_AWAY, int(status))
    return explain.say(explain.REQUEST_REFUSED, 500)


@dataclass(frozen=True, slots=True)
class ErrorText:
    """A row as the reference shows it: facts by their names."""

    code: str
    status: int
    title: str
    seen: str
    todo: str


def error_texts() -> list[ErrorText]:
    """Every error that people may meet."""
    rows = [*explain.ROWS.values(), *explain.SPOKEN]
    return [ErrorText(row.code, row.status, row.title, _named(row), _named_text(row.todo)) for row in rows]


def _named(row: explain.Row) -> str:
    return " ".join(_named_text(text) for text in (row.seen, *(text for _, text in row.more)))


def _named_text(text: str) -> str:
    return re.sub(r"\{(\w+)\}", r"<\1>", text).replace("\n", " ")


def _spoken(told: ErrorText, language: str) -> ErrorText:
    said = words(language).get(told.code)
    if said is None:
        return told
    seen = " ".join(_named_text(text) for text in (said["seen"], *said["more"].values()))
    return ErrorText(told.code, told.status, said["title"], seen, _named_text(said["todo"]))


class ErrorsPage(HtmlPage):
    """`/docs/errors`: where the links of errors lead."""

    def get(self) -> None:
        """The page."""
        rows: list[Any] = [_spoken(one, self.language) for one in error_texts()]
        title = texts.text(self.language, "errors.title")
        self.render_page(render(self, "errors.html", title=title, rows=rows))


class Language(Handler):
    """`/language/<code>`: reads on in another language, and remembers it."""

    def get(self, language: str) -> None:
        """Back to the page `next`."""
        if language not in texts.LANGUAGES:
            raise HTTPError(HTTPStatus.NOT_FOUND)
        self.set_cookie(
            texts.COOKIE, language, expires_days=texts.COOKIE_DAYS, httponly=True, samesite="Lax", secure=self.secure
        )
        self.redirect(auth.local_page(self.get_query_argument("next", "/"), self.web.base))
