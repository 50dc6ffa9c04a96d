"""`/build`: BinderHub's events, phase by phase and field by field."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from launcher.errors import HubDown, RefMissing
from launcher.model import Cancelled, Ended, Event, Failed, Kind, Log, Progress, Ready, Stage, Started
from launcher.web import binder
from tests.fakes.web import COMMIT, a_project

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
        ("Text/Event-Stream", True),
        ("*/*", False),
        ("text/html,*/*;q=0.8", False),
        ("", False),
        ("text/event-streams", False),
    ],
)
def test_accept(accept: str, *, taken: bool) -> None:
    assert binder.accepts_events(accept) is taken


def parsed(text: str) -> list[tuple[str, dict[str, Any]]]:
    """(id, data) of every event."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in lines:
            found.append((lines.get("id", ""), json.loads(lines["data"])))
    return found


async def build(site: Site, path: str = PATH, **headers: str) -> list[tuple[str, dict[str, Any]]]:
    """Read a whole stream."""
    async with site.client.get(site.base + path, headers=SSE | headers) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
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
        "The request cannot be understood.\nAccept: It is “*/*”.\nExpected: text/event-stream.\n",
    ),
    (
        f"{PATH}?build_only=true",
        SSE,
        400,
        (
            "The request cannot be understood.\nbuild_only: It is “true”; a launch here always ends in a session.\n"
            "Expected: no build_only.\n"
        ),
    ),
    (
        "/build/svn/a/b/c",
        SSE,
        400,
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
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "last-event-id" in answer.headers["Access-Control-Allow-Headers"]
    assert site.script.asked == []
