"""The log: searched by keyboard, also while it grows; how long a step took; the place in the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.ui.conftest import axe_violations, overflow
from tests.ui.scenarios import build_lines

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.ui.conftest import Visitor
    from tests.ui.scenario_server import ScenarioServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BUILDING = "/v2/gh/example/building/main"


async def building(visitor: Visitor) -> Page:
    page = await visitor.go(BUILDING)
    await expect(page.locator(".log-count", has_text="2,005 lines")).to_be_visible()
    return page


async def current(page: Page) -> str:
    """The line of the match that the reader is at; empty if it is not in view."""
    return str(
        await page.evaluate(
            """() => {
            const [range] = CSS.highlights.get("log-current");
            const text = range.startContainer.data, at = range.startOffset;
            const box = range.getBoundingClientRect();
            const frame = document.querySelector(".log-scroller").getBoundingClientRect();
            const seen = box.top >= frame.top && box.bottom <= frame.bottom;
            return seen ? text.slice(text.lastIndexOf("\\n", at) + 1, text.indexOf("\\n", at)) : "";
        }"""
        )
    )


async def test_a_match_is_gone_to_and_marked(visitor: Visitor) -> None:
    page = await building(visitor)
    lines = [line for line in build_lines(2000) if "numpy" in line]
    search = page.get_by_role("searchbox", name="Search the log")
    await search.fill("NumPy")
    told = page.locator(".log-search output")
    await expect(told).to_have_text("1 / 400 matches")
    assert await current(page) == lines[0]
    await search.press("Enter")
    await expect(told).to_have_text("2 / 400 matches")
    assert await current(page) == lines[1]
    await search.press("Shift+Enter")
    await search.press("Shift+Enter")
    await expect(told).to_have_text("400 / 400 matches")
    assert await current(page) == lines[-1]
    assert await axe_violations(page) == []
    assert await overflow(page) <= 0
    await search.fill("nowhere")
    await expect(told).to_have_text("No match")
    await search.press("Escape")
    await expect(told).to_have_text("")


async def test_what_comes_is_searched_too_and_takes_nobody_away(visitor: Visitor, played: ScenarioServer) -> None:
    page = await building(visitor)
    await page.get_by_role("searchbox", name="Search the log").fill("numpy")
    await expect(page.locator(".log-search output")).to_have_text("1 / 400 matches")
    line = await current(page)
    played.only.tell("log", stage="build", message="one more numpy\n")
    await expect(page.locator(".log-search output")).to_have_text("1 / 401 matches")
    assert await current(page) == line


async def test_how_long_the_step_took_the_last_time(visitor: Visitor) -> None:
    page = await building(visitor)
    await expect(page.locator("[data-stage=build] .usual")).to_have_text("last time 3 min 34 s")
    await expect(page.locator(".usual")).to_have_count(1)


async def test_the_place_in_the_queue(visitor: Visitor, played: ScenarioServer) -> None:
    page = await building(visitor)
    await expect(page.locator(".queue")).to_have_count(0)
    for place, reason, sentence in (
        (3, "sessions", "All places are taken. You are number 3 in the queue."),
        (1, "starting", "Other sessions are just starting. You are next."),
        (2, "person", "You have as many sessions as one person may have: stop one of them, and this one starts."),
        (2, "else", "As the server says it."),
    ):
        message = "As the server says it."
        played.only.tell("queued", stage="queue", message=message, place=place, ahead=place - 1, reason=reason)
        await expect(page.locator(".queue")).to_have_text(sentence)
    await expect(page.locator("[data-stage=queue]")).to_have_attribute("data-status", "running")
    played.only.tell("started", stage="session", message="Starting the server")
    await expect(page.locator(".queue")).to_have_count(0)


async def test_a_failure_names_its_step_and_leads_to_the_page_that_lasts(visitor: Visitor) -> None:
    page = await visitor.go("/v2/gh/example/failed/main")
    problem = page.get_by_role("region", name="The environment could not be built")
    await expect(problem).to_contain_text("In the step “Build the image”")
    link = problem.get_by_role("link", name="Page of this launch")
    assert str(await link.get_attribute("href")).startswith(f"{visitor.address}/launches/")
