"""The whole service on a wildcard domain with TLS: every session has an origin of its own, where its reach ends."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import expect

from launcher.operate.installation import free_port
from tests.fixtures.asking import ask, stop
from tests.fixtures.journey import BUILD_S, link, repository, somebody
from tests.fixtures.service import Service
from tests.fixtures.tls import tls_front
from tests.integration.test_browser_attacks import PAGES, Victim, tried
from tests.integration.test_browser_people import RECORDER, RECORDING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from playwright.async_api import Browser, Page

    from tests.fixtures.journey import Person
    from tests.fixtures.registry import RunningRegistry
    from tests.fixtures.repos import GitHost, Repo

pytestmark = [pytest.mark.engine, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

DOMAIN = "hub.repolaunch.test"


@dataclass
class Wide(Service):
    """The service at `https://hub.repolaunch.test`."""

    public: str = ""

    @property
    def base_url(self) -> str:
        return self.public


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, registry: RunningRegistry) -> Iterator[Wide]:
    """One for all tests here."""
    listener = socket.create_server(("127.0.0.1", 0))
    public = f"https://{DOMAIN}:{listener.getsockname()[1]}"
    env = {
        "REPOLAUNCH_REGISTRY": registry.host,
        "REPOLAUNCH_REGISTRY_TLS": "false",
        "REPOLAUNCH_PUBLIC_URL": public,
        "REPOLAUNCH_WILDCARD_URL": public,
    }
    one = Wide(tmp_path_factory.mktemp("wide") / "data", free_port(), env, public=public)
    try:
        with tls_front(tmp_path_factory.mktemp("tls"), DOMAIN, listener, one.port):
            one.start()
            yield one
    finally:
        one.remove()


@pytest.fixture(scope="module")
def repo(git_daemon: GitHost) -> Repo:
    """Its sessions note every header that reaches them."""
    return repository(git_daemon, RECORDING, **{"jupyter_server_config.py": RECORDER})


@pytest_asyncio.fixture(loop_scope="module")
async def guest(wide: Wide, chrome: Browser) -> AsyncIterator[Person]:
    """Somebody who was never here."""
    async with somebody(wide, chrome, any_certificate=True) as person:
        yield person


async def arrived(page: Page, service: Wide) -> tuple[str, str]:
    """Wait for JupyterLab. Returns the project's id and its origin."""
    await page.wait_for_url(re.compile(r"//project-[a-z0-9]{10}\."), timeout=BUILD_S * 1000, wait_until="commit")
    await expect(page.locator(".jp-DirListing-item").first).to_be_visible(timeout=60_000)
    parts = urlsplit(page.url)
    project = parts.netloc.partition(".")[0].removeprefix("project-")
    assert parts.netloc == f"project-{project}.{urlsplit(service.public).netloc}"
    assert parts.path.startswith(f"/user/project-{project}/lab")
    return project, f"{parts.scheme}://{parts.netloc}"


async def sign_in(page: Page, service: Wide, name: str) -> None:
    """Fill in the hub's login page."""
    await page.locator("#username_input").fill(name)
    await page.locator("#password_input").fill((service.data / "secrets/shared-password").read_text().strip())
    await page.locator("#login_submit").click()


async def test_a_guests_journey(wide: Wide, guest: Person, repo: Repo) -> None:
    """Link → JupyterLab on its own name → a kernel by websocket → stopped → the page that says so → back."""
    page = await guest.open(link(repo))
    project, origin = await arrived(page, wide)
    await page.locator(".jp-LauncherCard", has_text="Python 3").first.click()
    await expect(page.locator(".jp-Notebook")).to_be_visible(timeout=60_000)
    await expect(page.get_by_text(re.compile(r"Python 3.*\| Idle"))).to_be_visible(timeout=60_000)
    address = page.url
    await page.goto("about:blank")

    # The same path on the domain itself leads to the session.
    await page.goto(f"{wide.public}/user/project-{project}/lab")
    assert page.url.startswith(f"{origin}/user/project-{project}/lab")
    await page.goto("about:blank")

    await stop(wide, project)
    await page.goto(address)
    assert page.url == address
    await expect(page.get_by_role("heading", name="This session has stopped")).to_be_visible()
    await page.get_by_role("link", name="Start it again").click()
    assert (await arrived(page, wide))[0] == project


async def test_what_a_session_receives(wide: Wide, guest: Person, repo: Repo) -> None:
    """No cookie of hub or launcher, whatever address below the session's own name the browser opens."""
    page = await guest.open(f"/api/v1/login?as=member&next={quote(link(repo), safe='')}")
    await sign_in(page, wide, "ada")
    project, origin = await arrived(page, wide)
    for path in ("/", "/api/v1/me", "/build/x", "/hub/", "/user/project-aaaaaaaaaa/", f"/user/project-{project}/api"):
        await page.goto(origin + path)
    cookies = await guest.context.cookies()
    ours = {one["name"]: one for one in cookies if one["name"].endswith(("repolaunch-login", "jupyterhub-hub-login"))}
    assert set(ours) == {"__Host-repolaunch-login", "__Host-jupyterhub-hub-login"}
    for one in ours.values():
        assert (one["domain"], one["path"], one["secure"], one["httpOnly"]) == (DOMAIN, "/", True, True)
        assert one["sameSite"] == "Lax"
    text = (guest.workspace(project) / "requests.jsonl").read_text()
    seen = [json.loads(line) for line in text.splitlines()]
    assert any(f"jupyterhub-user-project-{project}=" in value for one in seen for _, value in one["headers"])
    for one in ours.values():
        assert one["value"].strip('"') not in text
        assert one["name"] not in text
    assert not [one for one in cookies if one["domain"].startswith(".") and one["name"] != "jupyterhub-session-id"]


TOSS = """domain => {
    for (const path of ["/", "/api/", "/build/", "/hub/", "/api/v1/"]) {
        for (const name of NAMES) {
            document.cookie = `${name}=${VALUE}; domain=${domain}; path=${path}; secure`;
            document.cookie = `${name}=${VALUE}; domain=${domain}; path=${path}`;
        }
    }
}"""
LOGINS = ("repolaunch-login", "repolaunch-build-login", "jupyterhub-hub-login")
PRIVATE = ("/api/v1/me", "/api/v1/projects", "/hub/api/user", "/hub/home", "/hub/token")
READ = """async urls => {
    const found = {};
    for (const url of urls) {
        try { found[url] = await (await fetch(url, {credentials: "include"})).text(); } catch { found[url] = ""; }
    }
    return found;
}"""


async def test_a_session_acts_on_nothing_but_itself(wide: Wide, guest: Person, chrome: Browser, repo: Repo) -> None:
    """A script in one session: reads nothing of the service or of another session, changes nothing, plants no login."""
    async with somebody(wide, chrome, any_certificate=True) as attacker:
        await attacker.open("/api/v1/login?next=/docs/errors")
        theirs = {one["name"]: one["value"] for one in await attacker.context.cookies()}
    page = await guest.open(link(repo))
    project, origin = await arrived(page, wide)
    other_page = await guest.tab()
    before = await ask(guest.context, wide, f"{wide.public}/api/v1/me")
    launches = await ask(guest.context, wide, f"{wide.public}/api/v1/launches")
    assert before[0] == launches[0] == 200

    read: dict[str, str] = await page.evaluate(READ, [wide.public + path for path in PRIVATE])
    assert set(read.values()) == {""}, read
    status = await page.evaluate(
        """async at => {
            const body = '{"url":"git://127.0.0.1:1/stolen.git"}';
            for (const type of ["text/plain", "application/json"]) {
                try { await fetch(`${at}/api/v1/launches`, {method: "POST", credentials: "include", body,
                    headers: {"Content-Type": type}, mode: type === "text/plain" ? "no-cors" : "cors"}); } catch {}
            }
            try { await fetch(`${at}/hub/logout`, {credentials: "include", mode: "no-cors"}); } catch {}
            return true;
        }""",
        wide.public,
    )
    assert status

    # Cookies for the whole domain, with a login that is somebody's: whoever meant harm has one of their own.
    names = [*LOGINS, *(f"__Host-{one}" for one in LOGINS), "_xsrf", *(one for one in theirs if "state" in one)]
    for value in {theirs["__Host-repolaunch-login"], theirs["__Host-jupyterhub-hub-login"], "planted"}:
        script = TOSS.replace("NAMES", json.dumps(names)).replace("VALUE", json.dumps(value.strip('"')))
        await page.evaluate(script, DOMAIN)
    planted = [one for one in await guest.context.cookies(wide.public) if one["domain"] == f".{DOMAIN}"]
    assert {"repolaunch-login", "_xsrf"} <= {one["name"] for one in planted}, "browsers let a name below do this"
    assert not [one for one in planted if one["name"].startswith("__Host-")]

    assert await ask(guest.context, wide, f"{wide.public}/api/v1/me") == before
    assert await ask(guest.context, wide, f"{wide.public}/api/v1/launches") == launches
    await other_page.goto(f"{wide.public}/hub/home")
    await expect(other_page.get_by_text(before[1]["name"]).first).to_be_visible()
    # The hub's forms do not take the planted token.
    status_, _ = await ask(
        guest.context,
        wide,
        f"{wide.public}/hub/api/users/{before[1]['name']}/tokens?_xsrf=planted",
        "POST",
        json={},
        headers={"Origin": origin, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    )
    assert status_ == 403
    # The launcher's own page still works with all these cookies beside its own.
    await other_page.goto(f"{wide.public}/")
    await expect(other_page.get_by_text(project).or_(other_page.get_by_role("heading")).first).to_be_visible()


HARM = """async place => {
    document.body.innerHTML = '<iframe name="sink"></iframe><div id="frames"></div>';
    SCRIPT
    return await attack(place);
}"""


@pytest.mark.long
async def test_a_page_of_one_session_against_another(wide: Wide, guest: Person, git_daemon: GitHost) -> None:
    """All that a page of another site tries, from a session's own origin: this same person has both sessions open."""
    page = await guest.open(link(repository(git_daemon)))
    project, origin = await arrived(page, wide)
    await page.goto("about:blank")  # a page that is open saves its layout meanwhile
    theirs = await guest.tab()
    await theirs.goto(wide.public + link(repository(git_daemon)))
    _, other = await arrived(theirs, wide)
    assert other != origin
    victim = Victim(guest, project, "", "", session=f"{origin}/user/project-{project}/")
    script = HARM.replace("SCRIPT", (PAGES / "attack.js").read_text())
    assert await tried(await victim.kernel_started(), theirs, script) == []
