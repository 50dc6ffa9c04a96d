"""The launch page of the real service in its states: usable by everybody, and pictures to look at."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import pytest
from playwright.async_api import expect

from tests.fixtures.journey import BUILD_S, back, building, lab, link, repository
from tests.ui.conftest import SCREENSHOTS, axe_violations, overflow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

    from tests.fixtures.journey import Person
    from tests.fixtures.repos import GitHost

pytestmark = [pytest.mark.engine, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

LONG = "RUN for n in $(seq 1 30); do echo step-$n: unpacking sea-ice-$n.nc; sleep 0.4; done\n"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@asynccontextmanager
async def silent_host() -> AsyncIterator[str]:
    """A git server that takes a connection and never answers: the address of a repository on it."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    try:
        yield f"git://127.0.0.1:{server.sockets[0].getsockname()[1]}/sea-ice.git"
    finally:
        server.close()


async def look(page: Page, state: str) -> None:
    """Check the state at both widths and in both colour schemes, and take pictures."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for width, height in ((1440, 900), (360, 780)):
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            assert await overflow(page) <= 0
            await page.screenshot(path=SCREENSHOTS / f"real-{state}-{width}-{scheme}.png", full_page=True)
    assert await axe_violations(page) == []


async def test_waiting_and_cancelled(stranger: Person) -> None:
    async with silent_host() as url:
        page = await stranger.open(f"/v2/git/{quote(url, safe='')}/main")
        await expect(page.locator("[data-stage=resolve]")).to_have_attribute("data-status", "running")
        await look(page, "waiting")
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Launch cancelled")
        await look(page, "cancelled")


async def test_building_and_ready(stranger: Person, git_daemon: GitHost) -> None:
    page = await stranger.open(link(repository(git_daemon, LONG, "sea-ice")))
    await building(page, "step-9:")
    await look(page, "building")
    await lab(page)
    await back(page)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ready")
    await look(page, "ready")


async def test_failed(stranger: Person, git_daemon: GitHost) -> None:
    steps = "RUN echo looking for sea-ice.nc && ls /data/sea-ice.nc\n"
    page = await stranger.open(link(repository(git_daemon, steps)))
    await expect(page.get_by_role("region", name="The build failed")).to_be_visible(timeout=BUILD_S * 1000)
    await look(page, "failed")
