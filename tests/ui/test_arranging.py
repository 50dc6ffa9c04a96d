"""One's own projects on the home page: named, put away and taken back."""

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

SINCE = "2026-03-01T12:00:00.000Z"


@pytest.fixture
def three(played: ScenarioServer) -> ScenarioServer:
    """Somebody has two projects, of which one runs, and one that is archived."""
    played.projects["abc"] = project("abc", "lecture", "running")
    played.projects["def"] = project("def", "thesis", "stopped", days_ago=3.2)
    played.projects["old"] = project("old", "course", "stopped", days_ago=90) | {"archived": SINCE}
    return played


def row(page: Page, title: str) -> Locator:
    return page.locator(".project").filter(has=page.get_by_role("heading", name=title))


def field(page: Page) -> Locator:
    return page.get_by_role("textbox", name="New name of thesis")


async def editing(visitor: Visitor) -> Page:
    """The name of the thesis is being changed."""
    page = await visitor.go("/")
    await page.get_by_role("button", name="Rename thesis").press("Enter")
    await expect(field(page)).to_be_focused()
    return page


# ---- names
async def test_renamed_by_keyboard(visitor: Visitor, three: ScenarioServer) -> None:
    page = await editing(visitor)
    await page.keyboard.type("  <b>My</b> thesis ")  # what was there is selected
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Rename <b>My</b> thesis")).to_be_focused()
    await expect(page.get_by_role("heading", name="<b>My</b> thesis")).to_be_visible()
    await expect(page.get_by_text("It is called <b>My</b> thesis now.")).to_be_attached()
    await expect(page.locator(".project b")).to_have_count(0)
    assert three.projects["def"]["title"] == "<b>My</b> thesis"
    assert three.projects["abc"]["title"] == "lecture"


async def test_escape_and_cancel_leave_the_name(visitor: Visitor, three: ScenarioServer) -> None:
    page = await editing(visitor)
    await field(page).fill("other")
    await page.keyboard.press("Escape")
    rename = page.get_by_role("button", name="Rename thesis")
    await expect(rename).to_be_focused()
    await expect(field(page)).to_have_count(0)
    await rename.click()
    await expect(field(page)).to_have_value("thesis")
    await page.get_by_role("button", name="Cancel").click()
    await expect(rename).to_be_focused()
    await rename.click()
    await page.keyboard.press("Enter")  # the same name is no change
    await expect(rename).to_be_focused()
    assert three.count("PATCH", "/") == 0


async def test_a_name_that_is_none_is_told(visitor: Visitor, three: ScenarioServer) -> None:
    page = await editing(visitor)
    await field(page).fill("  ")
    await page.get_by_role("button", name="Save").click()
    said = "A name is one line of 1 to 200 characters that can be seen."
    await expect(page.get_by_role("alert")).to_have_text(said)
    await expect(field(page)).to_be_focused()
    await expect(field(page)).to_have_accessible_description(said)
    await expect(field(page)).to_have_attribute("aria-invalid", "true")
    assert three.count("PATCH", "/") == 0
    await field(page).fill("x" * 300)
    await expect(field(page)).to_have_value("x" * 200)


@pytest.mark.parametrize(
    "code, said",
    [
        ("hub-down", "thesis stays as it is. Seen: It cannot be Do this."),
        ("bad-request", "thesis stays as it is. A name is one line of 1 to 200 characters that can be seen."),
    ],
)
async def test_a_name_that_is_refused_is_told_and_kept_to_try_again(
    visitor: Visitor, three: ScenarioServer, code: str, said: str
) -> None:
    three.faults.change_refused = code
    page = await editing(visitor)
    await field(page).fill("My thesis")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text(said)
    await expect(field(page)).to_be_focused()
    await expect(field(page)).to_have_value("My thesis")
    three.faults.change_refused = ""
    await page.keyboard.press("Enter")
    await expect(row(page, "My thesis")).to_be_visible()


async def test_a_list_that_is_read_again_takes_nothing_from_who_types(visitor: Visitor, three: ScenarioServer) -> None:
    three.projects["abc"]["state"] = "starting"
    page = await editing(visitor)
    await field(page).fill("half a na")
    three.projects["abc"]["state"] = "running"
    three.projects["def"] = three.projects.pop("def") | {"title": "renamed elsewhere"}
    three.projects["abc"] = three.projects.pop("abc")  # and in another order
    await expect(row(page, "lecture").get_by_role("button", name="Stop")).to_be_visible()
    typed = page.get_by_role("textbox", name="New name of")
    await expect(typed).to_be_focused()
    await expect(typed).to_have_value("half a na")


async def test_saved_once_however_often_it_is_pressed(visitor: Visitor, three: ScenarioServer) -> None:
    three.faults.slow_change = asyncio.Event()
    page = await editing(visitor)
    await field(page).fill("My thesis")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Save")).to_have_attribute("aria-disabled", "true")
    await page.keyboard.press("Enter")
    three.faults.slow_change.set()
    await expect(row(page, "My thesis")).to_be_visible()
    assert three.count("PATCH", "/api/v1/projects/def") == 1


# ---- archived
async def test_put_away_and_taken_back_by_keyboard(visitor: Visitor, three: ScenarioServer) -> None:
    page = await visitor.go("/")
    await expect(row(page, "course")).to_be_hidden()
    await page.get_by_role("button", name="Archive thesis").press("Enter")
    await expect(page.get_by_text("thesis is archived. Its files stay.")).to_be_attached()
    archived = page.locator("summary", has_text="Archived (2)")
    await expect(archived).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(row(page, "thesis")).to_contain_text("github.com/example/thesis")
    await expect(row(page, "course").locator("time")).to_contain_text("archived ")
    await expect(row(page, "course").get_by_role("link", name="Resume")).to_have_count(0)
    await page.get_by_role("button", name="Take back thesis").press("Enter")
    await expect(page.get_by_role("link", name="Resume thesis")).to_be_focused()
    await expect(page.get_by_text("thesis is back.")).to_be_attached()
    await expect(page.locator("summary", has_text="Archived (1)")).to_be_visible()
    assert [one["archived"] for one in three.projects.values()] == [None, None, SINCE]


async def test_what_runs_is_stopped_first(visitor: Visitor, three: ScenarioServer) -> None:
    page = await visitor.go("/")
    lecture = row(page, "lecture")
    await expect(lecture.get_by_role("button", name="Archive")).to_have_count(0)
    await lecture.get_by_role("button", name="Stop").click()
    await lecture.get_by_role("button", name="Archive lecture").click()
    await expect(page.locator("summary", has_text="Archived (2)")).to_be_visible()
    assert three.projects["abc"]["archived"] is not None


async def test_a_refusal_says_why(visitor: Visitor, three: ScenarioServer) -> None:
    three.faults.change_refused = "project-runs"
    page = await visitor.go("/")
    await row(page, "thesis").get_by_role("button", name="Archive").click()
    await expect(page.get_by_role("alert")).to_have_text("thesis stays as it is. Seen: It cannot be Do this.")
    await page.get_by_text("Archived (1)").click()
    await page.get_by_role("button", name="Take back course").click()
    await expect(page.get_by_role("alert")).to_have_text("course stays as it is. Seen: It cannot be Do this.")
    await expect(row(page, "course")).to_be_visible()


async def test_who_has_archived_all_still_finds_them(visitor: Visitor, three: ScenarioServer) -> None:
    for one in three.projects.values():
        one["archived"] = SINCE
    page = await visitor.go("/")
    await page.get_by_text("Archived (3)").click()
    await expect(page.get_by_role("button", name="Take back thesis")).to_be_visible()


async def test_without_any_nothing_is_said_of_it(visitor: Visitor, three: ScenarioServer) -> None:
    del three.projects["old"]
    page = await visitor.go("/")
    await expect(row(page, "thesis")).to_be_visible()
    await expect(page.get_by_text("Archived")).to_have_count(0)
