"""The built pages in Chromium, served by the launcher with its own headers: the policy refuses nothing."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from playwright.async_api import expect

from launcher.errors import BuildFailed
from launcher.events import Ended, Event, Log, Stage, Started
from launcher.gate.policy import Pages, Policy
from tests.fixtures.browser import chromium
from tests.fixtures.web import served
from tests.ui.conftest import SCREENSHOTS, axe_violations, overflow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

    from tests.fixtures.web import Site

pytestmark = pytest.mark.browser
DIST = Path(__file__).parents[2] / "frontend" / "dist"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
STORY: list[Event] = [Started(Stage.BUILD, "Building"), Log(Stage.BUILD, "Step 1 <img src=x onerror=alert(1)>")]


@asynccontextmanager
async def page_of_ada(bare_site: Site, *, scripts: bool = True) -> AsyncIterator[tuple[Site, Page, list[str]]]:
    """The launcher with its built pages, a page of ada's browser, and what the browser complains of."""
    assert (DIST / ".vite" / "manifest.json").exists(), "`make setup` builds the pages"
    async with served(bare_site, replace(bare_site.web, dist=DIST)) as site, chromium() as browser:
        context = await browser.new_context(java_script_enabled=scripts)
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


LIMITS = {
    "session_memory": 2 * 2**30,
    "session_cpus": 2.0,
    "workspace": 20 * 2**30,
    "repository": 2**30,
    "build_minutes": 60,
}


async def look(page: Page, name: str) -> None:
    """Everybody can use it at both widths and in both colour schemes; pictures for people."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for width, scheme in itertools.product((1440, 360), SCHEMES):
        await page.set_viewport_size({"width": width, "height": 800})
        await page.emulate_media(color_scheme=scheme)
        assert await axe_violations(page) == []
        assert await overflow(page) <= 0
        await page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)


async def test_pages_that_need_no_script_look_well(bare_site: Site) -> None:
    bare_site.web = replace(bare_site.web, site_limits=LIMITS, versions={"repolaunch": "0.1.0", "python": "3.13.5"})
    async with page_of_ada(bare_site) as (site, page, complaints):
        site.script.events = [Started(Stage.RESOLVE, ""), Ended(Stage.RESOLVE, "main is at 5555555555", 0.42), *STORY]
        site.script.outcome = BuildFailed("repo2docker", "RUN false", ("no such package",), 1)
        site.script.gate.set()
        launch = (await site.launch())["id"]
        async with asyncio.timeout(10):
            while (await site.launches.get(launch)).ended is None:
                await asyncio.sleep(0.01)
        for name, path, heading in (
            ("record", f"/launches/{launch}", "This launch failed"),
            ("about", "/about", "About this site"),
            ("sign-in", "/sign-in", "How would you like to come in?"),
            ("start", "/api/v1/start?provider=gh&spec=ada/nice/main", "Launch this repository?"),
            ("errors", "/docs/errors", "What can go wrong"),
            ("stopped", "/user/project-aaaaaaaaaa/", "This session has stopped"),
            ("missing", "/nowhere", "There is no such page"),
        ):
            await page.goto(site.base + path)
            await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
            # A busy machine tells the last line a moment after the launch has ended; the page asks again till then.
            await expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0, timeout=30_000)
            await look(page, name)
        assert [one for one in complaints if "Failed to load resource" not in one] == []


async def test_without_a_script_a_link_a_state_and_a_refresh(bare_site: Site) -> None:
    async with page_of_ada(bare_site, scripts=False) as (site, page, _):
        await page.goto(site.base)
        await page.get_by_label("Repository, DOI or link").fill("https://github.com/ada/nice/blob/main/a.ipynb")
        await page.get_by_role("button", name="Get a link and badges").click()
        link = f"{site.base}/v2/gh/ada/nice/main?labpath=a.ipynb"
        await expect(page.get_by_role("link", name=link)).to_be_visible()
        await expect(page.locator(".share pre").first).to_contain_text(f"({link})")
        await expect(page.get_by_role("img", name="QR code of the launch link")).to_be_visible()
        await page.get_by_label("Repository, DOI or link").fill("hello")
        await page.get_by_role("button", name="Launch").click()
        # Playwright finds no text inside `noscript`, only elements.
        await expect(page.locator(".problem strong")).to_have_text("This is not the address of a repository")
        await page.get_by_label("Repository, DOI or link").fill("https://github.com/ada/nice/blob/main/a.ipynb")
        await page.get_by_role("button", name="Launch").click()
        await expect(page).to_have_url(link)
        await expect(page.locator(".card .lead")).to_have_text("It has not been launched here yet.")
        site.script.events = list(STORY)
        await page.get_by_role("link", name="Launch without a script").click()
        await page.get_by_role("button", name="Launch").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("This launch is under way")
        site.script.gate.set()
        # The page asks again by itself.
        await expect(page.get_by_role("heading", level=1)).to_have_text("This launch went well", timeout=20_000)
        session = page.get_by_role("link", name="Open the session")
        await expect(session).to_have_attribute("href", "/user/project-aaaaaaaaaa/doc/tree/a.ipynb")


async def test_what_the_form_says_is_said_with_a_script_too(bare_site: Site) -> None:
    async with page_of_ada(bare_site) as (site, page, complaints):
        await page.goto(f"{site.base}/launch?url=hello")
        await expect(page.get_by_text("This is not the address of a repository")).to_be_visible()
        await expect(page.get_by_role("textbox").first).to_have_value("hello")
        assert [one for one in complaints if "Failed to load resource" not in one] == []


SAID = Pages(
    banner='<strong>Tonight from 20:00 on this site is away</strong>, <a href="/about">because</a>.',
    about="<h2>Who runs it</h2><p>The library.</p><ul><li>Projects of guests go after a while.</li></ul><pre>"
    + "a long line " * 20
    + "</pre>",
)
HOSTILE = (
    "<img src=x onerror=\"document.title='run'\"><script>document.title = 'run'</script><b style='color: red'>x</b>"
)


async def test_what_the_operator_says_looks_well_and_runs_nothing(bare_site: Site) -> None:
    said = SAID
    bare_site.web = replace(bare_site.web, limits=lambda: Policy().model_copy(update={"pages": said}))
    async with page_of_ada(bare_site) as (site, page, complaints):
        for name, path in (("said-home", "/"), ("said-about", "/about")):
            await page.goto(site.base + path)
            await expect(page.get_by_role("complementary", name="A word of those who run this site")).to_be_visible()
            await look(page, name)
        assert complaints == []
        said = Pages.model_construct(banner=HOSTILE, about="")
        await page.goto(f"{site.base}/about")
        await expect(page.get_by_role("complementary").locator("b")).to_have_text("x")
        assert await page.title() == "About this site"
        refused = [one for one in complaints if "Content Security Policy" in one]
        assert len(refused) >= 3, complaints
