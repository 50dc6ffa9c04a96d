"""One's credentials for private repositories, against the launcher's own handlers, keyring and security policy."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import expect
from tornado.web import create_signed_value

from launcher.credentials.oauth import KINDS, Application, OAuth
from launcher.errors import RepositoryMissing
from launcher.store.database import Database
from launcher.store.logs import EventLogs
from tests.fakes.web import ADA
from tests.fixtures.web import SECRET, made, served
from tests.ui.conftest import SCREENSHOTS, Visitor, axe_violations, overflow
from tests.ui.test_keyboard import tab_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from playwright.async_api import Browser

    from launcher.credentials.keyring import Keyring
    from tests.fixtures.web import Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PAGE = "/credentials"
LINK = "/v2/git/https%3A%2F%2Fgit.example.org%2Flab%2Fnotes/main"
FROM_LAUNCH = f"{PAGE}?repository=https://git.example.org/lab/notes&next={quote(LINK, safe='')}"


@pytest_asyncio.fixture(loop_scope="session")
async def site(dist: Path, sqlite_url: str, tick: Callable[[], float]) -> AsyncIterator[Site]:
    """The launcher's web with the built pages, and with an application at one git host."""
    database = Database(sqlite_url)
    logs = EventLogs(database, tick)
    async with made(database, logs) as bare, served(bare, replace(bare.web, dist=dist)) as one:
        keyring(one).oauth = OAuth({"https://forge.example.org": Application(KINDS["gitlab"], "id", "s")}, lambda: 0.0)
        yield one
    await logs.close()
    await database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def ada(browser: Browser, site: Site) -> AsyncIterator[Visitor]:
    """Somebody who has signed in; whatever the test does, no page breaks its content security policy."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    person = Visitor(context, await context.new_page(), site.base)
    person.watch(person.page)
    await signed_in(person, "ada-token")
    yield person
    await context.close()
    assert person.policy_breaches == []


async def signed_in(person: Visitor, token: str) -> None:
    name = "repolaunch-login"
    value = create_signed_value(SECRET.hex(), name, token).decode()
    await person.context.add_cookies([{"name": name, "value": value, "url": f"{person.address}/api/"}])


def keyring(site: Site) -> Keyring:
    return cast("Keyring", site.web.credentials)


async def places(site: Site) -> list[str]:
    return [one.place for one in await keyring(site).list("ada")]


async def test_a_token_is_kept_by_keyboard_and_never_shown(ada: Visitor, site: Site) -> None:
    token = f"tok-{secrets.token_hex(8)}"
    answers: list[str] = []
    ada.page.on("response", lambda answer: answers.append(answer.url))
    page = await ada.go(PAGE)
    await expect(page.get_by_text("Nothing yet.")).to_be_visible()
    await tab_to(page, "Git host")
    await page.keyboard.type("git.example.org")
    await tab_to(page, "Token")
    await expect(page.get_by_text("It is sent to git.example.org alone, over https.")).to_be_visible()
    await page.keyboard.type(token)
    await page.keyboard.press("Enter")
    told = page.get_by_role("heading", name="Kept: launches of yours now open git.example.org with it")
    await expect(told).to_be_focused()
    assert await places(site) == ["https://git.example.org"]
    assert (await keyring(site).list("ada"))[0].username == "oauth2"
    await expect(page.get_by_label("Token", exact=True)).to_have_value("")
    assert token not in await page.content()
    page = await ada.go(PAGE)
    one = page.locator("[data-credential]")
    await expect(one).to_contain_text("git.example.org")
    await expect(one).to_contain_text("added")
    await expect(one).to_contain_text("not used yet")
    assert token not in await page.content()
    assert [address for address in answers if token in address] == []


async def test_removed_at_once_by_keyboard(ada: Visitor, site: Site) -> None:
    for host in ("git.example.org", "other.example.org"):
        await keyring(site).keep_token("ada", host, "me", "tok")
    page = await ada.go(PAGE)
    await tab_to(page, "Remove what opens git.example.org")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-credential]")).to_have_count(1)
    assert await places(site) == ["https://other.example.org"]
    await expect(page.get_by_role("heading", name="What you keep")).to_be_focused()
    await expect(page.get_by_text("Removed: nothing is fetched from git.example.org")).to_be_attached()
    # What another tab has removed is no error, what nobody hears is one.
    (left,) = await keyring(site).list("ada")
    await keyring(site).remove("ada", left.id)
    await page.get_by_role("button", name="Remove what opens other.example.org").click()
    await expect(page.get_by_text("Nothing yet.")).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_removal_that_nobody_hears_is_told(ada: Visitor, site: Site) -> None:
    await keyring(site).keep_token("ada", "git.example.org", "me", "tok")
    page = await ada.go(PAGE)
    button = page.get_by_role("button", name="Remove what opens git.example.org")
    await expect(button).to_be_visible()
    await ada.context.set_offline(offline=True)
    await button.click()
    told = "What opens git.example.org could not be removed: The service did not answer. Are you connected?"
    await expect(page.get_by_role("alert")).to_have_text(told)
    await expect(button).to_be_visible()


async def test_of_a_deploy_key_the_public_half_is_there_to_be_copied(ada: Visitor, site: Site) -> None:
    await ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await ada.go(f"{PAGE}?repository=https://github.com/lab/notes")
    await page.get_by_role("radio", name="A deploy key").check()
    field = page.get_by_label("Address of the repository for ssh")
    await expect(field).to_have_value("git@github.com:lab/notes.git")
    await page.get_by_role("button", name="Make the key").click()
    told = page.get_by_role("region", name="The key for git@github.com:lab/notes.git is made")
    await expect(told).to_be_visible()
    (kept,) = await keyring(site).list("ada")
    await expect(told.locator(".code")).to_have_text(kept.public)
    await told.get_by_role("button", name="Copy the public half").click()
    await expect(told.get_by_role("button", name="Copy the public half")).to_have_text("Copied")
    assert await page.evaluate("() => navigator.clipboard.readText()") == kept.public
    keys = told.get_by_role("link", name="Deploy keys of the repository")
    await expect(keys).to_have_attribute("href", "https://github.com/lab/notes/settings/keys/new")


@pytest.mark.parametrize(
    "field,typed,seen",
    [
        ("Git host", "git.example.org/lab", "Give the name of a git host"),
        ("User name there", "a:b", "Give a user name that git can send"),
        ("Token", "", "Paste the token as the host showed it"),
    ],
)
async def test_what_cannot_be_kept_says_why_at_its_field(ada: Visitor, field: str, typed: str, seen: str) -> None:
    page = await ada.go(f"{PAGE}?repository=https://git.example.org/lab/notes")
    await page.get_by_label("Token", exact=True).fill("tok")
    wrong = page.get_by_label(field, exact=True)
    await wrong.fill(typed)
    await page.get_by_role("button", name="Keep the token").click()
    await expect(page.get_by_role("alert")).to_contain_text(seen)
    await expect(wrong).to_be_focused()
    await expect(wrong).to_have_attribute("aria-invalid", "true")
    await wrong.fill("git.example.org")
    await expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize(
    "token,told", [("guest-token", "You are a guest."), ("nobodys", "for people who have signed in")]
)
async def test_who_has_not_signed_in_is_told_to_and_comes_back(ada: Visitor, token: str, told: str) -> None:
    await signed_in(ada, token)
    page = await ada.go(FROM_LAUNCH)
    await expect(page.locator(".banner")).to_contain_text(told)
    await expect(page.locator("form")).to_have_count(0)
    way = await page.locator("main").get_by_role("link", name="Sign in").get_attribute("href")
    asked = parse_qs(urlsplit(way or "").query)
    assert asked == {"as": ["member"], "next": [FROM_LAUNCH]}


async def test_from_a_launch_that_was_refused_and_back_to_it(ada: Visitor, site: Site) -> None:
    site.script.outcome = RepositoryMissing("https://git.example.org/lab/notes")
    site.script.gate.set()
    page = await ada.go(LINK)
    await page.get_by_role("link", name="Open a private repository").click()
    await expect(page.get_by_text("For your launch of git.example.org/lab/notes.")).to_be_visible()
    await expect(page.get_by_label("Git host")).to_have_value("git.example.org")
    await expect(page.get_by_role("link", name="Back to the launch")).to_have_attribute("href", site.base + LINK)
    await page.get_by_label("Token", exact=True).fill("tok-1")
    await page.get_by_role("button", name="Keep the token").click()
    site.script.gate.clear()
    await page.get_by_role("link", name="Launch it now").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Launching")
    assert page.url == site.base + LINK
    assert len(site.script.asked) == 2


@pytest.mark.parametrize(
    "next_page",
    ["https://elsewhere.example/v2/gh/a/b/c", "javascript:alert(1)", "//e.example/v2/a", "/user/project-a/lab"],
)
async def test_it_leads_back_to_launches_of_this_site_alone(ada: Visitor, next_page: str) -> None:
    page = await ada.go(f"{PAGE}?repository=%3Cb%3Ex&next={quote(next_page, safe='')}")
    await expect(page.get_by_role("button", name="Keep the token")).to_be_visible()
    await expect(page.get_by_role("link", name="Back to the launch")).to_have_count(0)


async def test_a_host_with_an_application_gives_a_token_itself(ada: Visitor) -> None:
    page = await ada.go(FROM_LAUNCH)
    way = page.get_by_role("link", name="Connect forge.example.org")
    await expect(page.get_by_role("button", name="Keep the token")).to_be_visible()
    await expect(way).to_have_count(0)  # another host's is of no use
    await page.get_by_label("Git host").fill("forge.example.org")
    await expect(way).to_have_attribute("href", f"/api/v1/connect?host=forge.example.org&next={quote(LINK, safe='')}")


async def test_a_page_that_was_open_for_long_still_keeps_one(ada: Visitor, site: Site) -> None:
    """The form token is the login's own: it ends with it."""
    page = await ada.go(f"{PAGE}?repository=https://git.example.org/lab/notes")
    await page.get_by_label("Token", exact=True).fill("tok")
    site.hub.people["newer-token"] = ADA
    await signed_in(ada, "newer-token")
    await page.get_by_role("button", name="Keep the token").click()
    await expect(page.get_by_role("heading", name="Kept:")).to_be_visible()


LOOKS: tuple[tuple[int, Literal["light", "dark"], str], ...] = ((1440, "light", "en"), (360, "dark", "fr"))


@pytest.mark.parametrize("width,scheme,language", LOOKS)
@pytest.mark.parametrize("state", ["guest", "kept", "made", "refused"])
async def test_state(
    ada: Visitor, site: Site, state: str, width: int, scheme: Literal["light", "dark"], language: str
) -> None:
    await ada.page.set_viewport_size({"width": width, "height": 900})
    await ada.page.emulate_media(color_scheme=scheme)
    await ada.context.set_extra_http_headers({"Accept-Language": language})
    if state == "guest":
        await signed_in(ada, "guest-token")
    else:
        await keyring(site).keep_token("ada", "a-git-host-with-a-long-name.department.example.org:8443", "ada", "tok")
        await keyring(site).keep_key("ada", "git@git.example.org:lab/notes.git")
    page = await ada.go(PAGE if state == "kept" else FROM_LAUNCH)
    await expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    if state == "made":
        await page.locator("label", has=page.locator("input[value=ssh-key]")).click()
    if state in {"made", "refused"}:
        await page.locator("form .button.primary").click()
        await expect(page.locator("#new-title, #problem")).to_be_visible()
    assert await axe_violations(page) == []
    assert await overflow(page) <= 0
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"credentials-{state}-{width}-{scheme}.png", full_page=True)
