"""The home page: what is pasted is recognised while it is typed, and becomes links and badges."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from launcher.web.texts import COOKIE
from tests.ui.conftest import axe_violations, overflow
from tests.ui.scenarios import COMMIT

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.ui.conftest import Visitor
    from tests.ui.scenario_server import ScenarioServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LECTURE = "https://github.com/example/lecture/blob/main/notes/a.ipynb"


async def pasted(visitor: Visitor, text: str) -> Page:
    page = await visitor.go("/")
    await page.get_by_label("Repository, DOI or link").fill(text)
    return page


async def found(page: Page) -> None:
    await expect(page.locator(".recognised")).to_have_attribute("data-state", "found")


async def test_a_page_with_a_file_is_recognised_and_launched(visitor: Visitor) -> None:
    page = await pasted(visitor, LECTURE)
    await found(page)
    for part in ("GitHub", "github.com/example/lecture", "main", COMMIT[:10], "notes/a.ipynb"):
        await expect(page.locator(".recognised")).to_contain_text(part)
    await page.get_by_role("button", name="Launch", exact=True).click()
    await page.wait_for_url("**/v2/gh/example/lecture/main?labpath=notes/a.ipynb")


async def test_every_form_can_be_copied(visitor: Visitor) -> None:
    await visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await pasted(visitor, LECTURE)
    await found(page)
    link = f"{visitor.address}/v2/gh/example/lecture/main?labpath=notes/a.ipynb"
    for form in ("Link", "Markdown", "reStructuredText", "HTML", "LaTeX", "Org"):
        await page.get_by_role("radio", name=form, exact=True).check(force=True)
        await page.get_by_role("button", name="Copy", exact=True).click()
        await expect(page.get_by_text("Copied", exact=True).first).to_be_attached()
        copied = str(await page.evaluate("() => navigator.clipboard.readText()"))
        assert link in copied
        assert copied == await page.locator(".copied-text .code").text_content()
        await expect(page.get_by_role("button", name="Copy", exact=True)).to_be_visible()


async def test_a_qr_code_is_shown_and_can_be_copied_and_saved(visitor: Visitor) -> None:
    await visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await pasted(visitor, LECTURE)
    await found(page)
    await page.get_by_role("radio", name="QR code").check(force=True)
    code = page.get_by_role("img", name="QR code of the launch link")
    await page.wait_for_function("() => document.querySelector('.qr')?.naturalWidth > 0")
    assert await code.evaluate("code => code.complete")
    await page.get_by_role("button", name="Copy as a picture").click()
    await expect(page.get_by_text("Copied", exact=True).first).to_be_attached()
    async with page.expect_download() as download:
        await page.get_by_role("link", name="PNG").click()
    assert (await download.value).suggested_filename == "repolaunch.png"
    assert await axe_violations(page) == []
    assert await overflow(page) <= 0


async def test_pinned_with_one_click_and_launched_so(visitor: Visitor) -> None:
    page = await pasted(visitor, LECTURE)
    await expect(page.get_by_text("This link follows the branch main: what it opens changes with it.")).to_be_visible()
    await page.get_by_role("button", name=f"Pin to {COMMIT[:10]}").click()
    await expect(page.get_by_text("this link always opens the same")).to_be_visible()
    await expect(page.locator(".copied-text .code")).to_contain_text(f"/v2/gh/example/lecture/{COMMIT}?labpath=")
    await page.get_by_role("button", name="Launch", exact=True).click()
    await page.wait_for_url(f"**/v2/gh/example/lecture/{COMMIT}?labpath=notes/a.ipynb")


@pytest.mark.parametrize(
    "text,warning",
    [
        (f"example/lecture@{COMMIT}", None),
        (f"swh:1:dir:{COMMIT}", None),
        ("example/lecture@v1", "This link names the tag v1. Tags can be moved, commits cannot."),
        ("10.5281/zenodo.3242074", "This link follows the newest version of the record."),
        ("10.5281/zenodo.3242075", None),
    ],
)
async def test_what_cannot_move_has_no_warning(visitor: Visitor, text: str, warning: str | None) -> None:
    page = await pasted(visitor, text)
    await found(page)
    if warning is None:
        await expect(page.locator(".moves")).to_have_count(0)
    else:
        await expect(page.locator(".moves")).to_contain_text(warning)


async def test_a_badge_of_another_hub_with_its_lines(visitor: Visitor) -> None:
    page = await visitor.go("/")
    field = page.get_by_label("Repository, DOI or link")
    await field.evaluate(
        """field => { const data = new DataTransfer();
            data.setData("text/plain", ".. image:: https://mybinder.org/badge_logo.svg\\n"
                + ":target: https://mybinder.org/v2/gh/example/lecture/main?labpath=b.ipynb");
            field.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, cancelable: true })); }"""
    )
    await found(page)
    await expect(page.locator(".copied-text .code")).to_have_text(
        f"{visitor.address}/v2/gh/example/lecture/main?labpath=b.ipynb"
    )


async def test_what_is_asked_for_besides(visitor: Visitor) -> None:
    page = await pasted(visitor, "example/lecture")
    await page.get_by_label("Branch, tag or commit").fill("v1")
    await page.get_by_label("File to open").fill("b.ipynb")
    code = page.locator(".copied-text .code")
    await expect(code).to_have_text(f"{visitor.address}/v2/gh/example/lecture/v1?labpath=b.ipynb")
    await page.get_by_label("Where it opens").select_option("in the classic notebook")
    await expect(code).to_have_text(f"{visitor.address}/v2/gh/example/lecture/v1?urlpath=tree/b.ipynb")
    await page.get_by_label("Where it opens").select_option("at an address")
    await page.get_by_label("Address in the session").fill("rstudio/")
    await expect(code).to_have_text(f"{visitor.address}/v2/gh/example/lecture/v1?urlpath=rstudio/")


async def test_nonsense_is_a_sentence_while_it_is_typed(visitor: Visitor, played: ScenarioServer) -> None:
    page = await pasted(visitor, "hello world")
    await expect(page.locator("#problem")).to_contain_text("The address is “hello world”: it holds a space.")
    field = page.get_by_label("Repository, DOI or link")
    await expect(field).to_have_attribute("aria-invalid", "true")
    assert await axe_violations(page) == []
    await field.fill(LECTURE)
    await expect(page.locator("#problem")).to_have_count(0)
    assert played.count("GET", "/api/v1/links/found?url=hello") == 0


async def test_a_repository_that_is_not_there_is_told_before_it_is_launched(visitor: Visitor) -> None:
    page = await pasted(visitor, "example/nonsense")
    await expect(page.locator("#problem")).to_contain_text("There is no such repository")
    await expect(page.get_by_text("Share it")).to_have_count(0)


async def test_launching_nothing_is_told(visitor: Visitor) -> None:
    page = await visitor.go("/")
    await page.get_by_role("button", name="Launch", exact=True).click()
    await expect(page.get_by_role("alert")).to_have_text("Paste the address of a repository first.")
    await expect(page.get_by_label("Repository, DOI or link")).to_be_focused()


async def test_a_slow_host_keeps_nobody_from_launching(visitor: Visitor, played: ScenarioServer) -> None:
    played.host.slow = asyncio.Event()
    page = await pasted(visitor, LECTURE)
    await expect(page.get_by_text("asking what it leads to now …")).to_be_visible()
    await expect(page.locator(".copied-text .code")).to_contain_text("/v2/gh/example/lecture/main")
    await page.get_by_role("button", name="Launch", exact=True).click()
    await page.wait_for_url("**/v2/gh/example/lecture/main?labpath=notes/a.ipynb")
    played.host.slow.set()


async def test_who_presses_enter_at_once_is_taken_there(visitor: Visitor) -> None:
    page = await pasted(visitor, "example/waiting")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/v2/gh/example/waiting/HEAD")


async def test_in_french_and_remembered(visitor: Visitor) -> None:
    page = await visitor.go("/")
    await page.get_by_role("link", name="Français").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Lancer un dépôt")
    await expect(page.locator("html")).to_have_attribute("lang", "fr")
    await visitor.go("/v2/gh/example/building/main")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Lancement en cours")
    await expect(page.locator(".log-count")).to_contain_text("lignes")
    assert await axe_violations(page) == []


@pytest.mark.parametrize(
    "kind,language,link,button",
    [
        ("member", "en", "Sign out", "Sign out"),
        ("guest", "en", "Forget me here", "Forget me, and give up my files"),
        ("guest", "fr", "M’oublier ici", "M’oublier, et renoncer à mes fichiers"),
    ],
)
async def test_who_is_here_signs_out_by_the_keyboard_on_a_phone(
    visitor: Visitor, played: ScenarioServer, kind: str, language: str, link: str, button: str
) -> None:
    played.faults.kind = kind
    await visitor.page.set_viewport_size({"width": 360, "height": 780})
    await visitor.context.add_cookies([{"name": COOKIE, "value": language, "url": visitor.address}])
    page = await visitor.go("/")
    out = page.get_by_role("link", name=link)
    await expect(out).to_be_visible()
    assert await overflow(page) <= 0
    assert await axe_violations(page) == []
    await out.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name=button)).to_be_visible()
    assert await overflow(page) <= 0
    assert await axe_violations(page) == []
