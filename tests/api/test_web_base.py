"""The whole site below a path: `https://example.org/services/binder`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from launcher.web import auth
from launcher.web.hub import Client
from tests.fakes.web import a_project
from tests.fixtures.web import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures.web import Site

BASE = "/services/binder"
PUBLIC = f"https://example.org{BASE}"


@pytest.fixture
async def below(bare_site: Site) -> AsyncIterator[Site]:
    """The site, with Ada's project."""
    bare_site.projects.add(a_project("aaaaaaaaaa", "ada"))
    bare_site.script.gate.set()
    async with served(bare_site, replace(bare_site.web, public_url=f"{PUBLIC}/")) as site:
        yield site


async def location(site: Site, path: str, **headers: str) -> str:
    async with site.client.get(URL(site.base + path, encoded=True), headers=headers, allow_redirects=False) as answer:
        assert answer.status == 302, await answer.text()
        return answer.headers["Location"]


@pytest.mark.parametrize(
    "path",
    ["/versions", "/health", "/badge.svg", "/badge/state/gh/a/b/c.svg", "/api/repoproviders", "/static/icon.svg"],
)
async def test_every_route_is_below_the_path(below: Site, path: str) -> None:
    async with below.client.get(f"{below.base}{BASE}{path}") as answer:
        assert answer.status == 200
    async with below.client.get(f"{below.base}{BASE}x{path}") as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    "path", ["/", "/versions", "/v2/gh/a/b/main", "/api/v1/login", "/user/project-a/", f"{BASE}x/"]
)
async def test_beside_it_is_nothing_for_who_comes_by_the_proxy(below: Site, path: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        passed_on = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "Accept": "text/html"}
        async with below.client.request(method, below.base + path, headers=passed_on, allow_redirects=False) as answer:
            text = await answer.text()
            assert answer.status == 404, text
            assert method == "HEAD" or f'href="{BASE}/"' in text, "and the page leads home"


async def test_the_hub_and_the_command_line_ask_without_it(below: Site) -> None:
    await below.json("GET", "/versions")


async def test_people_leave_the_slash_out(below: Site) -> None:
    assert await location(below, BASE) == f"{BASE}/"
    passed_on = {"X-Forwarded-For": "203.0.113.9"}
    assert await location(below, f"{BASE}?url=a%2Fb", **passed_on) == f"{BASE}/?url=a%2Fb"


async def test_redirects_stay_below_it(below: Site) -> None:
    assert await location(below, f"{BASE}/repo/ada/nice/lab") == f"{BASE}/v2/gh/ada/nice/master?urlpath=lab"
    login = await location(below, f"{BASE}/api/v1/projects/aaaaaaaaaa/open")
    assert login == f"{BASE}/api/v1/login?next=%2Fservices%2Fbinder%2Fapi%2Fv1%2Fprojects%2Faaaaaaaaaa%2Fopen"
    assert await location(below, f"{BASE}/api/v1/projects/aaaaaaaaaa/open", **below.cookie()) == (
        f"{BASE}/v2/gh/ada/nice/main"
    )
    assert (await location(below, f"{BASE}/api/v1/login")).startswith(f"{BASE}/hub/guest?next=")


async def test_cookies_lie_below_it(below: Site) -> None:
    async with below.client.get(
        f"{below.base}{BASE}/api/v1/login", params={"next": f"{BASE}/v2/gh/a/b/main"}, allow_redirects=False
    ) as answer:
        (state,) = answer.cookies.values()
        assert state["path"] == f"{BASE}/api/v1/"
    asked = {"code": "good", "state": state.key.rpartition("-")[2]}
    async with below.client.get(
        f"{below.base}{BASE}/api/v1/oauth_callback",
        params=asked,
        headers={"Cookie": f"{state.key}={state.value}"},
        allow_redirects=False,
    ) as answer:
        assert answer.headers["Location"] == f"{BASE}/v2/gh/a/b/main"
        paths = {name: cookie["path"] for name, cookie in answer.cookies.items() if cookie.value}
        assert paths == {"repolaunch-login": f"{BASE}/api/", "repolaunch-build-login": f"{BASE}/build/"}


async def test_the_hub_is_below_it_too() -> None:
    client = Client("http://hub", "token", "launcher", "service-launcher", base=BASE)
    assert (client.callback, client.authorize) == (f"{BASE}/api/v1/oauth_callback", f"{BASE}/hub/api/oauth2/authorize")


@pytest.mark.parametrize(
    "page, kept",
    [
        (f"{BASE}/v2/gh/a/b/main?urlpath=lab", f"{BASE}/v2/gh/a/b/main?urlpath=lab"),
        ("/", f"{BASE}/"),
        ("/services/other/", f"{BASE}/"),
        (f"{BASE}/../other/", f"{BASE}/"),
        (f"{BASE}/%2e%2E/other/", f"{BASE}/"),
        (f"//evil.example{BASE}/", f"{BASE}/"),
    ],
)
def test_a_login_leads_back_below_it_alone(page: str, kept: str) -> None:
    assert auth.local_page(page, BASE) == kept


async def test_sessions_are_below_it(below: Site) -> None:
    project = a_project("bbbbbbbbbb", "project-bbbbbbbbbb", token_entry=True)
    below.projects.add(project)
    below.script.outcome = project
    async with below.client.get(
        f"{below.base}{BASE}/build/gh/ada/nice/main", headers={"Accept": "text/event-stream"}
    ) as answer:
        lines = [line for line in (await answer.text()).splitlines() if line.startswith("data:")]
    ready: dict[str, Any] = json.loads(lines[-1][5:])
    assert ready["url"] == f"{PUBLIC}/user/project-bbbbbbbbbb/"
    assert ready["binder_launch_host"] == f"{PUBLIC}/"
    found = await below.json("POST", f"{BASE}/api/v1/projects/aaaaaaaaaa/token", status=201, headers=below.headers())
    assert found["url"] == f"{BASE}/user/project-aaaaaaaaaa/"
    launch = await below.launch()
    async with below.client.get(f"{below.base}{BASE}{launch['events']}", headers=below.headers()) as answer:
        assert f'"url": "{BASE}/user/project-bbbbbbbbbb/lab"' in await answer.text()


async def test_a_launch_says_where_it_is(below: Site) -> None:
    body = {"provider": "gh", "spec": "ada/nice/main"}
    async with below.client.post(f"{below.base}{BASE}/api/v1/launches", json=body, headers=below.headers()) as answer:
        where = answer.headers["Location"]
    assert where.startswith(f"{BASE}/api/v1/launches/")
    await below.json("GET", where, headers=below.headers())
