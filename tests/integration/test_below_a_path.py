"""The whole service below a path, as a hub or a web server of others passes it on: `/services/binder/`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.fixtures.journey import lab, link, repository, somebody

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser

    from tests.fixtures.journey import Person
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service

pytestmark = [
    pytest.mark.engine,
    pytest.mark.browser,
    pytest.mark.long,
    pytest.mark.timeout(900),  # a machine at work: a build, two starts of a server, a push
    pytest.mark.asyncio(loop_scope="module"),
]
BASE = "/services/binder"
PATIENCE_MS = 120_000
BUILD = """async (path) => {
  const answer = await fetch(path, { headers: { Accept: "text/event-stream" } });
  const events = (await answer.text()).split("\\n").filter((line) => line.startsWith("data:"));
  return events.map((line) => JSON.parse(line.slice(5)));
}"""


@pytest.fixture
def below(own_service: Service) -> Service:
    """The service; what it builds with is made here, outside of any loop."""
    own_service.path = BASE
    own_service.start()
    return own_service


@pytest_asyncio.fixture(loop_scope="module")
async def person(below: Service, chrome: Browser) -> AsyncIterator[Person]:
    """Somebody who was never here."""
    async with somebody(below, chrome) as one:
        yield one


async def test_from_a_link_to_a_session_and_back_and_to_an_image(person: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon)
    page = await person.open(link(repo))
    project = await lab(page)
    assert urlsplit(page.url).path.startswith(f"{BASE}/user/project-{project}/lab")
    places = {one["name"]: one.get("path", "") for one in await person.context.cookies()}
    assert [place for place in places.values() if not place.startswith(f"{BASE}/")] == []
    assert places["repolaunch-login"] == f"{BASE}/api/"
    assert places[f"jupyterhub-user-project-{project}"] == f"{BASE}/user/project-{project}/"

    await person.stop(project)
    await page.reload(timeout=PATIENCE_MS)
    await page.get_by_role("link", name="Start it again").click(timeout=PATIENCE_MS)
    await expect(page).to_have_url(re.compile(f"{BASE}/user/project-{project}/lab"), timeout=150_000)

    await person.open("/")
    # The list asks the hub what runs, which a machine at work may take a while to say.
    mine = page.locator(f"a[href$='{BASE}/v2/git/{repo.spec}/main']").first
    await expect(mine).to_be_visible(timeout=PATIENCE_MS)
    # As jupyterhub-fancy-profiles asks, from a page of the same site.
    events: list[dict[str, Any]] = await page.evaluate(BUILD, f"{BASE}/build/git/{repo.spec}/main?build_only=true")
    assert set(events[-1]) == {"phase", "message", "imageName"}, events[-1]
    assert {one for one in person.visited if not urlsplit(one).path.startswith(f"{BASE}/")} == set()
