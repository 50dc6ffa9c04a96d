"""People log in to the launcher through a real hub, behind the real proxy."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from launcher.web.hub import Client, OAuthHub
from tests.fixtures.hub import PASSWORD
from tests.fixtures.web import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures.hub import HubSite
    from tests.fixtures.web import Site

pytestmark = pytest.mark.engine
PAGE = "/v2/gh/ada/nice/main"


@asynccontextmanager
async def people(hub_site: HubSite, bare_site: Site) -> AsyncIterator[tuple[Site, aiohttp.ClientSession]]:
    """The launcher in the stand-in's place, and a browser before the proxy."""
    client = OAuthHub(Client(hub_site.api, hub_site.token, "launcher", "service-launcher"), time.monotonic)
    hub_site.stand_in.down()
    try:
        async with (
            served(bare_site, replace(bare_site.web, hub=client), hub_site.stand_in.port) as site,
            aiohttp.ClientSession(hub_site.public, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
        ):
            yield site, browser
    finally:
        hub_site.stand_in.up()


async def me(browser: aiohttp.ClientSession, **headers: str) -> Any:
    """Who the launcher says this is."""
    async with browser.get("/api/v1/me", headers=headers) as answer:
        return await answer.json()


async def test_a_guest_comes_in_and_may_become_a_member(hub_site: HubSite, bare_site: Site) -> None:
    async with people(hub_site, bare_site) as (_, browser):
        login = (await me(browser))["error"]["login"]
        assert login == "/api/v1/login?next=%2F"
        async with browser.get("/api/v1/login", params={"next": PAGE}) as answer:
            assert answer.url.path == PAGE
        guest = await me(browser)
        assert guest["name"].startswith("guest-")
        assert (guest["kind"], len(guest["xsrf"])) == ("guest", 32)
        kept = browser.cookie_jar.filter_cookies(URL(f"{hub_site.public}/user/project-x/"))
        assert not [name for name in kept if name.startswith("repolaunch")]

        async with browser.get("/api/v1/login", params={"next": PAGE, "as": "member"}) as answer:
            assert "<form" in await answer.text()
            action, query = "/hub/login", answer.url.query
        cookies = {one.key: one.value for one in browser.cookie_jar if one["path"] == "/hub/"}
        form = {"username": "ada", "password": PASSWORD, "_xsrf": cookies["_xsrf"]}
        async with browser.post(URL(action).with_query(query), data=form) as answer:
            assert answer.url.path == PAGE
        member = await me(browser)
        assert (member["name"], member["kind"]) == ("ada", "member")
        assert member["xsrf"] != guest["xsrf"]


async def until_callback(browser: aiohttp.ClientSession) -> URL:
    """Begin a login and follow it up to the address that would end it: it carries a real code of the hub's."""
    here = URL(PAGE)
    async with browser.get("/api/v1/login", params={"next": PAGE}, allow_redirects=False) as answer:
        here = URL(answer.headers["Location"])
    for _ in range(10):
        if here.path == "/api/v1/oauth_callback":
            return here
        async with browser.get(here, allow_redirects=False) as answer:
            here = URL(answer.headers["Location"])
    raise AssertionError(here)


async def test_a_code_of_somebody_elses_login_signs_nobody_in(hub_site: HubSite, bare_site: Site) -> None:
    """Login CSRF: whoever means harm gets a code for their own account and has somebody's browser bring it."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        people(hub_site, bare_site) as (_, attacker),
        aiohttp.ClientSession(hub_site.public, cookie_jar=jar) as victim,
    ):
        theirs = await until_callback(attacker)
        seen = {}
        for who in ("nobody", "a guest"):
            if who == "a guest":
                async with victim.get("/api/v1/login", params={"next": PAGE}) as answer:
                    assert answer.url.path == PAGE
            before = await me(victim)
            own = await until_callback(victim)
            # As it is; and with the state of a login that this browser has begun itself.
            for url in (theirs, own.update_query(code=theirs.query["code"])):
                async with victim.get(url, allow_redirects=False) as answer:
                    seen[who, url == theirs] = (answer.status, (await answer.json())["error"]["seen"])
            assert (await me(victim)) == before, who
        for who in ("nobody", "a guest"):
            assert seen[who, True] == (400, "state: This login is not known here."), seen
            assert seen[who, False] == (400, "code: JupyterHub does not know this login."), seen
        # The code was good all the while, where it belongs.
        fresh = await until_callback(attacker)
        async with attacker.get(fresh) as answer:
            assert answer.url.path == PAGE
        assert (await me(attacker))["name"].startswith("guest-")


async def test_tokens_of_projects_and_services_are_nobodys(hub_site: HubSite, bare_site: Site) -> None:
    hub = hub_site.client()
    await hub.ensure_account("project-bbbbbbbbbb")
    token = await hub.token("project-bbbbbbbbbb", ["access:servers!server=project-bbbbbbbbbb/"], 60, "test")
    async with people(hub_site, bare_site) as (_, browser):
        for one in (token, hub_site.token, "wrong"):
            assert (await me(browser, Authorization=f"token {one}"))["error"]["code"] == "login-required"
    hub.close()


async def test_the_hubs_own_address_is_not_for_the_public(hub_site: HubSite, bare_site: Site) -> None:
    async with people(hub_site, bare_site) as (site, browser):
        headers = {"Authorization": f"token {site.web.internal_token}"}
        async with browser.post("/internal/resolve", json={}, headers=headers) as answer:
            assert answer.status == 404
        async with browser.get("/user/project-bbbbbbbbbb/lab", headers={"Accept": "text/html"}) as answer:
            assert answer.status == 503
            assert "This session has stopped" in await answer.text()
