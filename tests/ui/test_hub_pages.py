"""The hub's pages that people meet, with the built styles: usable by everybody, and a picture to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from playwright.async_api import expect

from tests.ui.conftest import SCREENSHOTS, Visitor, axe_violations, overflow
from tests.ui.test_states import picture
from tests.unit.test_hub_pages import LINK, NAMES, page

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Route

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LOOKS: tuple[tuple[int, Literal["light", "dark"], str], ...] = ((1440, "light", "en"), (360, "dark", "fr"))
WRONG = {"login_error": "Invalid username or password", "username": "ada", "unguarded": True, "way_back": LINK}
MORE: dict[str, dict[str, object]] = {"login.html": WRONG, "error.html": {"message": "A guest comes by a page."}}


@pytest.mark.parametrize("width,scheme,language", LOOKS)
@pytest.mark.parametrize("name", NAMES)
async def test_state(
    visitor: Visitor,
    dist: Path,
    name: str,
    width: int,
    scheme: Literal["light", "dark"],
    language: str,
) -> None:
    (sheet,) = (dist / "assets").glob("*.css")
    html = page(name, language, **MORE.get(name, {}))

    async def answer(route: Route) -> None:
        is_style = route.request.url.endswith("/static/style.css")
        await route.fulfill(
            content_type="text/css" if is_style else "text/html", body=sheet.read_text() if is_style else html
        )

    for pattern in ("**/hub/x", "**/static/style.css"):
        await visitor.page.route(pattern, answer)
    await visitor.page.set_viewport_size({"width": width, "height": 780})
    await visitor.page.emulate_media(color_scheme=scheme)
    shown = await visitor.go("/hub/x")
    await expect(shown.get_by_role("heading", level=1)).to_be_visible()
    assert await axe_violations(shown) == []
    assert await overflow(shown) <= 0
    await picture(shown, SCREENSHOTS / f"hub-{name.removesuffix('.html')}-{width}-{scheme}.png")


async def test_a_server_that_starts_opens_by_itself(visitor: Visitor) -> None:
    """The hub answers with the same page until it leads to the server."""
    shown = {"body": page("spawn_pending.html")}

    async def answer(route: Route) -> None:
        await route.fulfill(content_type="text/html", body=shown["body"])

    await visitor.page.route("**/hub/x", answer)
    opened = await visitor.go("/hub/x")
    await opened.evaluate("() => { window.same = true }")
    async with opened.expect_response("**/hub/x"):
        pass
    assert await opened.evaluate("() => window.same"), "who reads is not disturbed meanwhile"
    shown["body"] = page("not_running.html", failed=True, failed_message="There is no room.")
    await expect(opened.get_by_role("heading", level=1)).to_have_text("This server could not be started")
