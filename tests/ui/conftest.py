"""The pages, built from the sources, in Chromium, against a launcher that plays launches by script.

One browser and one server for all tests of a worker, so they live on the session's event loop.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import pytest_asyncio

from tests.fixtures.browser import chromium
from tests.ui.scenario_server import ScenarioServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, BrowserContext, Page

ROOT = Path(__file__).parents[2]
FRONTEND = ROOT / "frontend"
SCREENSHOTS = Path(os.environ.get("TEST_SCREENSHOTS", ROOT / "build/screenshots"))


@dataclass
class Visitor:
    """A person's browser: `page` is the first tab; `complaints` is what the browser complained of."""

    context: BrowserContext
    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    async def go(self, path: str) -> Page:
        await self.page.goto(self.address + path)
        return self.page

    async def tab(self) -> Page:
        """Another tab, watched like the first."""
        page = await self.context.new_page()
        self.watch(page)
        return page

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)

    @property
    def policy_breaches(self) -> list[str]:
        """Complaints but those about the network, which the tests break on purpose."""
        return [text for text in self.complaints if "net::" not in text and "Failed to load resource" not in text]


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as `npm run build` makes them, in a folder of this worker's own."""
    npm = shutil.which("npm")
    if npm is None or not (FRONTEND / "node_modules").is_dir():
        pytest.fail("The pages' build tools are missing: `make setup-test` installs them.")
    folder = tmp_path_factory.mktemp("dist")
    argv = [npm, "run", "--silent", "build", "--", "--outDir", str(folder), "--emptyOutDir", "--logLevel", "warn"]
    built = subprocess.run(argv, cwd=FRONTEND, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def scenario_server(dist: Path) -> AsyncIterator[ScenarioServer]:
    server = ScenarioServer(dist)
    server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def played(scenario_server: ScenarioServer) -> AsyncIterator[ScenarioServer]:
    """The server, with nothing in it that an earlier test left."""
    scenario_server.reset()
    yield scenario_server
    scenario_server.reset()


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser, played: ScenarioServer) -> AsyncIterator[Visitor]:
    """A fresh profile; whatever the test does, the page must not break its content security policy."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    person = Visitor(context, await context.new_page(), played.address)
    person.watch(person.page)
    yield person
    await context.close()
    assert person.policy_breaches == []


async def axe_violations(page: Page) -> list[str]:
    """What axe-core finds wrong, one line each."""
    source = (FRONTEND / "node_modules/axe-core/axe.min.js").read_text()
    await page.evaluate(source)
    found = cast("dict[str, Any]", await page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })"))
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


async def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(await page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth"))
