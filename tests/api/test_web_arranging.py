"""`/api/v1`: a project is named, put away and taken back, by whom that is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from launcher.model import Account, Kind, Role
from launcher.web import auth
from tests.fakes.web import Running, a_project
from tests.fixtures.web import OPERATOR_TOKEN, SECRET

if TYPE_CHECKING:
    from tests.fixtures.web import Site

HERE, OTHER = "/api/v1/projects/aaaaaaaaaa", "/api/v1/projects/bbbbbbbbbb"
ARCHIVED = "/api/v1/projects?archived=true"


@pytest.fixture
def shared(site: Site) -> Site:
    """Ada's project: eve edits, bob looks on, carl has another one, a guest has theirs."""
    for name in ("eve", "carl"):
        site.hub.people[f"{name}-token"] = Account(name, Kind.MEMBER)
    site.projects.add(a_project("aaaaaaaaaa", "ada"), eve=Role.EDITOR, bob=Role.VIEWER)
    site.projects.add(a_project("cccccccccc", "carl"))
    site.projects.add(a_project("dddddddddd", "guest-1f"))
    return site


async def change(site: Site, what: dict[str, Any], status: int = 200, *, path: str = HERE, token: str = "") -> Any:
    headers = site.headers(token) if token else site.headers()
    return await site.json("PATCH", path, status=status, json=what, headers=headers)


async def ids(site: Site, path: str, token: str = "") -> list[str]:
    headers = site.headers(token) if token else site.headers()
    return [one["id"] for one in await site.json("GET", path, headers=headers)]


# ---- who may
WHO = [
    ("ada-token", 200, ""),
    ("eve-token", 403, "forbidden"),
    ("bob-token", 403, "forbidden"),
    ("carl-token", 404, "project-missing"),
    ("guest-token", 404, "project-missing"),
    (OPERATOR_TOKEN, 200, ""),
    ("nobody", 401, "login-required"),
]


@pytest.mark.parametrize("what", [{"title": "mine"}, {"archived": True}, {"archived": False}], ids=str)
@pytest.mark.parametrize("token, status, code", WHO)
async def test_who_may(shared: Site, token: str, status: int, code: str, what: dict[str, Any]) -> None:
    if what == {"archived": False}:
        await shared.projects.archive("aaaaaaaaaa")
    before = shared.projects.views["aaaaaaaaaa"]
    answer = await change(shared, what, status, token=token)
    after = shared.projects.views["aaaaaaaaaa"]
    if status != 200:
        assert answer["error"]["code"] == code
        assert after == before
        return
    assert answer["id"] == "aaaaaaaaaa"
    assert (after.title, after.project.archived is not None) == (what.get("title", "nice"), what.get("archived", False))


async def test_a_refusal_is_a_sentence(shared: Site) -> None:
    answer = await change(shared, {"title": "x"}, 403, token="bob-token")
    assert answer["error"]["seen"] == "Your account may not rename or archive this project (its owner may)."
    missing = await change(shared, {"title": "x"}, 404, path="/api/v1/projects/zzzzzzzzzz", token="carl-token")
    strange = await change(shared, {"title": "x"}, 404, token="carl-token")
    assert strange["error"]["seen"].replace("aaaaaaaaaa", "zzzzzzzzzz") == missing["error"]["seen"]


async def test_a_guest_may_with_what_is_theirs(shared: Site) -> None:
    path = "/api/v1/projects/dddddddddd"
    assert (await change(shared, {"title": "kept"}, path=path, token="guest-token"))["title"] == "kept"


async def test_a_cookie_alone_changes_nothing(shared: Site) -> None:
    answer = await shared.json("PATCH", HERE, status=403, json={"title": "x"}, headers=shared.cookie())
    assert answer["error"]["code"] == "not-from-our-page"
    shown = shared.cookie() | {"X-XSRFToken": auth.xsrf_token(SECRET, "ada-token")}
    assert (await shared.json("PATCH", HERE, json={"title": "x"}, headers=shown))["title"] == "x"


# ---- what may be asked
LONG = "ü" * 200


@pytest.mark.parametrize(
    "title, kept",
    [
        ("My notes", "My notes"),
        ("  My notes\t\n", "My notes"),
        (LONG, LONG),
        (f" {LONG} ", LONG),
        ("<b>&“’ 你好 👩‍🔬 e\u0301", "<b>&“’ 你好 👩‍🔬 e\u0301"),
        ("؟ مشروع", "؟ مشروع"),
    ],
)
async def test_names(shared: Site, title: str, kept: str) -> None:
    assert (await change(shared, {"title": title}))["title"] == kept
    assert (await shared.json("GET", HERE, headers=shared.headers()))["title"] == kept


UNSEEN = "title: It has characters that cannot be seen, or no others."


@pytest.mark.parametrize(
    "body, seen",
    [
        ({"title": ""}, "title: String should have at least 1 character."),
        ({"title": " \t\u00a0"}, "title: String should have at least 1 character."),
        ({"title": LONG + "ü"}, "title: String should have at most 200 characters."),
        ({"title": "a\nb"}, UNSEEN),
        ({"title": "a\x1b[2Jb"}, UNSEEN),
        ({"title": "gpj.\u202eexe"}, UNSEEN),
        ({"title": "a\u2028b"}, UNSEEN),
        ({"title": "\u200b\u200d"}, UNSEEN),
        ({"title": "\ud800"}, "body: Invalid JSON: unexpected end of hex escape at line 1 column 18."),
        ({"title": 7}, "title: Input should be a valid string."),
        ({"archived": "true"}, "archived: Input should be a valid boolean."),
        ({}, "body: Give title, archived, or both."),
        ({"title": None}, "body: Give title, archived, or both."),
        ({"title": "x", "owner": "eve"}, "owner: Extra inputs are not permitted."),
    ],
)
async def test_what_is_no_change(shared: Site, body: dict[str, Any], seen: str) -> None:
    before = dict(shared.projects.views)
    answer = await change(shared, body, 400)
    assert (answer["error"]["code"], answer["error"]["seen"]) == ("bad-request", seen)
    assert shared.projects.views == before


# ---- archived
async def test_an_archived_project_is_listed_apart(shared: Site) -> None:
    shared.projects.add(a_project("bbbbbbbbbb", "ada", spec="ada/other/main"))
    answer = await change(shared, {"archived": True, "title": "old"})
    assert (answer["title"], answer["archived"], answer["state"]) == ("old", "2023-11-14T22:16:40.000Z", "stopped")
    assert await ids(shared, "/api/v1/projects") == ["bbbbbbbbbb"]
    assert await ids(shared, ARCHIVED) == ["aaaaaaaaaa"]
    assert await ids(shared, ARCHIVED, "carl-token") == []
    assert await ids(shared, ARCHIVED, OPERATOR_TOKEN) == ["aaaaaaaaaa"]
    assert (await shared.json("GET", HERE, headers=shared.headers()))["archived"] == answer["archived"]
    assert await change(shared, {"archived": True}) == answer


@pytest.mark.parametrize("state", ["starting", "running", "stopping"])
async def test_one_that_runs_is_not_archived(shared: Site, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.sessions.running = [Running("aaaaaaaaaa", state)]
    monkeypatch.setattr(shared.projects, "archive", None)  # not for a moment either: its link would lead elsewhere
    answer = await change(shared, {"archived": True, "title": "x"}, 409)
    assert (answer["error"]["code"], answer["error"]["todo"]) == ("project-runs", "Stop it first.")
    assert (shared.projects.views["aaaaaaaaaa"].title, await ids(shared, ARCHIVED)) == ("nice", [])
    assert (await change(shared, {"title": "x"}))["state"] == state


async def test_one_that_starts_at_the_same_moment_is_not_archived(
    shared: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = shared.projects.archive

    async def while_it_starts(project: str) -> None:
        shared.sessions.running = [Running(project, "starting")]
        await archive(project)

    monkeypatch.setattr(shared.projects, "archive", while_it_starts)
    assert (await change(shared, {"archived": True}, 409))["error"]["code"] == "project-runs"
    assert shared.projects.views["aaaaaaaaaa"].project.archived is None


async def test_nothing_starts_an_archived_project(shared: Site) -> None:
    await change(shared, {"archived": True})
    answer = await shared.json("POST", f"{HERE}/session", status=409, headers=shared.headers())
    assert answer["error"]["code"] == "project-archived"
    page = shared.cookie() | {"Accept": "text/html"}
    async with shared.client.get(f"{shared.base}{HERE}/open", headers=page, allow_redirects=False) as shown:
        assert shown.status == 409
        html = await shown.text()
    assert "“nice” is archived: its files are kept" in html
    assert 'href="/"' in html
    assert shared.script.asked == []


async def test_taken_back(shared: Site) -> None:
    await change(shared, {"archived": True})
    answer = await change(shared, {"archived": False, "title": "back"})
    assert (answer["archived"], answer["title"]) == (None, "back")
    assert (await ids(shared, "/api/v1/projects"), await ids(shared, ARCHIVED)) == (["aaaaaaaaaa"], [])
    await shared.json("POST", f"{HERE}/session", status=201, headers=shared.headers())


async def test_a_link_leads_to_one_project(shared: Site) -> None:
    await change(shared, {"archived": True})
    shared.projects.add(a_project("bbbbbbbbbb", "ada"))
    await change(shared, {"title": "the new one"}, path=OTHER)
    answer = await change(shared, {"archived": False, "title": "x"}, 409)
    assert answer["error"]["code"] == "link-taken"
    assert answer["error"]["seen"] == "“the new one” has the same link, which can lead to one project only."
    assert shared.projects.views["aaaaaaaaaa"].title == "nice"
    await change(shared, {"archived": True}, path=OTHER)
    assert (await change(shared, {"archived": False}))["archived"] is None


async def test_a_session_is_listed_whosever_project_is_archived(shared: Site) -> None:
    """It cannot be, but what runs must be seen to be stopped."""
    await change(shared, {"archived": True})
    shared.sessions.running = [Running("aaaaaaaaaa")]
    [one] = await shared.json("GET", "/api/v1/sessions", headers=shared.headers())
    assert one["project"] == "aaaaaaaaaa"


async def test_it_is_said_what_can_be_asked(shared: Site) -> None:
    async with shared.client.put(shared.base + HERE, headers=shared.headers()) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, PATCH, HEAD, OPTIONS")
