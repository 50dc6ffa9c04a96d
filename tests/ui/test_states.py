"""Every state of the pages: what it says, that it can be used by everybody, and a picture to look at."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import pytest
from playwright.async_api import expect

from tests.ui.conftest import SCREENSHOTS, Visitor, axe_violations, overflow
from tests.ui.scenarios import in_queue, project

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

    from tests.ui.scenario_server import ScenarioServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

STATES = {
    "waiting": "Launching",
    "queued": "Launching",
    "building": "Launching",
    "failed": "This launch failed",
    "ready": "Ready",
    "loose": "Ready",
    "stopped": "The server is stopped",
    "cancelled": "Launch cancelled",
    "nonsense": "This link was not launched",
    "closed": "This link was not launched",
    "offline": "Launching",
    "sign-in": "You are not signed in",
    "home": "Launch a repository",
    "projects": "Launch a repository",
}
PROJECTS = {
    "lecture-notes": "running",
    "thesis": "stopping",
    "a-repository-whose-author-likes-long-names-and-does-not-stop-at-sixty-characters": "starting",
    "numbers": "stopped",
}
WIDTHS = {1440: 900, 360: 780}


async def arrive(visitor: Visitor, played: ScenarioServer, state: str) -> Page:
    """Bring the page into that state."""
    if state == "home":
        page = await visitor.go("/")
        await page.get_by_label("Repository, DOI or link").fill("https://github.com/example/lecture/blob/main/a.ipynb")
        await expect(page.locator(".recognised")).to_have_attribute("data-state", "found")
        return page
    if state == "projects":
        for number, (title, server) in enumerate(PROJECTS.items()):
            played.projects[f"p{number}"] = project(f"p{number}", title, server, days_ago=number * 0.9)
        played.projects["old"] = project("old", "an-old-course", "stopped") | {"archived": "2026-03-01T12:00:00.000Z"}
        page = await visitor.go("/")
        await page.get_by_text("Archived (1)").click()
        await expect(page.locator(".project")).to_have_count(len(PROJECTS) + 1)
        await page.get_by_role("button", name="Rename numbers").click()
        await page.get_by_label("New name of numbers").fill("")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("A name is one line of 1 to 200 characters that can be seen.")).to_be_visible()
        return page
    if state == "loose":
        played.faults.kind = "member"
    if state == "sign-in":
        played.faults.signed_in = played.faults.login_works = False
    spec = {
        "nonsense": "nonsense/nothing",
        "closed": "closed/nothing",
        "offline": "example/building",
        "stopped": "example/ready",
    }.get(state, f"example/{state}")
    page = await visitor.go(f"/v2/gh/{spec}/main")
    if state in {"ready", "loose", "stopped"}:  # the session opens by itself; the reader comes back
        await page.wait_for_url("**/user/project-abc/lab")
        await page.go_back()
    if state == "stopped":
        await page.get_by_role("button", name="Stop the server").click()
    if state in {"building", "offline"}:
        await expect(page.locator(".log-count", has_text="2,005 lines")).to_be_visible()
    if state == "offline":
        await visitor.context.set_offline(offline=True)
        played.drop()
        await expect(page.get_by_text("You are offline.").first).to_be_visible()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("state", STATES)
async def test_state(
    visitor: Visitor, played: ScenarioServer, state: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    await visitor.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    await visitor.page.emulate_media(color_scheme=scheme)
    page = await arrive(visitor, played, state)
    await expect(page.get_by_role("heading", level=1)).to_have_text(STATES[state])
    assert await axe_violations(page) == []
    assert await overflow(page) <= 0
    await picture(page, SCREENSHOTS / f"{state}-{width}-{scheme}.png")


async def picture(page: Page, path: Path) -> None:
    """For people to look at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=path, full_page=True)


async def test_stages_show_what_is_done_under_way_and_not_started(visitor: Visitor) -> None:
    page = await visitor.go("/v2/gh/example/building/main")
    stages = page.locator(".stage")
    await expect(stages).to_have_count(7)
    build = page.locator("[data-stage=build]")
    await expect(build).to_have_attribute("data-status", "running")
    await expect(build).to_contain_text("Step 7 of 12")
    await expect(build.get_by_role("progressbar")).to_have_js_property("value", 58)
    await expect(page.locator("[data-stage=resolve]")).to_have_attribute("data-status", "done")
    await expect(page.locator("[data-stage=resolve] .stage-time")).to_have_text("0.4 s")
    await expect(page.locator("[data-stage=session]")).to_have_attribute("data-status", "waiting")
    await expect(build.locator(".stage-time")).to_have_text("1 min 36 s")  # it counts
    await expect(page.locator("p[role=status]")).to_have_text("Build the image: under way")


async def test_a_step_is_told_in_the_language_of_the_page(visitor: Visitor, played: ScenarioServer) -> None:
    await visitor.context.set_extra_http_headers({"Accept-Language": "fr"})
    page = await visitor.go("/v2/gh/example/building/main")
    said = page.locator("[data-stage=build] .stage-message")
    await expect(page.locator("[data-stage=build]")).to_have_attribute("data-status", "running")
    ahead, facts = "step.build.ahead", {"count": 2}
    french = "D’autres constructions sont en cours. Encore 2 avant celle-ci."
    for n, (code, with_facts, shown) in enumerate(
        (
            (ahead, facts, french),
            (ahead, {}, ""),
            ("step.build.next", {}, "D’autres constructions sont en cours. Celle-ci est la prochaine."),
            ("step.of.another.version", facts, ""),
            ("toString", facts, ""),
            ("", {}, ""),
            (ahead, facts, french),
        )
    ):
        message = f"As it was told, number {n}."
        played.only.tell("progress", stage="build", message=message, code=code, facts=with_facts)
        await expect(said).to_have_text(shown or message)


async def test_a_place_in_the_queue_is_told_but_not_every_step_of_it(visitor: Visitor, played: ScenarioServer) -> None:
    page = await visitor.go("/v2/gh/example/queued/main")
    banner, spoken = page.locator(".queue"), page.locator("p[role=status]")
    await expect(banner).to_have_text("All places are taken. You are number 3 in the queue.")
    await expect(spoken).to_have_text("You are number 3 in the queue.")
    await expect(page).to_have_title("Number 3 in the queue · github.com/example/queued")
    in_queue(played.only, 2)
    await expect(banner).to_contain_text("number 2")
    await expect(spoken).to_have_text("You are number 3 in the queue.")  # who listens is not told of each
    in_queue(played.only, 1)
    await expect(spoken).to_have_text("You are next.")
    played.only.tell("started", stage="session", message="")
    await expect(banner).to_have_count(0)
    await expect(spoken).to_have_text("Start the session: under way")


async def test_who_comes_for_the_first_time_is_told_what_happens(visitor: Visitor, played: ScenarioServer) -> None:
    page = await visitor.go("/v2/gh/example/waiting/main")
    lead = page.locator(".lead")
    await expect(lead).to_have_text(
        "A server with this repository’s files is being made ready. It opens here by itself."
    )
    played.only.tell("ended", stage="resolve", message="", seconds=0.1)
    played.only.tell("started", stage="build", message="")
    await expect(lead).to_contain_text("There is no ready image of this environment, so it is built now.")


ICONS = {"building": "favicon_building.ico", "failed": "favicon_fail.ico", "cancelled": "icon.svg"}


@pytest.mark.parametrize("state", ICONS)
async def test_the_tab_tells_how_it_stands(visitor: Visitor, state: str) -> None:
    page = await visitor.go(f"/v2/gh/example/{state}/main")
    await expect(page.get_by_role("heading", level=1)).to_have_text(STATES[state])
    await expect(page.locator("link[rel=icon]")).to_have_attribute("href", f"{visitor.address}/static/{ICONS[state]}")


async def test_a_guest_who_is_refused_may_sign_in_and_comes_back(visitor: Visitor, played: ScenarioServer) -> None:
    page = await visitor.go("/v2/gh/closed/nothing/main?urlpath=lab")
    way = page.locator(".actions").get_by_role("link", name="Sign in")
    next_page = "%2Fv2%2Fgh%2Fclosed%2Fnothing%2Fmain%3Furlpath%3Dlab"
    await expect(way).to_have_attribute("href", f"/api/v1/login?as=member&next={next_page}")
    await expect(page.get_by_role("button", name="Try again")).not_to_have_class(re.compile("primary"))
    played.faults.kind = "member"
    page = await visitor.go("/v2/gh/closed/nothing/main")
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()
    await expect(page.locator(".actions").get_by_role("link", name="Sign in")).to_have_count(0)


async def test_another_tabs_login_right_before_the_launch(visitor: Visitor, played: ScenarioServer) -> None:
    """The form token ends with its login: a second tab of a newcomer begins another guest's."""
    played.faults.logins_after = 1
    page = await visitor.go("/v2/gh/example/building/main")
    await expect(page.get_by_role("heading", level=1)).to_have_text(STATES["building"])


async def test_a_page_that_is_never_believed_says_so(visitor: Visitor, played: ScenarioServer) -> None:
    played.faults.logins_after = 100
    page = await visitor.go("/v2/gh/example/building/main")
    await expect(page.get_by_role("heading", name="No form token")).to_be_visible()
    assert played.faults.logins_after >= 97


async def test_a_stage_that_was_not_needed_is_told(visitor: Visitor) -> None:
    page = await visitor.go("/v2/gh/example/ready/main")
    await expect(page.locator("[data-stage=build]")).to_have_attribute("data-status", "skipped")
    await expect(page.locator("[data-stage=build] .stage-time")).to_have_text("not needed")


async def test_how_firmly_it_is_pinned_and_what_would_pin_it(visitor: Visitor) -> None:
    page = await visitor.go("/v2/gh/example/building/main")
    pinning = page.locator(".pinning")
    await expect(pinning.locator("summary")).to_contain_text("not pinned")
    await expect(pinning.get_by_text("binder/Dockerfile:1: FROM debian:trixie")).to_be_hidden()
    await pinning.locator("summary").press("Enter")
    await expect(pinning.get_by_text("binder/Dockerfile:1: FROM debian:trixie")).to_be_visible()
    await expect(pinning.locator(".advice")).to_have_text("FROM name@sha256:… instead of FROM name:tag")
    await expect(pinning).to_contain_text("because of")
    await expect(pinning.get_by_text("binder/Dockerfile: its commands may read any file")).to_be_visible()
    assert await axe_violations(page) == []
    assert await overflow(page) <= 0
    page = await visitor.go("/v2/gh/example/ready/main")
    await expect(page.locator("p.pinning")).to_contain_text("reproducible")


async def test_a_build_afresh_by_keyboard_and_only_for_who_has_signed_in(
    visitor: Visitor, played: ScenarioServer
) -> None:
    page = await arrive(visitor, played, "loose")
    await expect(page.locator(".built")).to_have_text("The image that is used was built on March 1, 2026 at 12:00 PM.")
    afresh = page.get_by_role("button", name="Build afresh")
    await expect(afresh).to_have_accessible_description(
        "Building afresh asks anew for what is not pinned. "
        "Then your server starts again from the new image: saved files stay, what runs in it ends."
    )
    await afresh.press("Enter")
    heading = page.get_by_role("heading", level=1)
    await expect(heading).to_have_text("Launching")
    await expect(heading).to_be_focused()
    assert [one.afresh for one in played.launches.values()] == [False, True]
    played.faults.kind = "guest"
    page = await visitor.go("/v2/gh/example/loose/other")
    await page.wait_for_url("**/user/project-abc/lab")
    await page.go_back()
    await expect(page.locator(".built")).to_be_visible()
    await expect(page.get_by_role("button", name="Build afresh")).to_have_count(0)


async def test_what_is_pinned_is_not_offered_afresh(visitor: Visitor, played: ScenarioServer) -> None:
    played.faults.kind = "member"
    page = await arrive(visitor, played, "ready")
    await expect(page.get_by_role("button", name="Launch again")).to_be_visible()
    await expect(page.get_by_role("button", name="Build afresh")).to_have_count(0)


async def test_a_failure_says_what_was_seen_and_what_to_do_and_keeps_the_log(visitor: Visitor) -> None:
    page = await visitor.go("/v2/gh/example/failed/main")
    problem = page.get_by_role("region", name="The environment could not be built")
    await expect(problem).to_contain_text("No matching distribution found for nunpy==2.3")
    await expect(problem).to_contain_text("Correct the line in requirements.txt")
    await expect(problem.get_by_role("link", name="More about this")).to_have_attribute(
        "href", f"{visitor.address}/docs/reference/errors#build-failed"
    )
    await expect(page.locator("[data-stage=build]")).to_have_attribute("data-status", "failed")
    await expect(page.locator("[data-stage=workspace]")).to_have_attribute("data-status", "waiting")
    await expect(page.locator("launch-log")).to_contain_text("ERROR: No matching distribution")


async def test_what_a_stranger_wrote_is_text(visitor: Visitor) -> None:
    page = await visitor.go("/v2/gh/example/failed/main")
    await expect(page.locator("launch-log")).to_contain_text("<script>alert(2)</script>")
    await expect(page.locator(".explanation .seen")).to_contain_text("<b>bold</b>")
    assert await page.locator("main b, main img, main script").count() == 0


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//[", ""])
async def test_a_session_address_that_is_no_web_page_is_never_opened(
    visitor: Visitor, played: ScenarioServer, address: str
) -> None:
    page = await visitor.go("/v2/gh/example/waiting/main")
    await expect(page.locator("[data-stage=resolve][data-status=running]")).to_be_visible()
    played.only.tell("ready", url=address, project="abc", image="", message="")
    await expect(page.get_by_role("heading", name="The session has no usable address")).to_be_visible()
    assert page.url.endswith("/v2/gh/example/waiting/main")


async def test_details_hold_all_that_a_helper_needs(visitor: Visitor) -> None:
    await visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await visitor.go("/v2/gh/example/failed/main")
    await page.get_by_role("button", name="Copy details").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = await page.evaluate("() => navigator.clipboard.readText()")
    for part in ("build-failed (422)", "https://github.com/example/failed", "#0040 Downloading", "nunpy==2.3"):
        assert part in copied
