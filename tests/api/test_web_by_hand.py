"""Without a script: a form, a link, a launch, a state, a refresh."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from yarl import URL

from launcher.errors import BuildFailed
from launcher.events import Ended, Queued, Stage, Started
from launcher.model import Account, Image, Kind, RepoRef
from tests.fakes.web import FACTS

if TYPE_CHECKING:
    from tests.fixtures.web import Site

HTML = {"Accept": "text/html"}
LINK = "provider=gh&spec=ada%2Fnice%2Fmain&urlpath=lab%2Ftree%2Fa%26b.ipynb"


async def get(site: Site, path: str, status: int = 200, who: dict[str, str] | None = None) -> tuple[str, str]:
    """What is said at `path`, and where it leads."""
    address = URL(site.base + path, encoded=True)
    async with site.client.get(address, headers=HTML | (who or {}), allow_redirects=False) as answer:
        text = await answer.text()
        assert answer.status == status, text
        return text, answer.headers.get("Location", "")


def fields(html: str) -> dict[str, str]:
    """The hidden fields of the page's form."""
    return {
        name: unescape(value) for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html)
    }


async def sent(site: Site, form: dict[str, str], status: int, headers: dict[str, str] | None = None) -> tuple[str, str]:
    """What is said to who presses the button, and where it leads."""
    who = HTML | (site.cookie() if headers is None else headers)
    async with site.client.post(f"{site.base}/api/v1/start", data=form, headers=who, allow_redirects=False) as answer:
        text = await answer.text()
        assert answer.status == status, text
        return text, answer.headers.get("Location", "")


# ---- the home page's form
@pytest.mark.parametrize(
    "query, target",
    [
        ("url=https%3A%2F%2Fgithub.com%2Fada%2Fnice", "/v2/gh/ada/nice/HEAD"),
        ("url=github.com/ada/nice&ref=v1&labpath=a%20b.ipynb", "/v2/gh/ada/nice/v1?labpath=a%20b.ipynb"),
        ("url=10.5281%2Fzenodo.3242074&ref=&labpath=", "/v2/zenodo/10.5281/zenodo.3242074"),
        ("url=%20", "/"),
        ("", "/"),
    ],
)
async def test_what_was_pasted_leads_to_its_launch_link(built: Site, query: str, target: str) -> None:
    assert await get(built, f"/launch?{query}", 302) == ("", target)
    assert built.script.asked == []


async def test_what_is_no_link_is_told_with_what_was_pasted(built: Site) -> None:
    html, _ = await get(built, "/launch?url=hello%20%22%3E&ref=v1", 400)
    assert "This is not the address of a repository" in html
    assert 'value="hello &#34;&gt;"' in html
    assert 'value="v1"' in html
    (form,) = re.findall(r"<noscript>.*?</noscript>", html, re.DOTALL)
    assert '<button class="button primary" formaction="/launch">' in form


# ---- the launch page
async def test_a_launch_page_tells_how_its_link_stands_and_starts_nothing(built: Site) -> None:
    path = "/v2/gh/ada/nice/main"
    html, _ = await get(built, f"{path}?urlpath=lab/tree/a%26b.ipynb")
    assert "It has not been launched here yet." in html
    assert f'href="/api/v1/start?{LINK.replace("&", "&amp;")}"' in html
    assert 'http-equiv="refresh"' not in html
    ref = RepoRef("gh", "ada/nice/main", "https://github.com/ada/nice", "main")
    built.script.events = [Ended(Stage.RESOLVE, "", 0.1)]
    built.script.outcome = Image("k" * 64, FACTS, None)
    launch = await built.web.launches.start(Account("", Kind.ANONYMOUS), ref, build_only=True)
    html, _ = await get(built, path)
    assert "It is being launched just now: this page looks again every 10 seconds." in html
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in html
    built.script.gate.set()
    await built.ended(launch.id)
    html, _ = await get(built, path)
    assert "Its last launch here went well." in html
    built.script.outcome = BuildFailed("repo2docker", "RUN make", ("no rule",), 1)
    await built.ended((await built.web.launches.start(Account("", Kind.ANONYMOUS), ref, build_only=True)).id)
    assert "Its last launch here failed." in (await get(built, path))[0]
    assert len(built.script.asked) == 2


async def test_a_link_that_cannot_be_one_offers_no_launch(built: Site) -> None:
    html, _ = await get(built, "/v2/gh/only", 400)
    assert "/api/v1/start" not in html


# ---- the button
async def test_a_button_begins_a_launch_and_its_page_follows_it_to_the_session(site: Site) -> None:
    html, _ = await get(site, f"/api/v1/start?{LINK}", who=site.cookie())
    assert site.script.asked == []
    assert "<script" not in html
    form = fields(html)
    assert form | {"_xsrf": ""} == dict(parse_qsl(LINK)) | {"_xsrf": ""}
    site.script.events = [
        Started(Stage.QUEUE, "Waiting for a place"),
        Queued(Stage.QUEUE, "You are number 3", 3, 2, "sessions"),
    ]
    _, page = await sent(site, form, 303)
    launch = page.removeprefix("/launches/")
    told = await site.launches.log(launch)
    async with asyncio.timeout(10):
        while told.shown < len(site.script.events):  # nothing to wait on
            await asyncio.sleep(0.01)
    (asked,) = site.script.asked
    assert (asked.id, asked.account.name, asked.urlpath) == (launch, "ada", "lab/tree/a&b.ipynb")
    _, where = await get(site, page, 302)
    html, _ = await get(site, where, who=site.cookie())
    assert '<meta http-equiv="refresh" content="5">' in html
    assert "You are number 3" in html
    assert "Open the session" not in html
    site.script.gate.set()
    await site.ended(launch)
    await site.launches._logs.flush()
    html, _ = await get(site, where, who=site.cookie())
    session = '<a class="button primary" href="/user/project-aaaaaaaaaa/lab/tree/a&amp;b.ipynb">Open the session</a>'
    assert session in html
    assert 'http-equiv="refresh"' not in html


async def test_a_button_cancels_a_launch_for_whom_it_is_and_nobody_else(site: Site) -> None:
    launch = str((await site.launch())["id"])
    page, cancel = f"/api/v1/launches/{launch}/page", f"{site.base}/api/v1/launches/{launch}/cancel"
    html, _ = await get(site, page, who=site.cookie())
    form = fields(html)
    assert f'<form action="/api/v1/launches/{launch}/cancel" method="post">' in html
    for who, sent_form, status in (
        (site.cookie(), {}, 403),
        (site.cookie(), {"_xsrf": "0" * 32}, 403),
        (site.cookie() | {"Sec-Fetch-Site": "cross-site"}, form, 401),
        (site.headers("bob-token"), {}, 404),
        ({}, form, 401),
    ):
        async with site.client.post(cancel, data=sent_form, headers=HTML | who, allow_redirects=False) as answer:
            assert answer.status == status
    assert (await site.launches.get(launch)).ended is None
    async with site.client.post(cancel, data=form, headers=HTML | site.cookie(), allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, f"/launches/{launch}")
    await site.ended(launch)
    await site.launches._logs.flush()
    html, _ = await get(site, page, who=site.cookie())
    assert "This launch was cancelled" in html
    assert "/cancel" not in html


async def test_a_page_of_an_image_or_of_somebody_elses_leads_to_no_session(site: Site) -> None:
    site.script.gate.set()
    for who in (site.headers(), site.headers("operator-secret")):
        launch = str((await site.launch())["id"])
        await site.ended(launch)
        await site.launches._logs.flush()
        html, _ = await get(site, f"/api/v1/launches/{launch}/page", who=who)
        assert ("Open the session" in html) is (who == site.headers())
    site.script.outcome = Image("k" * 64, FACTS, None)
    made = await site.json(
        "POST",
        "/api/v1/launches",
        status=201,
        json={"provider": "gh", "spec": "ada/nice/main", "build_only": True},
        headers=site.headers(),
    )
    await site.ended(made["id"])
    await site.launches._logs.flush()
    html, _ = await get(site, f"/api/v1/launches/{made['id']}/page", who=site.headers())
    assert "Open the session" not in html


async def test_who_is_unknown_is_led_to_the_login_and_back(site: Site) -> None:
    _, where = await get(site, f"/api/v1/start?{LINK}", 302)
    assert dict(parse_qsl(URL(where, encoded=True).raw_query_string))["next"] == f"/api/v1/start?{LINK}"
    html, _ = await sent(site, dict(parse_qsl(LINK)), 401, {})
    assert "/api/v1/login" in html


@pytest.mark.parametrize("token", ["", "0" * 32, "é", None])
async def test_the_button_of_another_sites_page_begins_nothing(site: Site, token: str | None) -> None:
    form = dict(parse_qsl(LINK)) | ({} if token is None else {"_xsrf": token})
    await sent(site, form, 403)
    good = fields((await get(site, f"/api/v1/start?{LINK}", who=site.cookie()))[0])
    await sent(site, good, 401, site.cookie() | {"Sec-Fetch-Site": "cross-site"})
    await sent(site, good, 403, site.cookie("bob-token"))
    assert site.script.asked == []


@pytest.mark.parametrize(
    "query, status, said",
    [
        ("provider=svn&spec=a", 404, "Unknown provider"),
        ("", 404, "Unknown provider"),
        ("provider=gh&spec=only", 400, "The link does not have the form of its provider"),
        ("provider=gh&spec=a%2Fb%2Fmain&urlpath=..%2F..%2Fhub%2F", 400, "The request cannot be understood"),
    ],
)
async def test_a_link_that_is_none_is_refused_in_both_ways(site: Site, query: str, status: int, said: str) -> None:
    html, _ = await get(site, f"/api/v1/start?{query}", status, who=site.cookie())
    assert said in html
    good = fields((await get(site, f"/api/v1/start?{LINK}", who=site.cookie()))[0])
    wrong: dict[str, Any] = dict(parse_qsl(query)) | {"_xsrf": good["_xsrf"]}
    assert said in (await sent(site, wrong, status))[0]
    assert site.script.asked == []
