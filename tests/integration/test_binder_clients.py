"""Programs made for BinderHub, at the real service: from another site's page, and from none.

BinderHub's own client (npm) and thebe (npm) are the real ones, in Chromium, on a page of another origin. Those that are
nowhere but on GitHub have stand-ins here: they do what those programs do with the stream.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import expect
from yarl import URL

from tests.fixtures.journey import repository
from tests.fixtures.service import read_events, visiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.fixtures.book import Book
    from tests.fixtures.repos import GitHost, Repo
    from tests.fixtures.service import Service

pytestmark = [pytest.mark.engine, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
LAUNCH = "([spec, hub, options]) => import('/launching.js').then(({ launch }) => launch(spec, hub, options))"
RUN = "([ready, code]) => import('/launching.js').then(({ run }) => run(ready, code))"
ROOT = Path(__file__).parents[2]
COURSE = "https%3A%2F%2Fgit.example.org%2Fcourse"
ENDS = {"ready", "failed"}
KNOWN = {"waiting", "fetching", "building", "pushing", "built", "launching", "unknown"} | ENDS
"""The phases of BinderHub; a program that meets another one gives up."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def repo(git_daemon: GitHost) -> Repo:
    """One environment for all tests here: the first builds it."""
    return repository(git_daemon)


@pytest_asyncio.fixture(loop_scope="module")
async def page(chrome: Browser, book: Book) -> AsyncIterator[Page]:
    """A page of a site that may launch here."""
    context = await chrome.new_context()
    context.set_default_timeout(150_000)
    page = await context.new_page()
    await page.goto(f"{book.host}/")
    yield page
    await context.close()


async def build(service: Service, repo: Repo, **query: str) -> list[dict[str, Any]]:
    """As a program without a browser reads it, to the end of the stream."""
    address = URL(f"{service.base_url}/build/git/{repo.spec}/main", encoded=True).update_query(query)
    headers = {"Accept": "text/event-stream"}
    async with aiohttp.ClientSession() as http, http.get(address, headers=headers) as answer:
        assert answer.status == 200
        return [event async for event in read_events(answer)]


# ---- the real ones
async def test_binderhubs_own_client_launches_from_another_sites_page_and_runs_a_cell(
    service: Service, repo: Repo, page: Page
) -> None:
    events = await page.evaluate(LAUNCH, [f"git/{repo.spec}/main", service.base_url, {}])
    phases = [one["phase"] for one in events]
    assert (phases[-1], set(phases) - KNOWN) == ("ready", set()), events[-1]
    assert "building" in phases
    assert all(one["message"].endswith("\n") for one in events)
    ready = events[-1]
    assert ready["url"].startswith(f"{service.base_url}/user/project-")
    assert await page.evaluate(RUN, [ready, "print(6 * 7)"]) == "42\n"


async def test_its_build_only_ends_with_an_image_that_the_registry_has(
    service: Service, repo: Repo, page: Page
) -> None:
    """As jupyterhub-fancy-profiles asks: it starts `imageName` itself."""
    before = {one.id for one in service.containers()}
    events = await page.evaluate(LAUNCH, [f"git/{repo.spec}/main", service.base_url, {"buildOnly": True}])
    assert set(events[-1]) == {"phase", "message", "imageName"}, events[-1]
    assert events[-1]["imageName"].partition("@")[2].startswith("sha256:")
    assert {one.id for one in service.containers()} == before


async def test_a_page_of_a_site_that_is_not_listed_learns_nothing(
    service: Service, repo: Repo, page: Page, book: Book
) -> None:
    [*_, ready] = await build(service, repo)
    await page.goto(f"{book.stranger}/")
    events = await page.evaluate(LAUNCH, [f"git/{repo.spec}/main", service.base_url, {}])
    assert [one["phase"] for one in events] == ["failed"]
    assert "Error in event stream" in events[0]["message"]
    with pytest.raises(Exception, match="Failed to fetch"):
        await page.evaluate(RUN, [ready, "print(6 * 7)"])


async def test_thebe_makes_a_cell_of_another_sites_page_live(
    service: Service, repo: Repo, page: Page, book: Book
) -> None:
    path = book.thebe(service.base_url, repo.url, "main", "print(6 * 7)")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for launches in (1, 1):  # the page opened again finds its session alive, and starts none
        await page.goto(f"{book.host}{path}")
        await page.wait_for_function("() => window.thebe.session?.kernel?.connectionStatus === 'connected'")
        await page.locator(".thebe-run-button").click()
        await expect(page.locator(".jp-OutputArea-output").first).to_contain_text("42", timeout=60_000)
        assert sum("/build/git/" in one for one in asked) == launches, asked


async def test_a_session_that_is_entered_by_cookie_is_reached_by_no_other_sites_page(
    service: Service, repo: Repo, book: Book
) -> None:
    async with visiting(service) as person:
        await person.enter()
        ready = (await person.launch(repo.url, "main"))[-1]
        assert ready["type"] == "ready", ready
        await person.session(ready["path"])
        for said, status in (({}, 200), ({"Origin": book.host}, 404)):  # Jupyter's own server hides itself
            async with person.http.get(f"{ready['path']}api/status", headers=said) as answer:
                assert (answer.status, answer.headers.get("Access-Control-Allow-Origin")) == (status, None)
        program = (await build(service, repo))[-1]
        asked = {"Origin": book.host, "Authorization": f"token {program['token']}"}
        async with person.http.get(URL(program["url"]).path + "api/status", headers=asked) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, book.host)


# ---- stand-ins
async def test_a_stand_in_for_clinder_launches_works_and_shuts_down(service: Service, repo: Repo) -> None:
    """It gives up at an unknown phase, enters by `url` and `token` in headers alone, and posts `api/shutdown`."""
    address = URL(f"{service.base_url}/build/git/{repo.spec}/main", encoded=True)
    async with aiohttp.ClientSession() as http:
        async with http.get(address, headers={"Accept": "text/event-stream"}) as answer:
            async for event in read_events(answer):
                assert event["phase"] in KNOWN, event
                if event["phase"] in ENDS:
                    break
        assert event["phase"] == "ready", event
        headers = {"Authorization": f"token {event['token']}"}
        async with http.get(f"{event['url']}api/status", headers=headers) as answer:
            assert (answer.status, (await answer.json())["kernels"]) == (200, 0)
        async with http.post(f"{event['url']}api/shutdown", headers=headers) as answer:
            assert answer.status == 200, await answer.text()


async def test_the_commands_of_the_page_for_those_who_move_over(service: Service, repo: Repo) -> None:
    """docs/how-to/binderhub.md, with this service's address and a repository that is here."""
    page = (ROOT / "docs" / "how-to" / "binderhub.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("curl ")]
    assert len(lines) == 5
    for line in lines:
        here = line.replace("https://launch.example.org", service.base_url).replace(COURSE, repo.spec)
        done = await asyncio.to_thread(subprocess.run, shlex.split(here), capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout, line
        if "/build/" in line:
            assert json.loads(done.stdout.strip().rpartition("data:")[2])["phase"] == "ready", done.stdout


async def test_a_stand_in_for_programs_without_the_accept_header_is_told_what_is_missing(service: Service) -> None:
    """`curl` in workflows that only want a build: BinderHub says nothing that they would notice."""
    async with aiohttp.ClientSession() as http, http.get(f"{service.base_url}/build/gh/a/b/main") as answer:
        [event] = [json.loads(line[5:]) for line in (await answer.text()).splitlines() if line.startswith("data:")]
        assert answer.status == 200
    assert (event["phase"], event["status_code"]) == ("failed", 400)
    assert "Expected: text/event-stream, alone or in a list." in event["message"]
