"""Logging in through a hub: the real client against a small hub that checks OAuth with PKCE."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from yarl import URL

from launcher.errors import DiskFull, HubDown
from launcher.model import Account, Kind
from launcher.web import auth
from launcher.web.hub import Client, OAuthHub, account_of
from tests.fixtures.web import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures.web import Site

ACCESS = "access:services!service=launcher"


class SmallHub:
    """What of a hub's API a login needs."""

    def __init__(self) -> None:
        self.tokens: dict[str, dict[str, Any]] = {}
        self.codes: dict[str, str] = {}
        """code → challenge"""
        self.asked = 0
        self.status = 200
        self.pause_s = 0.0
        self.api = ""

    def user(self, token: str, name: str, *scopes: str, kind: str = "user") -> None:
        self.tokens[token] = {"kind": kind, "name": name, "scopes": list(scopes or (ACCESS,))}


class _User(RequestHandler):
    async def get(self) -> None:
        hub: SmallHub = self.settings["hub"]
        hub.asked += 1
        await asyncio.sleep(hub.pause_s)
        if hub.status != 200:
            self.send_error(hub.status)
            return
        found = hub.tokens.get(self.request.headers["Authorization"].removeprefix("token "))
        if found is None:
            self.send_error(403)
        else:
            self.finish(json.dumps(found))


class _Token(RequestHandler):
    def post(self) -> None:
        hub: SmallHub = self.settings["hub"]
        form = {name: self.get_body_argument(name) for name in self.request.body_arguments}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        good = hub.codes.pop(form["code"], None) == challenge
        client = (form["client_id"], form["client_secret"], form["redirect_uri"], form["grant_type"])
        if not good or client != ("service-launcher", "api-token", "/api/v1/oauth_callback", "authorization_code"):
            self.send_error(400)
            return
        self.finish({"access_token": "ada-token", "token_type": "Bearer"})


@pytest.fixture
async def hub() -> AsyncIterator[SmallHub]:
    """A small hub on a free port."""
    hub = SmallHub()
    hub.user("ada-token", "ada")
    application = Application(
        [("/hub/api/user", _User), ("/hub/api/oauth2/token", _Token)], hub=hub, log_function=lambda _: None
    )
    server, sockets = HTTPServer(application), bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    hub.api = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/hub/api"
    yield hub
    server.stop()
    await server.close_all_connections()


@pytest.fixture
def client(hub: SmallHub) -> OAuthHub:
    """The launcher's client of it; its clock stands still."""
    return OAuthHub(Client(hub.api, "api-token", "launcher", "service-launcher"), lambda: 0.0)


@pytest.fixture
async def browser(bare_site: Site, client: OAuthHub) -> AsyncIterator[Site]:
    """A site behind that hub, and a client that keeps cookies."""
    async with served(bare_site, replace(bare_site.web, hub=client)) as site:
        await site.client.close()
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as site.client:
            yield site


async def begin(site: Site, query: str) -> tuple[str, dict[str, list[str]]]:
    """Begin a login: the hub's door, and what its authorization is asked."""
    async with site.client.get(f"{site.base}/api/v1/login{query}", allow_redirects=False) as answer:
        assert answer.status == 302
        door = urlsplit(answer.headers["Location"])
    authorize = urlsplit(parse_qs(door.query)["next"][0])
    assert authorize.path == "/hub/api/oauth2/authorize"
    return door.path, parse_qs(authorize.query)


async def come_back(site: Site, query: str, status: int = 302) -> aiohttp.ClientResponse:
    """The hub sends the browser back."""
    path = f"{site.base}/api/v1/oauth_callback?{query}"
    async with site.client.get(path, allow_redirects=False, headers={"Accept": "application/json"}) as answer:
        assert answer.status == status, await answer.text()
        await answer.read()
        return answer


async def test_a_login_from_beginning_to_end(browser: Site, hub: SmallHub) -> None:
    door, asked = await begin(browser, "?next=/v2/gh/a/b/c%3Furlpath=lab")
    assert door == "/hub/guest"
    assert asked["client_id"] == ["service-launcher"]
    assert asked["code_challenge_method"] == ["S256"]
    hub.codes["the-code"] = asked["code_challenge"][0]
    answer = await come_back(browser, f"code=the-code&state={asked['state'][0]}")
    assert answer.headers["Location"] == "/v2/gh/a/b/c?urlpath=lab"
    login = [
        one
        for one in answer.headers.getall("Set-Cookie")
        if one.startswith(("repolaunch-login=", "repolaunch-build-login="))
    ]
    assert sorted(part.split("; Path=")[1].split(";")[0] for part in login) == ["/api/", "/build/"]
    assert all("HttpOnly" in one and "SameSite=Lax" in one for one in login)
    me = await browser.json("GET", "/api/v1/me")
    assert (me["name"], me["kind"]) == ("ada", "member")
    jar = browser.client.cookie_jar
    assert set(jar.filter_cookies(URL(f"{browser.base}/user/project-x/"))) == set()
    assert set(jar.filter_cookies(URL(f"{browser.base}/api/v1/me"))) == {"repolaunch-login"}
    assert set(jar.filter_cookies(URL(f"{browser.base}/build/gh/a/b/c"))) == {"repolaunch-build-login"}


@pytest.mark.parametrize(
    "page,told",
    [("/v2/gh/a/b/c%3Furlpath=lab", ["/v2/gh/a/b/c?urlpath=lab"]), ("/about", []), ("https://evil.example/v2/x", [])],
)
async def test_the_hubs_page_is_told_which_launch_it_leads_back_to(site: Site, page: str, told: list[str]) -> None:
    address = URL(f"{site.base}/api/v1/login?as=member&next={page}", encoded=True)
    async with site.client.get(address, allow_redirects=False) as answer:
        assert URL(answer.headers["Location"]).query.getall("from", []) == told


@pytest.mark.parametrize(
    "query, guests, door", [("", True, "/hub/guest"), ("?as=member", True, "/hub/signin"), ("", False, "/hub/signin")]
)
async def test_doors(bare_site: Site, query: str, *, guests: bool, door: str) -> None:
    async with served(bare_site, replace(bare_site.web, guests=guests)) as site:
        assert (await begin(site, query))[0] == door


@pytest.mark.parametrize(
    "page",
    [
        "https://evil.example.org/",
        "//evil.example.org",
        "/\\evil.example.org",
        "javascript:alert(1)",
        "/a\nb",
        "x",
        "/" + "x" * 3000,
    ],
)
async def test_a_login_comes_back_to_this_site_only(browser: Site, hub: SmallHub, page: str) -> None:
    assert auth.local_page(page) == "/"
    async with browser.client.get(
        f"{browser.base}/api/v1/login", params={"next": page}, allow_redirects=False
    ) as answer:
        asked = parse_qs(urlsplit(parse_qs(urlsplit(answer.headers["Location"]).query)["next"][0]).query)
    hub.codes["c"] = asked["code_challenge"][0]
    assert (await come_back(browser, f"code=c&state={asked['state'][0]}")).headers["Location"] == "/"


@pytest.mark.parametrize(
    "query", ["", "state=", "state=%2e%2e", "code=c&state=0123456789abcdef0123456789abcdef", "code=c&state=x;y=z"]
)
async def test_a_state_that_this_browser_does_not_have(browser: Site, query: str) -> None:
    await begin(browser, "")
    await come_back(browser, query, 400)


async def test_a_code_is_good_once_and_for_its_own_login(browser: Site, hub: SmallHub) -> None:
    _, first = await begin(browser, "")
    _, second = await begin(browser, "")
    hub.codes["c"] = first["code_challenge"][0]
    await come_back(browser, f"code=c&state={second['state'][0]}", 400)
    hub.codes["c"] = first["code_challenge"][0]
    await come_back(browser, f"code=c&state={first['state'][0]}")
    await come_back(browser, f"code=c&state={first['state'][0]}", 400)


async def test_refused_by_the_person(browser: Site) -> None:
    _, asked = await begin(browser, "")
    await come_back(browser, f"error=access_denied&state={asked['state'][0]}", 400)


async def test_one_browser_keeps_few_logins(browser: Site) -> None:
    for _ in range(20):
        await begin(browser, "")
    kept = [one for one in browser.client.cookie_jar if one.key.startswith("repolaunch-login-state")]
    assert len(kept) <= 8


# ---- whom a token belongs to
@pytest.mark.parametrize(
    "name, scopes, kind, account",
    [
        ("ada", [ACCESS], "user", Account("ada", Kind.MEMBER)),
        ("ada", ["access:services"], "user", Account("ada", Kind.MEMBER)),
        ("guest-1f", [ACCESS], "user", Account("guest-1f", Kind.GUEST)),
        ("ada", [], "user", None),
        ("ada", ["access:services!service=other"], "user", None),
        ("ada", ["access:servers!server=ada/"], "user", None),
        ("project-abc", [ACCESS], "user", None),
        ("operator", [ACCESS], "user", None),
        ("launcher", [ACCESS], "service", None),
        ("", [ACCESS], "user", None),
    ],
)
def test_who_may_come_in(name: str, scopes: list[str], kind: str, account: Account | None) -> None:
    assert account_of({"name": name, "scopes": scopes, "kind": kind}, "launcher") == account


async def test_simultaneous_questions_are_one(client: OAuthHub, hub: SmallHub) -> None:
    hub.pause_s = 0.05
    found = await asyncio.gather(*(client.identify("ada-token") for _ in range(50)))
    assert found == [Account("ada", Kind.MEMBER)] * 50
    assert hub.asked == 1


async def test_who_stops_asking_stops_nobody_else(client: OAuthHub, hub: SmallHub) -> None:
    hub.pause_s = 0.05
    first, second = (asyncio.create_task(client.identify("ada-token")) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    assert await second == Account("ada", Kind.MEMBER)


async def test_answers_are_remembered_for_a_while(hub: SmallHub) -> None:
    now = 0.0
    client = OAuthHub(Client(hub.api, "t", "launcher", "service-launcher"), lambda: now, max_age_s=30)
    await client.identify("ada-token")
    del hub.tokens["ada-token"]
    now = 29.0
    assert await client.identify("ada-token") is not None
    now = 31.0
    assert await client.identify("ada-token") is None
    assert hub.asked == 2


async def test_memory_of_strangers_tokens_is_bounded(hub: SmallHub) -> None:
    client = OAuthHub(Client(hub.api, "t", "launcher", "service-launcher"), lambda: 0.0, most=10)
    for n in range(30):
        assert await client.identify(f"wrong-{n}") is None
    assert len(client.remembered) == 10


async def test_nobody_is_told_so_where_that_is_in_doubt(hub: SmallHub) -> None:
    """A hub without room in its database knows nobody any more."""
    doubts = [DiskFull("database")]

    async def doubt() -> None:
        if doubts:
            raise doubts[0]

    client = OAuthHub(Client(hub.api, "t", "launcher", "service-launcher"), lambda: 0.0, doubt=doubt)
    assert await client.identify("ada-token") is not None
    with pytest.raises(DiskFull):
        await client.identify("wrong")
    doubts.clear()
    assert await client.identify("wrong") is None


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "ü", "a\x00"])
async def test_tokens_that_no_header_can_hold(client: OAuthHub, hub: SmallHub, token: str) -> None:
    assert await client.identify(token) is None
    assert hub.asked == 0


@pytest.mark.parametrize("status", [500, 502, 302])
async def test_a_hub_that_is_ill_is_no_refusal(client: OAuthHub, hub: SmallHub, status: int) -> None:
    hub.status = status
    with pytest.raises(HubDown):
        await client.identify("ada-token")
    hub.status = 200
    assert await client.identify("ada-token") is not None


async def test_no_hub() -> None:
    sockets = bind_sockets(0, "127.0.0.1")
    port = sockets[0].getsockname()[1]
    sockets[0].close()
    client = OAuthHub(Client(f"http://127.0.0.1:{port}/hub/api", "t", "launcher", "c"), lambda: 0.0)
    with pytest.raises(HubDown):
        await client.identify("ada-token")


# ---- signing out
HTML = {"Accept": "text/html"}


@pytest.mark.parametrize(
    "token, said",
    [("ada-token", "Your files stay"), ("guest-token", "nobody can open them any more, not even you")],
)
async def test_who_is_about_to_sign_out_reads_what_is_given_up(site: Site, token: str, said: str) -> None:
    page = site.base + "/api/v1/logout"
    async with site.client.get(page, headers=HTML | site.cookie(token), allow_redirects=False) as answer:
        html = await answer.text()
        assert (answer.status, "Set-Cookie" in answer.headers) == (200, False)
    assert said in html
    assert auth.xsrf_token(site.web.secret, token) in html
    assert "<script" not in html
    assert 'href="/api/v1/logout"' in html
    async with site.client.get(page, headers=HTML, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "/")


async def test_only_the_pages_own_button_signs_out_and_both_cookies_go(site: Site) -> None:
    async def pressed(form: dict[str, str], **more: str) -> tuple[int, list[str], str]:
        headers = HTML | site.cookie() | more
        out = site.base + "/api/v1/logout"
        async with site.client.post(out, data=form, headers=headers, allow_redirects=False) as answer:
            return answer.status, answer.headers.getall("Set-Cookie", []), answer.headers.get("Location", "")

    good = {"_xsrf": auth.xsrf_token(site.web.secret, "ada-token")}
    assert (await pressed({}))[:2] == (403, [])
    assert (await pressed({"_xsrf": "0" * 32}))[:2] == (403, [])
    assert (await pressed(good, **{"Sec-Fetch-Site": "cross-site"}))[:2] == (401, [])
    status, gone, where = await pressed(good)
    assert (status, where) == (303, "/hub/logout")
    assert len(gone) == len(auth.COOKIES)
    for path, name in auth.COOKIES.items():
        (one,) = [cookie for cookie in gone if cookie.startswith(f'{name}=""')]
        assert f"Path={path};" in f"{one};"
        assert "expires=" in one
