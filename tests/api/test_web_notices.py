"""What an operator says on the pages: on every one, at once, and the policy of the pages stays as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.gate.policy import Pages, Policy
from tests.fixtures.web import served
from tests.fixtures.web_built import binder_config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.web import Site

BANNER = '<strong>Closed</strong> tonight. <a href="/about">Why?</a>'
SHOWN = '<strong>Closed</strong> tonight. <a href="/about" rel="noopener noreferrer">Why?</a>'
ABOUT = "<p>Run by the library</p>"
PAGES = {
    "/": 200,
    "/?url=hello": 400,
    "/launch?url=hello": 400,
    "/v2/gh/ada/nice/main": 200,
    "/v2/gh/only": 400,
    "/about": 200,
    "/sign-in": 200,
    "/docs/errors": 200,
    "/nowhere": 404,
    "/user/project-aaaaaaaaaa/lab": 503,
    "/proxy-error/503?url=/": 503,
}


async def page(site: Site, path: str) -> tuple[str, str]:
    """The page, and its content security policy."""
    async with site.client.get(site.base + path, headers={"Accept": "text/html"}) as answer:
        html = await answer.text()
        assert answer.status == PAGES[path], html
        return html, answer.headers["Content-Security-Policy"]


async def test_a_banner_is_above_every_page_as_soon_as_it_is_said(bare_site: Site, dist: Path) -> None:
    said = Policy()
    async with served(bare_site, replace(bare_site.web, dist=dist, limits=lambda: said)) as site:
        for path in PAGES:
            assert "<aside" not in (await page(site, path))[0]
        said = Policy(pages=Pages(banner=BANNER, about=ABOUT))
        for path in PAGES:
            html, policy = await page(site, path)
            assert html.count(SHOWN) == 1
            assert html.index(SHOWN) < html.index("<main" if "<main" in html else '<div id="app">')
            assert (ABOUT in html) is (path == "/about")
            assert "unsafe" not in policy
            assert "default-src 'none'" in policy
        found = binder_config((await page(site, "/v2/gh/ada/nice/main"))[0])
        assert (found["bannerHtml"], found["aboutMessage"]) == (SHOWN, ABOUT)
        said = Policy()
        assert "<aside" not in (await page(site, "/"))[0]


async def test_what_were_said_past_the_check_could_not_run(bare_site: Site, dist: Path) -> None:
    """Only the page's own script has its hash in the policy, which browsers then hold to."""
    hostile = Pages.model_construct(
        banner="<script>window.pageConfig = 1</script>", about="</script><script>1</script>"
    )
    policy = Policy.model_construct(**dict(Policy()) | {"pages": hostile})
    async with served(bare_site, replace(bare_site.web, dist=dist, limits=lambda: policy)) as site:
        html, allowed = await page(site, "/v2/gh/ada/nice/main")
        assert binder_config(html)["aboutMessage"] == hostile.about, "it ends no script either"
        assert allowed.count("'sha256-") == 1
