"""Guests and members with a browser at the real service, and what their cookies tell a session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from playwright.async_api import expect

from tests.fixtures.journey import SLOW, building, lab, link, repository

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.fixtures.journey import Person
    from tests.fixtures.repos import GitHost

pytestmark = [pytest.mark.engine, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

RECORDER = """
import json
from tornado.httputil import HTTPServerRequest

begin = HTTPServerRequest.__init__

def recorded(self, *args, **kwargs):
    begin(self, *args, **kwargs)
    with open("/workspace/work/requests.jsonl", "a") as log:
        log.write(json.dumps({"uri": self.uri, "headers": list(self.headers.get_all())}) + "\\n")

HTTPServerRequest.__init__ = recorded
"""
RECORDING = "COPY --chown=1000:1000 jupyter_server_config.py /home/jovyan/.jupyter/\n"


async def sign_in(page: Page, person: Person, name: str) -> None:
    """Fill in the hub's login page."""
    await page.locator("#username_input").fill(name)
    await page.locator("#password_input").fill((person.service.data / "secrets/shared-password").read_text().strip())
    await page.locator("#login_submit").click()


async def test_a_session_never_sees_the_cookies_of_hub_and_launcher(stranger: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon, RECORDING, **{"jupyter_server_config.py": RECORDER})
    page = await stranger.open(link(repo))
    project = await lab(page)
    cookies = await stranger.context.cookies()
    ours = {cookie["name"]: cookie for cookie in cookies if cookie["name"].startswith("repolaunch-")}
    assert {name: cookie["path"] for name, cookie in ours.items()} == {
        "repolaunch-login": "/api/",
        "repolaunch-build-login": "/build/",
    }, "only the login is left, not the state of the login"
    assert all(cookie["httpOnly"] and cookie["sameSite"] == "Lax" for cookie in ours.values())
    (hub,) = [cookie for cookie in cookies if cookie["name"] == "jupyterhub-hub-login"]
    assert hub["path"] == "/hub/"
    assert hub["httpOnly"]

    text = (stranger.workspace(project) / "requests.jsonl").read_text()
    seen = [json.loads(line) for line in text.splitlines()]
    assert any(f"jupyterhub-user-project-{project}=" in value for one in seen for _, value in one["headers"])
    assert any(name.lower() == "upgrade" for one in seen for name, _ in one["headers"]), "no websocket was seen"
    for cookie in (hub, *ours.values()):
        assert cookie["value"].strip('"') not in text, cookie["name"]
        assert f"{cookie['name']}=" not in text


async def test_a_member_signs_in_by_password(stranger: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon)
    page = await stranger.open(f"/api/v1/login?as=member&next={quote(link(repo), safe='')}")
    await sign_in(page, stranger, "ada")
    await expect(page.get_by_text("Signed in as ada.")).to_be_visible()
    assert page.url == stranger.service.base_url + link(repo)
    await lab(page)
    assert stranger.token_shown == []


async def test_a_guest_becomes_a_member_in_mid_build(stranger: Person, git_daemon: GitHost) -> None:
    repo = repository(git_daemon, SLOW)
    page = await stranger.open(link(repo))
    await building(page)
    await page.get_by_role("link", name="Sign in").click()
    await sign_in(page, stranger, "grace")
    await expect(page.get_by_text("Signed in as grace.")).to_be_visible()
    project = await lab(page)
    _, mine = await stranger.api("GET", "/api/v1/projects")
    assert [one["id"] for one in mine] == [project]
