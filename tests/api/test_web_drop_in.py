"""What was made for a BinderHub and asks here: each provider's links, each way to arrive, HEAD where GET is."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from yarl import URL

from launcher.repos.providers import PROVIDERS
from launcher.web.app import ROUTES
from tests.fixtures.web import served
from tests.fixtures.web_built import binder_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from launcher.web.routes import Route
    from tests.fixtures.web import Site

PUBLIC = "https://example.org/services/binder"
SPECS = {
    "gh": "ada/nice/main",
    "gl": "group%2Fnice/main",
    "gist": "ada/142c59757ed54de1816777828c9716e7/HEAD",
    "git": "https%3A%2F%2Fgit.example.org%2Fnice.git/main",
    "zenodo": "10.5281/zenodo.3242074",
    "figshare": "10.6084/m9.figshare.9782777.v3",
    "hydroshare": "142c59757ed54de1816777828c9716e7",
    "dataverse": "10.7910/DVN/TJCLKP",
    "ckan": "https%3A%2F%2Fckan.example.org%2Fdataset%2Fnice",
    "swh": "swh:1:rev:0123456789abcdef0123456789abcdef01234567",
}
ARRIVALS = {
    "": "",
    "?urlpath=lab%2Ftree%2Fa%20b": "lab/tree/a b",
    "?labpath=a%20b.ipynb": "doc/tree/a b.ipynb",
    "?filepath=a%20b.ipynb": "tree/a b.ipynb",
}
SAMPLES = {
    "provider": "gh",
    "spec": "ada/nice/main",
    "id": "1" * 32,
    "rest": "lab",
    "file": "icon.svg",
    "user": "ada",
    "repo": "nice",
    "language": "fr",
    "status": "503",
}
READ = [route for route in ROUTES if any(one.method == "GET" for one in route.operations)]


@pytest.fixture(params=["", PUBLIC], ids=["root", "below"])
async def hub(bare_site: Site, dist: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A site with its pages, at the root of its host or below a path."""
    async with served(bare_site, replace(bare_site.web, dist=dist, public_url=request.param)) as site:
        site.base += site.web.base
        yield site


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_launch_link_of_each_provider_arrives_where_it_says(hub: Site, provider: str) -> None:
    spec = SPECS[provider]
    for query, urlpath in ARRIVALS.items():
        address = URL(f"{hub.base}/v2/{provider}/{spec}{query}", encoded=True)
        async with hub.client.get(address, headers={"Accept": "text/html"}) as answer:
            html = await answer.text()
            assert answer.status == 200, html
        told = re.search(r'"provider": "(.*?)", "spec": "(.*?)", "urlpath": "(.*?)"', html)
        assert told
        assert told.groups() == (provider, spec, urlpath)
        assert f"provider={provider}&amp;" in html
        assert f'urlpath={quote(urlpath, safe="").replace("%20", "+")}"' in html
        config = binder_config(html)
        assert config["baseUrl"] == f"{hub.web.base}/"
        title = re.search(r'<meta property="og:title" content="([^"]*)">', html)
        assert title
        assert unescape(title[1]).endswith(f": {spec}")
        shown = re.search(r'<meta property="og:url" content="([^"]*)">', html)
        assert shown
        assert unescape(shown[1]).endswith(f"{hub.web.base}/v2/{provider}/{spec}")
    assert hub.script.asked == []


@pytest.mark.parametrize("route", READ, ids=lambda route: route.path)
async def test_head_is_where_get_is(built: Site, route: Route) -> None:
    """The same status and headers, whoever asks; no route answers one and refuses the other."""
    path = re.sub(r"\{(\w+)\}", lambda found: SAMPLES[found[1]], route.path)
    kept = ("Content-Type", "Cache-Control", "Location", "Access-Control-Allow-Origin", "Allow")
    async with (
        built.client.get(built.base + path, allow_redirects=False) as got,
        built.client.head(built.base + path, allow_redirects=False) as head,
    ):
        assert got.status != 405
        assert head.status == got.status
        found = [{name: one.headers.get(name) for name in kept} for one in (head, got)]
        assert found[0] | {"Location": None} == found[1] | {"Location": None}
        assert await head.read() == b""
    assert built.script.asked == [] or path.startswith("/build/")


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v2", "/v2/gh", "/build", "/build/gh", "/_config", "/badge.png", "/repo/a"]
)
async def test_what_is_nothing_is_a_404_for_every_method(hub: Site, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "DELETE"):
        async with hub.client.request(method, hub.base + path) as answer:
            assert answer.status == 404, method
