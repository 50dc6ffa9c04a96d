"""One's own projects: seen, resumed and stopped from our pages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.ui.scenarios import project

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

    from tests.ui.conftest import Visitor
    from tests.ui.scenario_server import ScenarioServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

READY = "/v2/gh/example/ready/main"


@pytest.fixture
def two(played: ScenarioServer) -> ScenarioServer:
    """Somebody has two projects; one of them runs."""
    played.projects["abc"] = project("abc", "lecture", "running")
    played.projects["def"] = project("def", "thesis", "stopped", days_ago=3.2)
    return played


def row(page: Page, title: str) -> Locator:
    return page.locator(".project").filter(has=page.get_by_role("heading", name=title))


async def back_on_launch_page(visitor: Visitor) -> Page:
    """A launch that went well; its reader comes back from the session."""
    page = await visitor.go(READY)
    await page.wait_for_url("**/user/project-abc/lab")
    await page.go_back()
    return page


async def test_home_lists_what_one_has(visitor: Visitor, two: ScenarioServer) -> None:
    page = await visitor.go("/")
    lecture, thesis = row(page, "lecture"), row(page, "thesis")
    await expect(lecture).to_contain_text("github.com/example/lecture")
    await expect(lecture).to_contain_text("9f2c1e7ab0")
    await expect(lecture.locator(".state")).to_contain_text("running")
    await expect(lecture.locator("time")).to_have_text("last used now")
    await expect(thesis.locator(".state")).to_contain_text("stopped")
    await expect(thesis.locator("time")).to_have_text("last used 3 days ago")
    await expect(thesis.get_by_role("button", name="Stop")).to_have_count(0)
    assert two.count("GET", "/api/v1/login") == 0
    await thesis.get_by_role("link", name="Resume thesis").click()
    await page.wait_for_url("**/v2/gh/example/thesis/main")


async def test_a_stranger_sees_nothing_of_it(visitor: Visitor, two: ScenarioServer) -> None:
    two.faults.signed_in = False
    page = await visitor.go("/")
    await expect(page.get_by_label("Repository, DOI or link")).to_be_visible()
    await page.wait_for_load_state("networkidle")
    await expect(page.get_by_text("Your projects")).to_have_count(0)
    assert two.count("GET", "/api/v1/me") == 1
    assert two.count("GET", "/api/v1/login") == two.count("GET", "/api/v1/projects") == 0


async def test_stopped_from_home_by_keyboard(visitor: Visitor, two: ScenarioServer) -> None:
    two.faults.slow_stop = asyncio.Event()
    page = await visitor.go("/")
    lecture = row(page, "lecture")
    await lecture.get_by_role("link", name="Resume").focus()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(lecture.locator(".state")).to_contain_text("stopping")
    button = lecture.get_by_role("button", name="Stopping …")
    await expect(button).to_be_focused()
    await page.keyboard.press("Enter")  # once is enough
    two.faults.slow_stop.set()
    await expect(lecture.locator(".state")).to_contain_text("stopped")
    await expect(page.get_by_text("The server of lecture is stopped. Its files stay.")).to_be_attached()
    await expect(lecture.get_by_role("link", name="Resume lecture")).to_be_focused()
    assert two.count("DELETE", "/api/v1/sessions/abc") == 1


async def test_a_server_that_starts_is_looked_at_again(visitor: Visitor, two: ScenarioServer) -> None:
    two.projects["abc"]["state"] = "starting"
    page = await visitor.go("/")
    await expect(row(page, "lecture").locator(".state")).to_contain_text("starting")
    two.projects["abc"]["state"] = "running"
    await expect(row(page, "lecture").get_by_role("button", name="Stop the server of lecture")).to_be_visible()


@pytest.mark.parametrize("address", ["javascript:alert(1)", "https://elsewhere.example/v2/gh/a/b/c"])
async def test_a_link_that_is_not_of_this_site_leads_nowhere(
    visitor: Visitor, two: ScenarioServer, address: str
) -> None:
    two.projects["def"] |= {"link": address, "title": "<b>bold</b>"}
    page = await visitor.go("/")
    link = page.get_by_role("link", name="Resume <b>bold</b>")
    await expect(link).to_have_attribute("href", "")
    await expect(page.locator(".project b")).to_have_count(0)


async def test_a_stop_that_is_refused_says_why(visitor: Visitor, two: ScenarioServer) -> None:
    two.faults.stop_refused = True
    page = await visitor.go("/")
    await row(page, "lecture").get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("alert")).to_have_text("The server could not be stopped: Seen: The hub is away")
    await expect(row(page, "lecture").get_by_role("button", name="Stop the server of lecture")).to_be_visible()


async def test_stopped_from_the_launch_page_and_started_again(visitor: Visitor, two: ScenarioServer) -> None:
    page = await back_on_launch_page(visitor)
    await expect(page.get_by_text("your files stay")).to_be_visible()
    two.faults.slow_stop = asyncio.Event()
    await page.get_by_role("button", name="Stop the server").click()
    await expect(page.get_by_role("button", name="Stopping …")).to_be_focused()
    two.faults.slow_stop.set()
    heading = page.get_by_role("heading", level=1)
    await expect(heading).to_have_text("The server is stopped")
    await expect(heading).to_be_focused()
    assert two.projects["abc"]["state"] == "stopped"
    await page.get_by_role("button", name="Start again").click()
    await page.wait_for_url("**/user/project-abc/lab")
    assert len(two.launches) == 2


async def test_a_stop_that_is_refused_on_the_launch_page(visitor: Visitor, two: ScenarioServer) -> None:
    two.faults.stop_refused = True
    page = await back_on_launch_page(visitor)
    await page.get_by_role("button", name="Stop the server").click()
    await expect(page.get_by_role("alert")).to_have_text("The server could not be stopped: Seen: The hub is away")
    await expect(page.get_by_role("link", name="Open again")).to_be_visible()


async def test_back_at_a_server_that_was_stopped_elsewhere(visitor: Visitor, two: ScenarioServer) -> None:
    page = await visitor.go(READY)
    await page.wait_for_url("**/user/project-abc/lab")
    two.projects["abc"]["state"] = "stopped"
    await page.go_back()
    await expect(page.get_by_role("heading", level=1)).to_have_text("The server is stopped")
    await expect(page.get_by_role("button", name="Start again")).to_be_visible()
