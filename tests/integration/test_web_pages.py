"""The built pages in Chromium, served by the launcher with its own headers: the policy refuses nothing."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.errors import BuildFailed
from launcher.model import Event, Log, Stage, Started
from tests.fixtures.browser import chromium
from tests.fixtures.web import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

    from tests.fixtures.web import Site

pytestmark = pytest.mark.browser
DIST = Path(__file__).parents[2] / "frontend" / "dist"
STORY: list[Event] = [Started(Stage.BUILD, "Building"), Log(Stage.BUILD, "Step 1 <img src=x onerror=alert(1)>")]


@asynccontextmanager
async def page_of_ada(bare_site: Site) -> AsyncIterator[tuple[Site, Page, list[str]]]:
    """The launcher with its built pages, a page of ada's browser, and what the browser complains of."""
    assert (DIST / ".vite" / "manifest.json").exists(), "`make setup` builds the pages"
    async with served(bare_site, replace(bare_site.web, dist=DIST)) as site, chromium() as browser:
        context = await browser.new_context()
        cookies = site.cookie()["Cookie"].split("; ")
        paths = {"repolaunch-login": "/api/", "repolaunch-build-login": "/build/"}
        pairs = [one.split("=", 1) for one in cookies]
        for name, value in pairs:
            await context.add_cookies([{"name": name, "value": value, "domain": "127.0.0.1", "path": paths[name]}])
        page, complaints = await context.new_page(), []
        page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield site, page, complaints
        await context.close()


async def test_a_launch_is_followed_to_its_session(bare_site: Site) -> None:
    async with page_of_ada(bare_site) as (site, page, complaints):
        site.script.events = list(STORY)
        await page.goto(f"{site.base}/v2/gh/ada/nice/main?urlpath=lab/tree/a.ipynb")
        await page.get_by_text("onerror=alert(1)").first.wait_for(state="attached")
        assert site.script.asked[0].urlpath == "lab/tree/a.ipynb"
        assert complaints == []
        site.script.gate.set()
        await page.wait_for_url("**/user/project-aaaaaaaaaa/lab/tree/a.ipynb")
        await page.get_by_role("link", name="Start it again").wait_for()


async def test_a_failure_is_shown(bare_site: Site) -> None:
    async with page_of_ada(bare_site) as (site, page, complaints):
        site.script.events = list(STORY)
        site.script.outcome = BuildFailed("repo2docker", "RUN false", ("no such package",), 1)
        site.script.gate.set()
        await page.goto(f"{site.base}/v2/gh/ada/nice/main")
        await page.get_by_text("The build failed").first.wait_for()
        assert complaints == []


async def test_home_page(bare_site: Site) -> None:
    async with page_of_ada(bare_site) as (site, page, complaints):
        await page.goto(site.base)
        await page.get_by_role("textbox").first.fill("https://github.com/ada/nice")
        assert complaints == []
