"""People with a browser at the real service: from a link to JupyterLab and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.fixtures.journey import BASE, BUILD_S, LAB, SLOW, back, building, lab, link, repository

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.fixtures.journey import Person
    from tests.fixtures.repos import GitHost

pytestmark = [pytest.mark.engine, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

CELL: dict[str, object] = {
    "cell_type": "code",
    "id": "a",
    "metadata": {},
    "execution_count": None,
    "outputs": [],
    "source": "6 * 7",
}
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
NOTEBOOK = json.dumps({"cells": [CELL], "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5})
BEFORE_BUILD = ("resolve", "checkout", "detect", "image")


async def open_file(page: Page, name: str) -> None:
    await page.locator(".jp-DirListing-item", has_text=name).dblclick()


async def edit(page: Page, name: str, text: str) -> None:
    """Put `text` at the beginning of a file and save it, by keyboard."""
    await open_file(page, name)
    editor = page.locator(".jp-FileEditor .cm-content")
    await editor.click()
    await page.keyboard.press("Control+Home")
    await page.keyboard.type(text)
    await expect(page.locator(".lm-TabBar-tab.jp-mod-dirty", has_text=name)).to_be_visible()
    await page.keyboard.press("Control+s")
    await expect(page.locator(".lm-TabBar-tab.jp-mod-dirty", has_text=name)).to_have_count(0)


async def run_cell(page: Page, name: str) -> None:
    """Run a notebook's first cell, by keyboard."""
    await open_file(page, name)
    await page.locator(".jp-Notebook .jp-Cell .cm-content").first.click()
    await expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible(timeout=60_000)
    await page.keyboard.press("Control+Enter")


async def test_a_stranger_gets_jupyterlab_and_finds_the_files_again(stranger: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon, SLOW, **{"hello.ipynb": NOTEBOOK})
    page = await stranger.open(link(repo))
    await expect(page.get_by_text("You are a guest.")).to_be_visible()
    await building(page)
    for stage in BEFORE_BUILD:
        await expect(page.locator(f"[data-stage={stage}]")).to_have_attribute("data-status", "done")
    await expect(page.locator("[data-stage=build]")).to_have_attribute("data-status", "running")
    await building(page, "step-8")

    project = await lab(page)
    for name in ("Dockerfile", "hello.ipynb", "notes.txt"):
        await expect(page.locator(".jp-DirListing-item", has_text=name)).to_be_visible()
    await run_cell(page, "hello.ipynb")
    await expect(page.locator(".jp-OutputArea-output")).to_have_text("42")
    await edit(page, "notes.txt", "mine, ")
    assert (stranger.workspace(project) / "notes.txt").read_text() == "mine, from git\n"

    await stranger.stop(project)
    page = await stranger.open(link(repo))
    assert await lab(page) == project
    await open_file(page, "notes.txt")
    await expect(page.locator(".jp-FileEditor .cm-content")).to_contain_text("mine, from git")
    assert stranger.token_shown == []


async def launch_id(page: Page) -> str:
    return str(await page.evaluate("() => history.state.launch"))


async def test_a_reload_in_mid_build_shows_the_same_launch(stranger: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon, SLOW)
    page = await stranger.open(link(repo))
    await building(page)
    before = await launch_id(page)
    await page.reload()
    await building(page, "step-1")
    assert await launch_id(page) == before
    _, mine = await stranger.api("GET", "/api/v1/launches")
    assert [one["id"] for one in mine] == [before]
    await building(page, "step-8")
    await lab(page)


async def secret_of(page: Page) -> str:
    """What only this build printed: the line before its first step."""
    shown = await page.locator("launch-log").evaluate(
        "log => [...log.querySelectorAll('.log-block')].map(block => block.textContent).join('')"
    )
    before, _, _ = str(shown).partition("step-1\n")
    return before.splitlines()[-1].split()[-1]


async def test_a_closed_tab_stops_nothing_and_the_link_leads_back(stranger: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon, SLOW)
    page = await stranger.open(link(repo))
    await building(page)
    printed = await secret_of(page)
    second = await stranger.tab()
    await page.close()
    await second.goto(stranger.service.base_url + link(repo))
    await building(second)
    assert await secret_of(second) == printed, "the link began another build"
    await lab(second)


async def test_two_tabs_share_a_build_and_a_project(stranger: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon, SLOW)
    page = await stranger.open(link(repo))
    second = await stranger.tab()
    await second.goto(stranger.service.base_url + link(repo))
    await building(page)
    await building(second)
    assert await secret_of(page) == await secret_of(second)
    assert await lab(page) == await lab(second)


async def test_back_from_jupyterlab_does_not_go_in_circles(stranger: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon)
    page = await stranger.open(link(repo))
    project = await lab(page)
    await back(page)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ready")
    await page.wait_for_timeout(2500)  # longer than a page that is ready waits before it opens the session
    assert page.url.endswith(link(repo))
    await page.get_by_role("link", name="Open again").click()
    assert await lab(page) == project
    await back(page)
    await page.get_by_role("button", name="Launch again").click()
    assert await lab(page) == project


async def test_a_failure_is_told_and_tried_again_once_mended(stranger: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon, "RUN echo about-to-fail && false\n")
    page = await stranger.open(link(repo))
    problem = page.get_by_role("region", name="The build failed")
    await expect(problem).to_be_visible(timeout=BUILD_S * 1000)
    await expect(problem).to_contain_text("RUN echo about-to-fail && false")
    await expect(problem).to_contain_text("Correct what the last lines complain about")
    await expect(page.locator("[data-stage=build]")).to_have_attribute("data-status", "failed")
    await expect(page.locator("launch-log")).to_contain_text("about-to-fail")
    first = await launch_id(page)
    repo.add({"Dockerfile": f"{BASE}ENV MENDED={first}\n"})
    await page.get_by_role("button", name="Try again").click()
    await lab(page)
    await back(page)
    assert await launch_id(page) != first


async def test_wrong_links_say_what_is_wrong(stranger: Person, git_daemon: GitHost) -> None:
    page = await stranger.open("/v2/nowhere/user/repo/main")
    await expect(page.get_by_role("region", name="Unknown provider")).to_contain_text("“nowhere”")
    await stranger.open(f"/v2/git/{git_daemon.base.replace('/', '%2F')}%2Fmissing/main")
    missing = page.get_by_role("region", name="There is no such repository")
    await expect(missing).to_contain_text("Check the spelling")
    await expect(page.locator("[data-stage=resolve]")).to_have_attribute("data-status", "failed")
    repo = git_daemon.make_repo()
    await stranger.open(link(repo, "mian"))
    await expect(page.get_by_role("region", name="There is no such branch, tag or commit")).to_contain_text("“mian”")
    await page.get_by_role("link", name="Launch another repository").click()
    await expect(page.get_by_label("Repository, DOI or link")).to_be_visible()


async def test_a_stopped_session_leads_back(stranger: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon)
    page = await stranger.open(link(repo))
    project = await lab(page)
    await stranger.stop(project)
    answer = await page.goto(f"{stranger.service.base_url}/user/project-{project}/lab")
    assert answer is not None
    assert answer.status == 503
    await page.get_by_role("link", name="Start it again").click()
    await page.wait_for_url(LAB, timeout=BUILD_S * 1000)
    assert await lab(page) == project


async def test_stopped_by_the_button_and_back_by_the_same_link(stranger: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon)
    page = await stranger.open(link(repo))
    project = await lab(page)
    (stranger.workspace(project) / "notes.txt").write_text("mine\n")
    await back(page)
    await page.get_by_role("button", name="Stop the server").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("The server is stopped", timeout=60_000)
    _, mine = await stranger.api("GET", "/api/v1/projects")
    assert [(one["id"], one["state"]) for one in mine] == [(project, "stopped")]
    await page.get_by_role("button", name="Start again").click()
    assert await lab(page) == project

    # From JupyterLab, "Hub Control Panel" leads to the hub's own home page: it says where projects are.
    await page.goto(f"{stranger.service.base_url}/hub/home")
    await expect(page.get_by_text("My Server")).to_have_count(0)
    await page.get_by_role("link", name="Go to your projects").click()
    row = page.locator(f"[data-project={project}]")
    await expect(row.locator(".state")).to_contain_text("running")
    await row.get_by_role("button", name="Stop the server").click()
    await expect(row.locator(".state")).to_contain_text("stopped", timeout=60_000)

    # Nor does the hub offer to start a server that has stopped, which it would refuse.
    await page.goto(f"{stranger.service.base_url}/hub/user/project-{project}/lab")
    await expect(page.get_by_role("heading", level=1)).to_have_text("This server is not running")
    await page.get_by_role("link", name="Go to your projects").click()
    await row.get_by_role("link", name="Resume").click()
    assert await lab(page) == project
    assert (stranger.workspace(project) / "notes.txt").read_text() == "mine\n"


async def test_strangers_see_no_projects_and_are_sent_to_no_login(stranger: Person) -> None:
    page = await stranger.open("/")
    await expect(page.get_by_label("Repository, DOI or link")).to_be_visible()
    await page.wait_for_load_state("networkidle")
    await expect(page.get_by_text("Your projects")).to_have_count(0)
    assert not any("/api/v1/login" in url for url in stranger.visited)
