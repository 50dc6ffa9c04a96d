"""The web on a wildcard domain: sessions have hosts of their own, where nothing of ours is served."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.fakes.web import a_project
from tests.fixtures.web import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures.web import Site

PUBLIC = "https://hub.example.org:8443"
THEIRS = {"Host": "project-aaaaaaaaaa.hub.example.org:8443"}
OURS = {"Host": "hub.example.org:8443"}
HTML = {"Accept": "text/html"}


@pytest.fixture
async def wide(bare_site: Site) -> AsyncIterator[Site]:
    """Below a domain, with TLS."""
    bare_site.projects.add(a_project("aaaaaaaaaa", "ada"))
    bare_site.script.gate.set()
    async with served(bare_site, replace(bare_site.web, public_url=PUBLIC, wildcard=True)) as site:
        yield site


async def test_sessions_are_at_their_own_hosts(wide: Site) -> None:
    home = "https://project-aaaaaaaaaa.hub.example.org:8443/user/project-aaaaaaaaaa/"
    launch = await wide.launch()
    async with wide.client.get(wide.base + launch["events"], headers=wide.headers()) as answer:
        assert f'"url": "{home}lab"' in await answer.text()
    headers = {"Accept": "text/event-stream"}
    async with wide.client.get(f"{wide.base}/build/gh/ada/nice/main", headers=headers) as answer:
        assert f'"url": "{home}"' in await answer.text()
    entry = await wide.json("POST", "/api/v1/projects/aaaaaaaaaa/token", status=201, headers=wide.headers())
    assert entry["url"] == home


@pytest.mark.parametrize("path", ["/", "/v2/gh/a/b/c", "/docs/errors", "/api/v1/me", "/nowhere"])
async def test_nothing_of_ours_is_there(wide: Site, path: str) -> None:
    async with wide.client.get(wide.base + path, headers=THEIRS | HTML, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, PUBLIC + path)
    for method in ("GET", "POST", "DELETE"):
        answer = await wide.json(method, path, status=404, headers=THEIRS | wide.headers())
        assert answer["error"]["code"] == "page-missing"
    async with wide.client.get(
        wide.base + "/build/gh/ada/nice/main", headers=THEIRS | {"Accept": "text/event-stream"}
    ) as stream:
        assert stream.status == 404
    assert wide.script.asked == []


async def test_the_page_of_a_stopped_session_is_there(wide: Site) -> None:
    path = wide.base + "/user/project-aaaaaaaaaa/lab?reset"
    async with wide.client.get(path, headers=THEIRS | HTML) as answer:
        assert answer.status == 503
        assert f'href="{PUBLIC}/api/v1/projects/aaaaaaaaaa/open"' in await answer.text()
    async with wide.client.get(wide.base + "/static/icon.svg", headers=THEIRS) as answer:
        assert answer.status == 200
    async with wide.client.get(path, headers=OURS | HTML, allow_redirects=False) as answer:
        assert answer.status == 302
        assert answer.headers["Location"] == (
            "https://project-aaaaaaaaaa.hub.example.org:8443/user/project-aaaaaaaaaa/lab?reset"
        )


async def test_logins_that_no_session_can_plant(wide: Site) -> None:
    """The name of a cookie that browsers take from its own host alone; one of the other name counts for nothing."""
    async with wide.client.get(wide.base + "/api/v1/login", headers=OURS, allow_redirects=False) as answer:
        cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-repolaunch-login-state-")
    assert all(part in cookie for part in ("Path=/;", "Secure", "HttpOnly", "SameSite=Lax"))
    assert "Domain" not in cookie
    await wide.json("GET", "/api/v1/me", status=401, headers=OURS | wide.cookie())
    ours = wide.cookie(names=["__Host-repolaunch-login"])
    assert (await wide.json("GET", "/api/v1/me", headers=OURS | ours))["name"] == "ada"
