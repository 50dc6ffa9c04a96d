"""The whole service below a path, as a hub or a web server of others passes it on: `/services/binder/`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import expect
from yarl import URL

from tests.fixtures.journey import lab, link, repository, somebody

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser

    from tests.fixtures.journey import Person
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service

pytestmark = [
    pytest.mark.engine,
    pytest.mark.browser,
    pytest.mark.long,
    pytest.mark.timeout(900),  # a machine at work: a build, two starts of a server, a push
    pytest.mark.asyncio(loop_scope="module"),
]
BASE = "/services/binder"
PATIENCE_MS = 120_000
BUILD = """async (path) => {
  const answer = await fetch(path, { headers: { Accept: "text/event-stream" } });
  const events = (await answer.text()).split("\\n").filter((line) => line.startsWith("data:"));
  return events.map((line) => JSON.parse(line.slice(5)));
}"""


@pytest.fixture
def below(own_service: Service) -> Service:
    """The service; what it builds with is made here, outside of any loop."""
    own_service.path = BASE
    own_service.start()
    return own_service


@pytest_asyncio.fixture(loop_scope="module")
async def person(below: Service, chrome: Browser) -> AsyncIterator[Person]:
    """Somebody who was never here."""
    async with somebody(below, chrome) as one:
        yield one


async def test_from_a_link_to_a_session_and_back_and_to_an_image(person: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon)
    page = await person.open(link(repo))
    project = await lab(page)
    assert urlsplit(page.url).path.startswith(f"{BASE}/user/project-{project}/lab")
    places = {one["name"]: one.get("path", "") for one in await person.context.cookies()}
    assert [place for place in places.values() if not place.startswith(f"{BASE}/")] == []
    assert places["repolaunch-login"] == f"{BASE}/api/"
    assert places[f"jupyterhub-user-project-{project}"] == f"{BASE}/user/project-{project}/"

    await person.stop(project)
    await page.reload(timeout=PATIENCE_MS)
    await page.get_by_role("link", name="Start it again").click(timeout=PATIENCE_MS)
    await expect(page).to_have_url(re.compile(f"{BASE}/user/project-{project}/lab"), timeout=150_000)

    await person.open("/")
    # The list asks the hub what runs, which a machine at work may take a while to say.
    mine = page.locator(f"a[href$='{BASE}/v2/git/{repo.spec}/main']").first
    await expect(mine).to_be_visible(timeout=PATIENCE_MS)
    # As jupyterhub-fancy-profiles asks, from a page of the same site.
    events: list[dict[str, Any]] = await page.evaluate(BUILD, f"{BASE}/build/git/{repo.spec}/main?build_only=true")
    assert set(events[-1]) == {"phase", "message", "imageName"}, events[-1]
    assert {one for one in person.visited if not urlsplit(one).path.startswith(f"{BASE}/")} == set()


# ---- without a browser: BinderHub's interface through the proxy, as its clients ask
GET = {
    "/": "text/html",
    "/about": "text/html",
    "/v2/gh/ada/nice/main?urlpath=lab": "text/html",
    "/v2/zenodo/10.5281/zenodo.3242074?labpath=a.ipynb": "text/html",
    "/versions": "application/json",
    "/api/repoproviders": "application/json",
    "/badge.svg": "image/svg+xml",
    "/badge_logo.svg": "image/svg+xml",
    "/assets/images/badge.svg": "image/svg+xml",
    "/badge/state/gh/ada/nice/main.svg": "image/svg+xml",
    "/logo_social.png": "image/png",
    "/favicon_building.ico": "image/vnd.microsoft.icon",
    "/metrics": "text/plain",
}


async def test_binderhubs_interface_is_below_it_too(below: Service, git_daemon: GitHost) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        for path, kind in GET.items():
            async with http.get(below.base_url + path) as got, http.head(below.base_url + path) as head:
                assert (got.status, head.status, await head.read()) == (200, 200, b""), path
                assert got.headers["Content-Type"].startswith(kind), path
                if kind.startswith("image/") and "state" not in path:
                    assert got.headers["Cache-Control"] == "public, max-age=2592000"
                    assert got.headers["Access-Control-Allow-Origin"] == "*"
        for path in ("/nowhere", "/_config", "/v2/gh", "/build/gh"):
            async with http.get(below.base_url + path) as got:
                assert got.status == 404, path
        for beside in ("/", "/versions", "/health", "/v2/gh/ada/nice/main", "/user/project-a/", f"{BASE}x/versions"):
            async with http.get(f"http://127.0.0.1:{below.port}{beside}", allow_redirects=False) as got:
                assert got.status == 404, beside
        async with http.get(f"http://127.0.0.1:{below.port}{BASE}", allow_redirects=False) as got:
            assert (got.status, got.headers["Location"]) == (302, f"{BASE}/")
        for path, target in (
            ("/repo/ada/nice/lab/tree/a", f"{BASE}/v2/gh/ada/nice/master?urlpath=lab/tree/a"),
            ("/launch?url=github.com%2Fada%2Fnice", f"{BASE}/v2/gh/ada/nice/HEAD"),
        ):
            async with http.get(below.base_url + path, allow_redirects=False) as got:
                assert (got.status, got.headers["Location"]) == (302, target)
        await _page_and_what_others_show(http, below)
        await _streams(http, below, f"/build/git/{repository(git_daemon).spec}/main?build_only=true")


async def _page_and_what_others_show(http: aiohttp.ClientSession, below: Service) -> None:
    link = f"{below.base_url}/v2/gh/ada/nice/main"
    async with http.get(link) as got:
        html, policy = await got.text(), got.headers["Content-Security-Policy"]
    script = re.search(r"<script>(window\.pageConfig = (.*?);)</script>", html)
    assert script
    assert json.loads(script[2])["baseUrl"] == f"{BASE}/"
    assert base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode() in policy
    assert f'<meta property="og:url" content="{link}">' in html
    embed = re.search(r'type="application/json\+oembed" href="([^"]*)"', html)
    assert embed
    async with http.get(URL(unescape(embed[1]), encoded=True)) as got:
        found = await got.json(content_type=None)
    assert (found["title"], found["provider_url"]) == ("GitHub: ada/nice/main", f"{below.base_url}/")
    async with http.get(f"{below.base_url}/oembed", params={"url": "https://elsewhere.example/v2/gh/a/b/c"}) as got:
        assert got.status == 404


async def _streams(http: aiohttp.ClientSession, below: Service, path: str) -> None:
    async def told(accept: str, path: str) -> list[dict[str, Any]]:
        """The whole stream: it ends by itself, well or ill."""
        async with http.get(
            URL(below.base_url + path, encoded=True),
            headers={"Accept": accept},
            timeout=aiohttp.ClientTimeout(total=600),
        ) as got:
            text = await got.text()
            assert (got.status, got.headers["Content-Type"]) == (200, "text/event-stream")
        assert text.endswith("\n\n")
        lines = [line for line in text.splitlines() if line.startswith("data: ")]
        events: list[dict[str, Any]] = [json.loads(line[6:]) for line in lines]
        assert all(one["message"].endswith("\n") for one in events)
        return events

    lists = "text/html, text/event-stream;q=0.9, */*;q=0.1"
    for accept, asked, status in (("*/*", path, 400), (lists, "/build/svn/a/b", 404), (lists, "/build/gh/only", 400)):
        (refused,) = await told(accept, asked)
        assert (refused["phase"], refused["status_code"]) == ("failed", status)
    events = await told(lists, path)
    assert (events[-1]["phase"], "sha256:" in events[-1]["imageName"]) == ("ready", True), events[-1]
    assert {"building", "built"} <= {one["phase"] for one in events}
    failing = await told(lists, path.replace("/main?", "/nowhere?"))
    assert [one["phase"] for one in failing].count("failed") == 1
    assert failing[-1]["phase"] == "failed"
