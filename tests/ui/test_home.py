"""The home page: the launcher reads the address, the page shows what it made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

if TYPE_CHECKING:
    from tests.ui.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_badge_of_an_address(visitor: Visitor) -> None:
    page = await visitor.go("/")
    await page.get_by_label("Repository address").fill("https://github.com/example/lecture")
    await page.get_by_label("Branch, tag or commit").fill("v1")
    await page.get_by_role("button", name="Get a link and a badge").click()
    link = f"{visitor.address}/v2/gh/example/lecture/v1"
    await expect(page.get_by_label("Link", exact=True)).to_have_value(link)
    await expect(page.get_by_label("Badge for a README")).to_have_value(
        f"[![Launch with repolaunch]({visitor.address}/badge_logo.svg)]({link})"
    )


@pytest.mark.parametrize(
    "address,sentence",
    [("", "Write the address of a repository first."), ("ext::sh", "not the address of a repository")],
)
async def test_what_is_no_address_is_explained(visitor: Visitor, address: str, sentence: str) -> None:
    page = await visitor.go("/")
    field = page.get_by_label("Repository address")
    await field.fill(address)
    await page.get_by_role("button", name="Launch", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text(sentence)
    await expect(field).to_have_attribute("aria-invalid", "true")
    await field.fill("https://github.com/example/lecture")
    await expect(page.get_by_role("alert")).to_have_count(0)
