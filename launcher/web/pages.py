"""Pages. The launch page and the home page are shells that the frontend fills; the others need no script."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import urlencode

from markupsafe import Markup
from tornado.web import HTTPError

from launcher import explain
from launcher.errors import LauncherError
from launcher.explain.credentials import OPENED
from launcher.repos.recognise import arrival
from launcher.web import auth, links, texts
from launcher.web.assets import Assets
from launcher.web.elsewhere import PICTURE, PICTURE_SIZE
from launcher.web.elsewhere import title as embed_title
from launcher.web.handler import Handler
from launcher.web.headers import allowing
from launcher.web.rendering import HtmlPage, error_page, render
from launcher.web.routes import HTML, LINK_ERRORS, NEXT, URLPATH, Operation, Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.events import Failed
    from launcher.model import RepoRef
    from launcher.web.assets import Page
    from launcher.web.context import Web

AGAIN_S: Final = 10
"""Without a script, the page of a link that is being launched is looked at again after so many seconds."""
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
    said = web.limits().pages
    config = {
        "baseUrl": base,
        "badgeBaseUrl": f"{address}/",
        "logoUrl": f"{base}static/icon.svg",
        "logoWidth": "64px",
        "repoProviders": list(web.links.providers),
        "aboutMessage": said.about,
        "bannerHtml": said.banner,
        "binderVersion": web.versions.get("binderhub", ""),
        **({"buildToken": build_token} if build_token else {}),
    }
    return Markup("window.pageConfig = ") + script_json(config) + Markup(";")


class Shell(HtmlPage):
    """A page of the frontend."""

    entry: ClassVar[str]
    template: ClassVar[str]
    assets: Assets

    def initialize(self, web: Web, assets: Assets | None = None) -> None:
        """`assets`: what was built."""
        super().initialize(web)
        self.assets = assets or Assets(None)

    def shell(self, title: str, config: Mapping[str, object], told: Failed | None = None, **values: object) -> None:
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
            "config": script_json({**config, "baseUrl": base}),
            "told": told and explain.speak(told, self.language),
        }
        values = {"about": None, "binder_config": script} | values
        html = render(self, self.template, here=self.request.uri, **values)
        self.render_page(html, told.status if told else 200)


class Home(Shell):
    """`/`: paste an address."""

    entry = "src/home/main.ts"
    template = "home.html"

    async def get(self) -> None:
        """The page; with `url`, and without a script, what that becomes."""
        asked = {name: self.get_query_argument(name, "") for name in ("url", "ref", "labpath")}
        told = link = None
        if asked["url"].strip():
            try:
                link = links.shown(self, await links.settled(self, links.asked(self)))
            except LauncherError as error:
                told = explain.explain(error)
        config = {"provider": "", "spec": "", "urlpath": ""}
        made = {"badges": link.badges.model_dump(), "qr": links.qr_address(link.link)} if link else {}
        self.set_status(HTTPStatus.OK)
        about = About("repolaunch", f"{self.address}/", self.address + PICTURE)
        self.shell("repolaunch", config, told, asked=asked, link=link, address=self.address, about=about, **made)


class LaunchPage(Shell):
    """`/v2/<provider>/<spec>`: the launch page. Its status says whether the link can be one."""

    entry = "src/launch/main.ts"
    template = "launch.html"

    def get(self, provider: str, spec: str) -> None:
        """The page; it starts nothing by itself: its script does, as the person who opened it."""
        raw = self.request.path.removeprefix(f"/v2/{provider}/")
        told, more = None, {"standing": "unknown", "refresh": 0, "start": ""}
        try:
            ref = self.web.links.parse_spec(provider, raw)
        except LauncherError as error:
            told = explain.explain(error)
        else:
            token = self.web.build_tokens.mint(f"{provider}/{raw}", self.request.host, self.visitor)
            more = {"build_token": token, "about": self._about(ref), **self._standing(ref)}
        config = {"provider": provider, "spec": raw, "urlpath": self._urlpath(), "opened": sorted(OPENED)}
        self.shell(explain.plain(f"{provider}: {spec}"), config, told, **more)

    def _about(self, ref: RepoRef) -> About:
        names = {row["id"]: row["displayName"] for row in self.web.links.providers}
        url = f"{self.address}/v2/{ref.provider}/{ref.spec}"
        embed = f"{self.address}/oembed?{urlencode({'url': url})}"
        return About(embed_title(str(names.get(ref.provider)), ref.spec), url, self.address + PICTURE, embed)

    def _standing(self, ref: RepoRef) -> dict[str, object]:
        """What is told without a script: how the link stands, for whoever asks, and where a launch is begun."""
        found = self.web.launches.standings.of(ref)
        state = "running" if found.running else found.ended.value if found.ended else "unknown"
        asked = {"provider": ref.provider, "spec": ref.spec, "urlpath": self._urlpath()}
        start = f"/api/v1/start?{urlencode(asked)}"
        return {"standing": state, "refresh": AGAIN_S if found.running else 0, "start": start}

    def _urlpath(self) -> str:
        ask = self.get_query_argument
        return arrival(ask("urlpath", ""), ask("labpath", ""), ask("filepath", ""))


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


ROUTES: Final[tuple[Route, ...]] = (
    Route("/", Home, (Operation("GET", "Home page: paste an address, get a launch link.", HTML),)),
    Route(
        "/v2/{provider}/{spec}",
        LaunchPage,
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
        "/language/{language}",
        Language,
        (Operation("GET", "Reads on in another language, which is remembered.", HTML, 302, query=(NEXT,)),),
    ),
)
