"""The pages without a mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.ui.conftest import Visitor
    from tests.ui.scenario_server import ScenarioServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MOST_TABS = 20


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has that text (or label) has the focus."""
    for _ in range(MOST_TABS):
        await page.keyboard.press("Tab")
        focused = await page.evaluate(
            "() => { const e = document.activeElement;"
            " return e.labels?.[0]?.textContent ?? e.ariaLabel ?? e.textContent }"
        )
        if str(focused).strip().startswith(name):
            return
    pytest.fail(f"{name} cannot be reached with Tab")


async def test_from_an_address_to_a_session(visitor: Visitor, played: ScenarioServer) -> None:
    page = await visitor.go("/")
    await tab_to(page, "Repository, DOI or link")
    await page.keyboard.type("https://github.com/example/waiting")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/v2/gh/example/waiting/HEAD")
    await expect(page.locator("[data-stage=resolve][data-status=running]")).to_be_visible()
    played.only.tell("ready", url="/user/project-abc/lab", project="abc", image="", message="")
    await page.wait_for_url("**/user/project-abc/lab")


async def test_cancel_then_try_again(visitor: Visitor, played: ScenarioServer) -> None:
    page = await visitor.go("/v2/gh/example/building/main")
    await expect(page.locator(".log-count", has_text="2,005 lines")).to_be_visible()
    await tab_to(page, "Cancel")
    await page.keyboard.press("Enter")
    heading = page.get_by_role("heading", level=1)
    await expect(heading).to_have_text("Launch cancelled")
    await expect(heading).to_be_focused()  # the button that was pressed is gone; the focus is not
    await tab_to(page, "Try again")
    await page.keyboard.press("Enter")
    await expect(heading).to_have_text("Launching")
    assert len(played.launches) == 2


async def test_the_log_opens_and_scrolls(visitor: Visitor) -> None:
    page = await visitor.go("/v2/gh/example/building/main")
    await expect(page.locator(".log-count", has_text="2,005 lines")).to_be_visible()
    await tab_to(page, "Log")
    await page.keyboard.press("Enter")
    await expect(page.locator("launch-log")).to_be_hidden()
    await page.keyboard.press("Enter")
    await expect(page.locator("launch-log")).to_be_visible()
    await tab_to(page, "Log")
    scroller = page.locator(".log-scroller")
    await expect(scroller).to_be_focused()
    await page.keyboard.press("Home")
    await expect(scroller).to_have_js_property("scrollTop", 0)
