"""`/build`: BinderHub's events, phase by phase and field by field."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from yarl import URL

from launcher.errors import BuildTokenRefused, HubDown, RefMissing
from launcher.events import Cancelled, Ended, Event, Failed, Log, Progress, Queued, Ready, Stage, Started
from launcher.model import Image, ImageRef, Kind
from launcher.rates import Rates
from launcher.web import binder
from launcher.web.build_tokens import BuildTokens
from tests.fakes.web import COMMIT, FACTS, a_project
from tests.fixtures.web import SECRET, gate, parsed, served

if TYPE_CHECKING:
    from tests.fixtures.web import Site

SSE = {"Accept": "text/event-stream"}
PATH = "/build/gh/ada/nice/main"
KNOWN = "ckan, dataverse, figshare, gh, gist, git, gl, hydroshare, swh, zenodo"
DIGEST = "sha256:" + "d" * 64

# what a launch tells → phase and fields of BinderHub's table
TABLE: list[tuple[Event, dict[str, Any]]] = [
    (Started(Stage.RESOLVE, "Asking"), {"phase": "waiting", "message": "Asking\n"}),
    (Ended(Stage.RESOLVE, "Asked", 0.1), {"phase": "waiting", "message": "Asked\n"}),
    (Started(Stage.CHECKOUT, "Getting"), {"phase": "fetching", "message": "Getting\n"}),
    (Progress(Stage.DETECT, "Looking"), {"phase": "fetching", "message": "Looking\n"}),
    (Started(Stage.IMAGE, "Looking"), {"phase": "waiting", "message": "Looking\n"}),
    (Log(Stage.BUILD, "Step 1\n"), {"phase": "building", "message": "Step 1\n"}),
    (Log(Stage.BUILD, "Step 2"), {"phase": "building", "message": "Step 2\n"}),
    (Ended(Stage.BUILD, "Built", 3), {"phase": "building", "message": "Built\n"}),
    (Progress(Stage.PUSH, "Pushing", 40), {"phase": "pushing", "message": "Pushing\n", "progress": 40}),
    (Progress(Stage.PUSH, "Pushing"), {"phase": "pushing", "message": "Pushing\n", "progress": 0}),
    (
        Ended(Stage.IMAGE, f"The image is here: r.example.org:5000/repolaunch/env@{DIGEST}", 4),
        {
            "phase": "built",
            "message": f"The image is here: r.example.org:5000/repolaunch/env@{DIGEST}\n",
            "imageName": f"r.example.org:5000/repolaunch/env@{DIGEST}",
        },
    ),
    (
        Ended(Stage.IMAGE, f"The image is here: {DIGEST}", 4),
        {"phase": "built", "message": f"The image is here: {DIGEST}\n", "imageName": DIGEST},
    ),
    (Started(Stage.WORKSPACE, "Making"), {"phase": "launching", "message": "Making\n"}),
    (
        Queued(Stage.QUEUE, "You are next.", 1, 0, "sessions"),
        {"phase": "launching", "message": "You are next.\n", "place": 1, "ahead": 0, "reason": "sessions"},
    ),
    (Progress(Stage.SESSION, "Starting", 50), {"phase": "launching", "message": "Starting\n"}),
    (Ready("a", "/user/project-a/", DIGEST, "Ready"), {"phase": "ready", "message": "Ready\n"}),
    (
        Failed(Stage.BUILD, "build-failed", 422, "The build failed", "It said no", "Correct it.", "/docs/errors"),
        {"phase": "failed", "message": "The build failed.\nIt said no\nCorrect it.\n", "status_code": 422},
    ),
    (Cancelled("Stopped by ada."), {"phase": "failed", "message": "Stopped by ada.\n", "status_code": 409}),
]


@pytest.mark.parametrize("event, fields", TABLE, ids=lambda one: type(one).__name__)
def test_phases_and_fields(event: Event, fields: dict[str, Any]) -> None:
    assert binder.binder_fields(event) == fields


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_has_one_of_binderhubs_phases(stage: Stage) -> None:
    phases = {"waiting", "fetching", "building", "pushing", "launching"}
    assert binder.binder_fields(Log(stage, "x"))["phase"] in phases


@pytest.mark.parametrize(
    "accept, taken",
    [
        ("text/event-stream", True),
        ("text/event-stream, */*", True),
        ("application/json, text/event-stream;q=0.9", True),
        ("application/json;text/event-stream", True),
        ("text/html, text/event-stream; charset=utf-8 ; q=0.1", True),
        ("text/event-stream;q=0, */*", False),
        ("text/event-stream; q=0.000", False),
        ("Text/Event-Stream", True),
        ("*/*", False),
        ("text/html,*/*;q=0.8", False),
        ("", False),
        ("text/event-streams", False),
    ],
)
def test_accept(accept: str, *, taken: bool) -> None:
    assert binder.accepts_events(accept) is taken


async def build(site: Site, path: str = PATH, **headers: str) -> list[tuple[str, dict[str, Any]]]:
    """Read a whole stream."""
    async with site.client.get(site.base + path, headers=SSE | headers) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
        return parsed(await answer.text())


@pytest.fixture
def anonymous(site: Site) -> Site:
    """A site whose next launch is a program's: it ends well at once, in a project that is entered by token."""
    project = a_project("bbbbbbbbbb", "project-bbbbbbbbbb", token_entry=True)
    site.projects.add(project)
    site.script.events = [Started(Stage.RESOLVE, "Asking")]
    site.script.outcome = project
    site.script.gate.set()
    return site


async def test_without_a_login_a_temporary_project_and_its_token(anonymous: Site) -> None:
    (_, first), (id_, ready) = await build(anonymous)
    assert first == {"phase": "waiting", "message": "Asking\n"}
    assert anonymous.script.asked[0].account.kind is Kind.ANONYMOUS
    assert re.fullmatch(r"2-[0-9a-f]{32}-[0-9a-f]{32}", id_)
    assert ready == {
        "phase": "ready",
        "message": "The session is ready.\n",
        "url": f"{anonymous.base}/user/project-bbbbbbbbbb/",
        "token": "minted-1-for-bbbbbbbbbb",
        "image": "sha256:" + "e" * 64,
        "repo_url": "https://github.com/ada/nice",
        "binder_ref_url": f"https://github.com/ada/nice/tree/{COMMIT}",
        "binder_launch_host": f"{anonymous.base}/",
        "binder_request": "v2/gh/ada/nice/main",
        "binder_persistent_request": f"v2/gh/ada/nice/{COMMIT}",
        "binder_client_ip": "127.0.0.1",
    }


async def test_a_reconnect_gets_a_fresh_token_and_no_new_launch(anonymous: Site) -> None:
    (first, _), (_, ready) = await build(anonymous)
    [(_, again)] = await build(anonymous, **{"Last-Event-ID": first})
    assert (ready["token"], again["token"]) == ("minted-1-for-bbbbbbbbbb", "minted-2-for-bbbbbbbbbb")
    assert len(anonymous.script.asked) == 1


async def test_a_reconnect_after_the_end_is_told_to_stay_away(anonymous: Site) -> None:
    [_, (last, _)] = await build(anonymous)
    async with anonymous.client.get(anonymous.base + PATH, headers=SSE | {"Last-Event-ID": last}) as answer:
        assert (answer.status, await answer.read()) == (204, b"")


@pytest.mark.parametrize("forge", ["signature", "launch", "form", "other link"])
async def test_an_id_that_is_not_ours_begins_a_new_launch(anonymous: Site, forge: str) -> None:
    (first, _), _ = await build(anonymous)
    n, launch, signature = first.split("-")
    shown = {
        "signature": f"{n}-{launch}-{'0' * 32}",
        "launch": f"{n}-{'0' * 32}-{signature}",
        "form": "1",
        "other link": first,
    }[forge]
    path = "/build/gh/ada/other/main" if forge == "other link" else PATH
    await build(anonymous, path, **{"Last-Event-ID": shown})
    assert len(anonymous.script.asked) == 2


async def test_two_programs_get_two_launches(anonymous: Site) -> None:
    anonymous.script.gate.clear()
    both = [asyncio.create_task(build(anonymous)) for _ in range(2)]
    async with asyncio.timeout(10):
        while len(anonymous.script.asked) < 2:  # nothing to wait on
            await asyncio.sleep(0.01)
    anonymous.script.gate.set()
    ids = [events[-1][0].split("-")[1] for events in await asyncio.gather(*both)]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("way", ["cookie", "token"])
async def test_with_a_login_it_is_that_persons_project_and_has_no_token(site: Site, way: str) -> None:
    site.projects.add(a_project("aaaaaaaaaa", "ada"))
    site.script.gate.set()
    ours = site.cookie() | {"Sec-Fetch-Site": "same-origin"}
    [(_, ready)] = await build(site, **(ours if way == "cookie" else site.headers()))
    assert site.script.asked[0].account.name == "ada"
    assert (ready["token"], ready["url"]) == ("", f"{site.base}/user/project-aaaaaaaaaa/")
    assert site.sessions.tokens == []


@pytest.mark.parametrize("where", ["cross-site", "same-site", "none", ""])
async def test_a_page_of_another_site_is_nobody_here(anonymous: Site, where: str) -> None:
    """Also where the browser does not say which site asks: to an address without TLS it says nothing."""
    said = {"Sec-Fetch-Site": where, "Sec-Fetch-Mode": "navigate"} if where else {}
    await build(anonymous, **anonymous.cookie(), **said)
    assert anonymous.script.asked[0].account.kind is Kind.ANONYMOUS


FAILURES: list[tuple[str, dict[str, str], int, str]] = [
    (
        PATH,
        {"Accept": "*/*"},
        400,
        (
            "The request cannot be understood.\nAccept: It is “*/*”, and asks for no type that is given here.\n"
            "Expected: text/event-stream, alone or in a list.\n"
        ),
    ),
    (
        PATH,
        {"Accept": ""},
        400,
        (
            "The request cannot be understood.\nAccept: It is missing.\n"
            "Expected: text/event-stream, alone or in a list.\n"
        ),
    ),
    (
        f"{PATH}?build_token=none",
        SSE,
        403,
        (
            "The build token is not good.\nThe build token was not made here.\n"
            "Fetch the launch page again for a fresh one, or leave `build_token` out.\n"
        ),
    ),
    (
        "/build/svn/a/b/c",
        SSE,
        404,
        f"Unknown provider.\nThe link names the provider “svn”.\nUse one of: {KNOWN}.\n",
    ),
    (
        PATH,
        SSE | {"Authorization": "token wrong"},
        401,
        (
            "Please log in.\nIt is not known who asks.\nOpen /api/v1/login?next=%2F in a browser. "
            "Programs: send the header `Authorization: token …`.\n"
        ),
    ),
]


@pytest.mark.parametrize("path, headers, status, message", FAILURES)
async def test_whatever_is_wrong_is_an_event(
    site: Site, path: str, headers: dict[str, str], status: int, message: str
) -> None:
    async with site.client.get(URL(site.base + path, encoded=True), headers=headers) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
        [(_, failed)] = parsed(await answer.text())
    assert failed == {"phase": "failed", "message": message, "status_code": status}
    assert site.script.asked == []


@pytest.mark.parametrize("path", ["/build/gh/%ff/x/y", "/build/git/%zz/main", "/build/gh/a/b/--upload-pack=id"])
async def test_hostile_paths_are_failed_events(site: Site, path: str) -> None:
    async with site.client.get(URL(site.base + path, encoded=True), headers=SSE) as answer:
        [(_, failed)] = parsed(await answer.text())
    assert (failed["phase"], failed["status_code"]) == ("failed", 400)


async def test_a_launch_that_fails_ends_well(site: Site) -> None:
    site.script.outcome = RefMissing("https://github.com/ada/nice", "main")
    site.script.gate.set()
    [(_, failed)] = await build(site)
    assert (failed["phase"], failed["status_code"]) == ("failed", 404)
    assert failed["message"].startswith("There is no such branch, tag or commit.\n")


async def test_no_token_no_ready(anonymous: Site) -> None:
    anonymous.sessions.fault = HubDown("It is asleep")
    events = await build(anonymous)
    assert events[-1][1]["phase"] == "failed"
    assert events[-1][1]["status_code"] == 503


async def test_head_and_options_start_nothing(site: Site) -> None:
    async with site.client.head(site.base + PATH, headers=SSE) as answer:
        assert answer.status == 200
    async with site.client.options(site.base + PATH) as answer:
        assert answer.status == 204
    assert site.script.asked == []


# ---- pages of other sites
BOOK = "https://book.example.org"


@pytest.mark.parametrize(
    "listed, origin, allowed",
    [
        ((), BOOK, None),
        (("*",), BOOK, "*"),
        (("*",), "", "*"),
        ((BOOK, "http://127.0.0.1:9000"), "http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ((BOOK,), f"{BOOK}.evil.example", None),
        ((BOOK,), "https://evil.example", None),
        ((BOOK,), "null", None),
        ((BOOK,), "", None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_only_listed_sites_pages_read_a_stream(
    bare_site: Site, listed: tuple[str, ...], origin: str, allowed: str | None, method: str
) -> None:
    bare_site.script.outcome = RefMissing("https://github.com/ada/nice", "main")
    bare_site.script.gate.set()
    async with served(bare_site, replace(bare_site.web, allow_origin=listed)) as site:
        said = {"Origin": origin} if origin else {}
        async with site.client.request(method, site.base + PATH, headers=SSE | said) as answer:
            headers = answer.headers
            assert headers.get("Access-Control-Allow-Origin") == allowed
            assert headers["Vary"] == "Origin"
            assert "Access-Control-Allow-Credentials" not in headers
            if allowed:
                wanted = headers["Access-Control-Allow-Headers"]
                assert {"authorization", "last-event-id", "x-xsrftoken"} <= set(wanted.split(", "))


# ---- no session
IMAGE = Image("k" * 64, FACTS, ImageRef("r.example.org:5000", "repolaunch/env", DIGEST), pinning="locked")


async def test_build_only_ends_with_the_image_and_nothing_else(site: Site) -> None:
    """As jupyterhub-fancy-profiles reads it."""
    site.script.events = [Started(Stage.RESOLVE, "Asking"), Log(Stage.BUILD, "Step 1")]
    site.script.outcome = IMAGE
    site.script.gate.set()
    events = [fields for _, fields in await build(site, f"{PATH}?build_only=true")]
    assert [one["phase"] for one in events] == ["waiting", "building", "ready"]
    name = f"r.example.org:5000/repolaunch/env@{DIGEST}"
    assert events[-1] == {"phase": "ready", "message": "The image is ready.\n", "imageName": name}
    assert [one.build_only for one in site.script.asked] == [True]
    assert site.sessions.tokens == []


async def test_one_image_is_one_launch_however_many_programs_want_it(bare_site: Site) -> None:
    """Also beyond what one address may begin: who joins begins nothing."""
    of = gate(rates={"per_address": 1, "per_repository": 1})
    bare_site.script.outcome = IMAGE
    async with served(bare_site, replace(bare_site.web, gate=of)) as site:
        both = [asyncio.create_task(build(site, f"{PATH}?build_only=true")) for _ in range(3)]
        async with asyncio.timeout(10):
            while site.metrics.watchers._value.get() < 3:  # nothing to wait on
                await asyncio.sleep(0.01)
        site.script.gate.set()
        found = await asyncio.gather(*both)
    assert len({events[-1][0] for events in found}) == 1
    assert [events[-1][1]["phase"] for events in found] == ["ready"] * 3
    assert len(site.script.asked) == 1


async def test_an_id_of_a_launch_for_an_image_begins_a_session_anew(anonymous: Site) -> None:
    (first, _), _ = await build(anonymous)
    anonymous.script.outcome = IMAGE
    await build(anonymous, f"{PATH}?build_only=true", **{"Last-Event-ID": first})
    assert [one.build_only for one in anonymous.script.asked] == [False, True]


async def test_a_stream_stays_open_after_a_cold_ready_alone(anonymous: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binder.Build, "linger_s", 60)
    anonymous.web.watching.keepalive_s = 0.05
    await build(anonymous)  # without a build it ends at once
    anonymous.script.events = [Log(Stage.BUILD, "Step 1")]
    async with anonymous.client.get(anonymous.base + PATH, headers=SSE) as answer:
        text = b""
        async with asyncio.timeout(10):
            while b'"ready"' not in text or not text.endswith(b":keepalive\n\n"):
                text += await answer.content.readany()
                assert not answer.content.at_eof()


async def test_a_failure_ends_the_stream_and_is_told_once(anonymous: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binder.Build, "linger_s", 60)
    anonymous.script.events = [Log(Stage.BUILD, "Step 1")]
    anonymous.script.outcome = RefMissing("https://github.com/ada/nice", "main")
    events = await build(anonymous)
    assert [fields["phase"] for _, fields in events] == ["building", "failed"]
    assert all(fields["message"].endswith("\n") for _, fields in events)


# ---- build tokens
LINK = PATH.removeprefix("/build/")


async def test_a_build_token_frees_one_launch_from_its_addresss_limit(bare_site: Site) -> None:
    tokens = BuildTokens(SECRET, Rates(2, time.monotonic), time.time)
    of = gate(rates={"per_address": 1, "per_repository": 0})
    project = a_project("bbbbbbbbbb", "project-bbbbbbbbbb", token_entry=True)
    bare_site.projects.add(project)
    bare_site.script.outcome = project
    bare_site.script.gate.set()
    async with served(bare_site, replace(bare_site.web, build_tokens=tokens, gate=of)) as site:
        assert (await build(site))[-1][1]["phase"] == "ready"
        assert (await build(site))[-1][1]["status_code"] == 429
        host = f"127.0.0.1:{site.port}"
        freeing = tokens.mint(LINK, host, "127.0.0.1")
        assert (await build(site, f"{PATH}?build_token={freeing}"))[-1][1]["phase"] == "ready"
        assert (await build(site, f"{PATH}?build_token={freeing}"))[-1][1]["status_code"] == 429
        other = tokens.mint(LINK, host, "127.0.0.1")
        for origin in (BOOK, "null", "http://[", f"http://{host}.evil.example"):
            found = await build(site, f"{PATH}?build_token={other}", Origin=origin)
            assert found[-1][1]["status_code"] == 403, origin
        assert tokens.mint(LINK, host, "127.0.0.1") == ""


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"exp": 1}, "has expired"),
        ({"aud": "gh/ada/other/main"}, "was made for another link"),
        ({"origin": "evil.example"}, "was made for a page of another site"),
        ({"jti": None}, "was not made here"),
        ({"key": b"w" * 32}, "was not made here"),
        ({"alg": "none", "key": None}, "was not made here"),
        ({"long": "x" * 5000}, "is too long"),
    ],
)
def test_build_tokens_that_are_not_good(change: dict[str, Any], reason: str) -> None:
    tokens = BuildTokens(SECRET, Rates(0, time.monotonic), time.time)
    claims: dict[str, Any] = {"exp": int(time.time()) + 60, "aud": LINK, "origin": "here", "jti": "1"} | change
    key, algorithm = claims.pop("key", tokens._key), claims.pop("alg", "HS256")
    made = {name: value for name, value in claims.items() if value is not None}
    token = jwt.encode(made, key, algorithm=algorithm)
    with pytest.raises(BuildTokenRefused) as refused:
        tokens.spend(token, LINK, "", "here")
    assert refused.value.reason == reason
