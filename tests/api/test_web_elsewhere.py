"""Badges, old redirects and oEmbed: what pages of others hold of ours."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.robotparser import RobotFileParser
from xml.etree import ElementTree as ET

import pytest
from yarl import URL

from launcher.errors import RefMissing
from launcher.events import Ended, Log, Ready, Stage, State
from launcher.model import Account, Image, Kind, RepoRef
from launcher.standings import Standing, Standings
from launcher.store.launches import Ended as Ended_
from launcher.web import state_badge
from tests.fakes.web import FACTS, a_project
from tests.fixtures.web import served

if TYPE_CHECKING:
    from tests.fixtures.web import Site

SPEC = "ada/nice/main"
BADGE = f"/badge/state/gh/{SPEC}.svg"
PICTURES = {
    "/badge.svg": "image/svg+xml",
    "/badge_logo.svg": "image/svg+xml",
    "/assets/images/badge.svg": "image/svg+xml",
    "/logo_social.png": "image/png",
    "/favicon.ico": "image/vnd.microsoft.icon",
    "/favicon_building.ico": "image/vnd.microsoft.icon",
    "/favicon_success.ico": "image/vnd.microsoft.icon",
    "/favicon_fail.ico": "image/vnd.microsoft.icon",
}


@pytest.mark.parametrize("path, kind", PICTURES.items())
async def test_pictures_are_kept_long_and_shown_anywhere(site: Site, path: str, kind: str) -> None:
    async with site.client.get(site.base + path) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
        assert answer.headers["Cache-Control"] == "public, max-age=2592000"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        etag, size = answer.headers["ETag"], len(await answer.read())
    async with site.client.get(site.base + path, headers={"If-None-Match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with site.client.head(site.base + path, headers={"Accept-Encoding": "identity"}) as answer:
        assert (answer.status, int(answer.headers["Content-Length"])) == (200, size)


# ---- the badge that tells the state
async def shown(site: Site, path: str = BADGE) -> str:
    """What it says."""
    async with site.client.get(URL(site.base + path, encoded=True)) as answer:
        text = await answer.text()
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/svg+xml"), text
        assert answer.headers["Cache-Control"] == "public, max-age=60, must-revalidate"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    says = ET.fromstring(text).get("aria-label") or ""  # noqa: S314  # our own
    return says.removeprefix("repolaunch: ")


@pytest.mark.parametrize(
    "pinning, word",
    [("reproducible", "reproducible"), ("locked", "locked"), ("not-pinned", "not pinned"), ("", "ready")],
)
async def test_a_badge_tells_how_a_launch_stands_and_starts_none(site: Site, pinning: str, word: str) -> None:
    assert await shown(site) == "unknown"
    assert site.script.asked == []
    site.script.events = [Log(Stage.BUILD, "Step 1")]
    site.script.outcome = Image("k" * 64, FACTS, None, pinning=pinning)
    launch = await site.web.launches.start(Account("", Kind.ANONYMOUS), ref(), build_only=True)
    assert await shown(site) == "building"
    site.script.gate.set()
    await site.ended(launch.id)
    assert await shown(site) == word
    assert await shown(site, "/badge/state/gh/ada/other/main.svg") == "unknown"
    assert len(site.script.asked) == 1


async def test_a_badge_of_what_failed_says_so_until_it_is_built(site: Site) -> None:
    site.script.outcome = RefMissing("https://github.com/ada/nice", "main")
    site.script.gate.set()
    await site.ended((await site.launch(SPEC))["id"])
    assert await shown(site) == "failed"
    site.script.gate.clear()
    await site.launch(SPEC)
    assert await shown(site) == "failed", "of a person's launch it is not yet known whether it is everybody's"
    site.script.events = [Ended(Stage.RESOLVE, "", 0.1)]
    await site.launch(SPEC, urlpath="lab/tree/a.ipynb")
    await site.web.launches.start(Account("", Kind.ANONYMOUS), ref(), build_only=True)
    assert await shown(site) == "building"


async def test_a_badge_of_what_is_private_is_one_of_what_does_not_exist(site: Site) -> None:
    """While it is launched, afterwards, and after a restart."""
    site.script.hides, site.script.events = True, [Ended(Stage.RESOLVE, "", 0.1), Log(Stage.BUILD, "Step 1")]
    launch = await site.launch(SPEC)
    async with asyncio.timeout(10):
        while not site.script.asked:  # nothing to wait on
            await asyncio.sleep(0.01)
    assert await shown(site) == "unknown"
    site.script.gate.set()
    await site.ended(launch["id"])
    assert await shown(site) == "unknown"
    again = Standings()
    again.recall(await site.launches._rows.ended())
    assert again.of(ref()) == Standing()


@pytest.mark.parametrize(
    "path",
    [
        "/badge/state/svn/a/b.svg",
        "/badge/state/gh/a.svg",
        "/badge/state/gh/%ff/%zz/%00.svg",
        "/badge/state/gh/a/b/%3Cscript%3Ealert(1)%3C%2Fscript%3E.svg",
        "/badge/state/git/" + "%2e%2e%2f" * 400 + ".svg",
        '/badge/state/gh/a/"onload="x/main.svg',
        "/badge/state/gh/a/b/--upload-pack=id",
        "/badge/state/zenodo/10.5281/zenodo.1234.svg",
    ],
)
async def test_a_badge_of_what_is_no_link_is_a_picture_too(site: Site, path: str) -> None:
    assert await shown(site, path) == "unknown"
    assert site.script.asked == []


@pytest.mark.parametrize("state", state_badge.COLOURS)
def test_every_state_is_a_picture_that_can_be_read(state: str) -> None:
    text = state_badge.svg(state)
    assert ET.fromstring(text).get("role") == "img"  # noqa: S314  # our own
    assert contrast(state_badge.COLOURS[state]) >= 4.5


def contrast(colour: str) -> float:
    """Of white letters on it (WCAG 2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def ref(spec: str = SPEC) -> RepoRef:
    return RepoRef("gh", spec, "https://github.com/ada/nice", "main")


def test_what_is_known_of_links_has_an_end() -> None:
    standings = Standings(most=2)
    standings.recall([Ended_("gh", "a/a/HEAD", State.FAILED, ""), Ended_("gh", SPEC, State.READY, "locked")])
    assert standings.of(ref()) == Standing(0, State.READY, "locked")
    standings.began(ref())
    standings.end(ref(), State.CANCELLED, Log(Stage.BUILD, ""))
    assert standings.of(ref()) == Standing(0, State.READY, "locked")
    standings.began(ref("b/b/HEAD"))
    standings.began(ref("c/c/HEAD"))
    assert standings.of(ref()) == Standing()
    standings.end(ref(), State.READY, Ready("p", "/user/p/", "image", "Ready", pinning="reproducible"))
    assert standings.of(ref()) == Standing(0, State.READY, "reproducible")


# ---- the first Binder's links
@pytest.mark.parametrize(
    "path, target",
    [
        ("/repo/ada/nice", "/v2/gh/ada/nice/master"),
        ("/repo/ada/nice/", "/v2/gh/ada/nice/master"),
        ("/repo/ada/nice/notebooks/a%20b.ipynb", "/v2/gh/ada/nice/master?urlpath=notebooks/a%20b.ipynb"),
        ("/repo/ada/nice/tree?x=y", "/v2/gh/ada/nice/master?urlpath=tree"),
        ("/repo/ada/nice/%0d%0aSet-Cookie:%20a=b", "/v2/gh/ada/nice/master?urlpath=%0D%0ASet-Cookie%3A%20a%3Db"),
    ],
)
async def test_a_link_of_the_first_binder_leads_to_the_launch_link(site: Site, path: str, target: str) -> None:
    for ask in (site.client.get, site.client.head):
        async with ask(URL(site.base + path, encoded=True), allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, target)
            assert "Set-Cookie" not in answer.headers


async def test_a_link_of_the_first_binder_that_is_none_is_refused(site: Site) -> None:
    await site.json("GET", "/repo/a..b/c", status=400)
    await site.json("GET", "/repo/ada", status=404)


# ---- oEmbed
async def embedded(site: Site, url: str, status: int = 200, form: str = "json") -> Any:
    asked = URL(f"{site.base}/oembed").with_query(url=url, format=form)
    async with site.client.get(asked) as answer:
        assert answer.status == status, await answer.text()
        return json.loads(await answer.text())


async def test_a_launch_link_is_shown_by_other_sites(site: Site) -> None:
    found = await embedded(site, f"{site.base}/v2/gh/{SPEC}?urlpath=lab")
    assert (found["version"], found["type"], found["title"]) == ("1.0", "link", f"GitHub: {SPEC}")
    assert found["provider_url"] == f"{site.base}/"
    assert found["thumbnail_url"] == f"{site.base}/logo_social.png"


@pytest.mark.parametrize(
    "url", ["https://evil.example/v2/gh/a/b/c", "{base}/", "{base}/v2/gh", "{base}.evil/v2/gh/a/b"]
)
async def test_nothing_is_shown_for_other_addresses(site: Site, url: str) -> None:
    await embedded(site, url.format(base=site.base), 404)


async def test_oembed_speaks_json_alone_and_refuses_what_is_no_link(site: Site) -> None:
    await embedded(site, f"{site.base}/v2/gh/{SPEC}", 501, "xml")
    await embedded(site, f"{site.base}/v2/svn/a/b", 404)
    await embedded(site, f"{site.base}/v2/gh/only", 400)


async def test_a_project_of_which_nothing_is_known_is_ready_alone(site: Site) -> None:
    site.projects.add(a_project("aaaaaaaaaa", "ada"))
    site.script.gate.set()
    await site.ended((await site.launch(SPEC))["id"])
    assert await shown(site) == "ready"


async def test_oembed_without_an_address_says_what_is_missing(site: Site) -> None:
    for query in ("", "?url=", "?format=json"):
        told = (await site.json("GET", f"/oembed{query}", status=400))["error"]
        assert (told["code"], told["seen"]) == ("bad-request", "url: It is missing.")


@pytest.mark.parametrize("base", ["", "/services/binder"])
async def test_crawlers_leave_alone_what_launches(bare_site: Site, base: str) -> None:
    web = replace(bare_site.web, public_url=f"http://127.0.0.1{base}")
    async with served(bare_site, web) as site, site.client.get(f"{site.base}{base}/robots.txt") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        text = await answer.text()
    found = RobotFileParser()
    found.parse(text.splitlines())
    for path in ("/v2/gh/a/b/c", "/build/gh/a/b/c", "/api/v1/start", "/launch", "/user/x/", "/repo/a/b"):
        assert not found.can_fetch("any", base + path)
    for path in ("/", "/about", "/docs/errors", "/badge.svg"):
        assert found.can_fetch("any", base + path)
