"""`/api/v1`: who may do what, and what is answered to a bad request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from launcher.errors import BadRequest, WorkspaceNearlyFull
from launcher.events import Stage, Started
from launcher.model import Holder, Lease, Role
from launcher.web import auth
from launcher.web.urlpath import checked_urlpath
from tests.fakes.leases import FakeLeases
from tests.fakes.web import Running, a_project
from tests.fixtures.web import OPERATOR_TOKEN, SECRET

if TYPE_CHECKING:
    from tests.fixtures.web import Site

GOOD = {"provider": "gh", "spec": "ada/nice/main"}
JSON = {"Content-Type": "application/json"}

# body, content type → code, what was seen
J, R = "application/json", "bad-request"
ONE_WAY = "body: Give either provider and spec, or url."
INVALID = "body: Invalid JSON: "
BAD: list[tuple[bytes, str, str, str]] = [
    (b"", J, R, INVALID + "EOF while parsing a value at line 1 column 0."),
    (b"{", J, R, INVALID + "EOF while parsing an object at line 1 column 1."),
    (b"[]", J, R, "body: Input should be an object."),
    (b"{}", J, R, ONE_WAY),
    (b'{"provider":"gh"}', J, R, ONE_WAY),
    (b'{"provider":"gh","spec":"a/b/c","url":"x"}', J, R, ONE_WAY),
    (b'{"provider":7,"spec":"a/b/c"}', J, R, "provider: Input should be a valid string."),
    (b'{"url":"x","colour":"red"}', J, R, "colour: Extra inputs are not permitted."),
    (b'{"url":"x"}', "text/plain", R, "Content-Type: It is “text/plain”."),
    (b'{"url":"x"}', "", R, "Content-Type: It is “application/octet-stream”."),
    (b'{"provider":"svn","spec":"x"}', J, "unknown-provider", "The link names the provider “svn”."),
    (b'{"provider":"gh","spec":"ada/nice/main","urlpath":"../../hub"}', J, R, "urlpath: It is “../../hub”."),
    (b'{"provider":"gh","spec":"' + b"x" * 5000 + b'"}', J, R, "spec: String should have at most 4000 characters."),
    (b'{"url":"\xff"}', J, R, INVALID + "invalid unicode code point at line 1 column 9."),
]


@pytest.mark.parametrize("body, kind, code, seen", BAD)
async def test_bad_requests(site: Site, body: bytes, kind: str, code: str, seen: str) -> None:
    headers = site.headers() | ({"Content-Type": kind} if kind else {})
    status = 404 if code == "unknown-provider" else 400
    answer = await site.json("POST", "/api/v1/launches", status=status, data=body, headers=headers)
    assert (answer["error"]["code"], answer["error"]["seen"]) == (code, seen)
    assert set(answer["error"]) == {"code", "status", "title", "seen", "todo", "link"}
    assert site.script.asked == []


async def test_a_body_that_is_too_large(site: Site) -> None:
    body = b'{"url":"' + b"x" * 70_000 + b'"}'
    answer = await site.json("POST", "/api/v1/launches", status=413, data=body, headers=site.headers() | JSON)
    assert answer["error"]["code"] == "body-too-large"
    assert site.script.asked == []


async def test_a_launch_from_beginning_to_end(site: Site) -> None:
    site.script.events = [Started(Stage.RESOLVE, "Asking")]
    launch = await site.launch(urlpath="/lab/tree/a.ipynb")
    assert launch == {
        "id": launch["id"],
        "state": "running",
        "provider": "gh",
        "spec": "ada/nice/main",
        "url": "https://github.com/ada/nice",
        "ref": "main",
        "commit": None,
        "project": None,
        "created": launch["created"],
        "ended": None,
        "events": f"/api/v1/launches/{launch['id']}/events",
        "link": "/v2/gh/ada/nice/main?urlpath=lab/tree/a.ipynb",
        "queue": None,
        "page": f"/launches/{launch['id']}",
        "usual": {},
    }
    assert site.script.asked[0].urlpath == "lab/tree/a.ipynb"
    site.script.gate.set()
    async with site.client.get(site.base + launch["events"], headers=site.headers()) as answer:
        await answer.read()
    found = await site.json("GET", f"/api/v1/launches/{launch['id']}", headers=site.headers())
    assert (found["state"], found["project"], found["commit"]) == ("ready", "aaaaaaaaaa", "5" * 40)
    assert found["ended"].endswith("Z")
    assert await site.json("GET", "/api/v1/launches", headers=site.headers()) == [found]


async def test_an_address_is_as_good_as_a_spec(site: Site) -> None:
    body = {"url": "https://github.com/ada/nice", "ref": "v1"}
    launch = await site.json("POST", "/api/v1/launches", status=201, json=body, headers=site.headers())
    assert (launch["provider"], launch["spec"], launch["ref"]) == ("gh", "ada/nice/v1", "v1")


async def test_cancelling(site: Site) -> None:
    launch = await site.launch()
    path = f"/api/v1/launches/{launch['id']}"
    await site.json("DELETE", path, status=404, headers=site.headers("bob-token"))
    cancelled = await site.json("DELETE", path, status=202, headers=site.headers())
    assert cancelled["state"] == "cancelled"
    async with site.client.get(site.base + launch["events"], headers=site.headers()) as answer:
        assert "Stopped by ada." in await answer.text()


@pytest.mark.parametrize("way", ["", "/events"])
async def test_launches_of_others_are_missing(site: Site, way: str) -> None:
    launch = await site.launch()
    path = f"/api/v1/launches/{launch['id']}{way}"
    others = await site.json("GET", path, status=404, headers=site.headers("bob-token"))
    none = await site.json("GET", f"/api/v1/launches/{'0' * 32}{way}", status=404, headers=site.headers())
    assert others["error"]["code"] == none["error"]["code"] == "launch-missing"
    site.script.gate.set()
    operator = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    async with site.client.get(site.base + path, headers=operator) as answer:
        assert answer.status == 200
        await answer.read()
    assert await site.json("GET", "/api/v1/launches", headers=site.headers("bob-token")) == []
    assert len(await site.json("GET", "/api/v1/launches", headers=operator)) == 1


# ---- who asks
@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/api/v1/me"),
        ("GET", "/api/v1/launches"),
        ("POST", "/api/v1/launches"),
        ("GET", "/api/v1/launches/x"),
        ("DELETE", "/api/v1/launches/x"),
        ("GET", "/api/v1/launches/x/events"),
        ("GET", "/api/v1/projects"),
        ("GET", "/api/v1/projects/x"),
        ("PATCH", "/api/v1/projects/x"),
        ("POST", "/api/v1/projects/x/session"),
        ("POST", "/api/v1/projects/x/token"),
        ("GET", "/api/v1/sessions"),
        ("DELETE", "/api/v1/sessions/x"),
    ],
)
async def test_nobody_gets_nothing(site: Site, method: str, path: str) -> None:
    if path.endswith("/x/events"):
        path = (await site.launch())["events"]
    for headers in ({}, {"Authorization": "token wrong"}, {"Cookie": "repolaunch-login=forged"}, site.cookie("wrong")):
        answer = await site.json(method, path, status=401, headers=headers)
        assert answer["error"]["code"] == "login-required"
        assert answer["error"]["login"] == "/api/v1/login?next=%2F"


@pytest.mark.parametrize(
    "headers, name, kind",
    [
        ({"Authorization": "token ada-token"}, "ada", "member"),
        ({"Authorization": "Bearer ada-token"}, "ada", "member"),
        ({"Authorization": "token guest-token"}, "guest-1f", "guest"),
        ({"Authorization": f"Bearer {OPERATOR_TOKEN}"}, "operator", "operator"),
    ],
)
async def test_tokens(site: Site, headers: dict[str, str], name: str, kind: str) -> None:
    assert await site.json("GET", "/api/v1/me", headers=headers) == {"name": name, "kind": kind, "xsrf": ""}


async def test_a_wrong_token_is_not_replaced_by_a_cookie(site: Site) -> None:
    await site.json("GET", "/api/v1/me", status=401, headers={"Authorization": "token wrong", **site.cookie()})


async def test_login_comes_back_to_the_page(site: Site) -> None:
    answer = await site.json("GET", "/api/v1/me?next=/v2/gh/a/b/c%3Furlpath=x", status=401)
    assert answer["error"]["login"] == "/api/v1/login?next=%2Fv2%2Fgh%2Fa%2Fb%2Fc%3Furlpath%3Dx"


async def test_hub_down_is_told(site: Site) -> None:
    site.hub.down = True
    answer = await site.json("GET", "/api/v1/me", status=503, headers=site.cookie())
    assert answer["error"]["code"] == "hub-down"
    await site.json("GET", "/api/v1/me", headers={"Authorization": f"Bearer {OPERATOR_TOKEN}"})


# ---- XSRF
async def test_a_cookie_alone_changes_nothing(site: Site) -> None:
    me = await site.json("GET", "/api/v1/me", headers=site.cookie())
    assert (me["name"], len(me["xsrf"])) == ("ada", 32)
    for shown in ({}, {"X-XSRFToken": ""}, {"X-XSRFToken": auth.xsrf_token(SECRET, "bob-token")}, {"X-XSRFToken": "ü"}):
        headers = site.cookie() | shown
        answer = await site.json("POST", "/api/v1/launches", status=403, json=GOOD, headers=headers)
        assert answer["error"]["code"] == "not-from-our-page"
    headers = site.cookie() | {"X-XSRFToken": me["xsrf"]}
    await site.json("POST", "/api/v1/launches", status=201, json=GOOD, headers=headers)


@pytest.mark.parametrize(
    "site_, mode, method, status",
    [
        ("same-origin", "cors", "GET", 200),
        ("none", "navigate", "GET", 200),
        ("cross-site", "navigate", "GET", 200),
        ("cross-site", "cors", "GET", 401),
        ("same-site", "cors", "GET", 401),
        ("cross-site", "navigate", "POST", 401),
    ],
)
async def test_cookies_of_other_sites_pages(site: Site, site_: str, mode: str, method: str, status: int) -> None:
    headers = site.cookie() | {"Sec-Fetch-Site": site_, "Sec-Fetch-Mode": mode}
    path = "/api/v1/me" if method == "GET" else "/api/v1/launches"
    await site.json(method, path, status=status, headers=headers)


# ---- projects and sessions
@pytest.fixture
def projects(site: Site) -> Site:
    """Ada's project, where bob looks on; a program's project."""
    site.projects.add(a_project("aaaaaaaaaa", "ada"), bob=Role.VIEWER)
    site.projects.add(a_project("bbbbbbbbbb", "project-bbbbbbbbbb", token_entry=True))
    site.sessions.running = [Running("aaaaaaaaaa"), Running("bbbbbbbbbb", "starting")]
    return site


async def test_projects(projects: Site) -> None:
    [one] = await projects.json("GET", "/api/v1/projects", headers=projects.headers())
    assert one == {
        "id": "aaaaaaaaaa",
        "title": "nice",
        "url": "https://github.com/ada/nice",
        "ref": "main",
        "commit": "5" * 40,
        "image": "sha256:" + "e" * 64,
        "state": "running",
        "created": "2023-11-14T22:13:20.000Z",
        "used": "2023-11-14T22:15:00.000Z",
        "temporary": False,
        "link": "/v2/gh/ada/nice/main",
        "archived": None,
        "session": "/user/project-aaaaaaaaaa/",
        "workspace_bytes": None,
        "notice": None,
    }
    assert await projects.json("GET", "/api/v1/projects/aaaaaaaaaa", headers=projects.headers()) == one
    projects.sessions.running = []
    stopped = await projects.json("GET", "/api/v1/projects/aaaaaaaaaa", headers=projects.headers())
    assert (stopped["state"], stopped["session"]) == ("stopped", None)


async def test_a_project_tells_of_a_workspace_that_is_nearly_full(projects: Site) -> None:
    projects.storage.sizes["aaaaaaaaaa"] = 18 * 2**30
    projects.storage.notices["aaaaaaaaaa"] = WorkspaceNearlyFull("18.0 GiB", "20.0 GiB")
    [one] = await projects.json("GET", "/api/v1/projects", headers=projects.headers())
    assert one["workspace_bytes"] == 18 * 2**30
    assert one["notice"] == {
        "code": "workspace-nearly-full",
        "status": 507,
        "title": "The workspace is nearly full",
        "seen": "It holds 18.0 GiB and may hold 20.0 GiB.",
        "todo": "Delete what you no longer need: beyond 20.0 GiB its session is stopped.",
        "link": "/docs/errors#workspace-nearly-full",
        "login": None,
    }


async def test_projects_of_others_are_missing(projects: Site) -> None:
    for project in ("bbbbbbbbbb", "cccccccccc"):
        path = f"/api/v1/projects/{project}"
        answer = await projects.json("GET", path, status=404, headers=projects.headers())
        assert answer["error"]["code"] == "project-missing"
    operator = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    assert len(await projects.json("GET", "/api/v1/projects", headers=operator)) == 2


@pytest.mark.parametrize(
    "token, status, code",
    [
        ("ada-token", 403, "forbidden"),
        ("bob-token", 403, "forbidden"),
        ("guest-token", 404, "project-missing"),
        (OPERATOR_TOKEN, 204, ""),
    ],
)
async def test_the_operator_alone_says_that_a_session_is_gone(
    projects: Site, token: str, status: int, code: str
) -> None:
    held, leases = Holder("engine", "c" * 64), projects.web.leases
    assert isinstance(leases, FakeLeases)
    assert await leases.take("aaaaaaaaaa", 0, held)
    for _ in range(2):
        path = "/api/v1/projects/aaaaaaaaaa/lease"
        answer = await projects.json("DELETE", path, status=status, headers=projects.headers(token))
        assert not code or answer["error"]["code"] == code
    assert await leases.get("aaaaaaaaaa") == Lease(1, None if status == 204 else held)


async def test_sessions(projects: Site) -> None:
    assert await projects.json("GET", "/api/v1/sessions", headers=projects.headers()) == [
        {"project": "aaaaaaaaaa", "state": "running", "session": "/user/project-aaaaaaaaaa/"}
    ]


@pytest.mark.parametrize(
    "token, project, status",
    [
        ("ada-token", "aaaaaaaaaa", 204),
        ("bob-token", "aaaaaaaaaa", 403),
        ("guest-token", "aaaaaaaaaa", 404),
        ("ada-token", "bbbbbbbbbb", 404),
        (OPERATOR_TOKEN, "bbbbbbbbbb", 204),
    ],
)
async def test_stopping(projects: Site, token: str, project: str, status: int) -> None:
    await projects.json("DELETE", f"/api/v1/sessions/{project}", status=status, headers=projects.headers(token))
    assert projects.sessions.stopped == ([project] if status == 204 else [])


async def test_resuming_is_launching_the_link(projects: Site) -> None:
    path = "/api/v1/projects/aaaaaaaaaa/session"
    launch = await projects.json("POST", path, status=201, headers=projects.headers())
    assert (launch["spec"], projects.script.asked[0].ref.url) == ("ada/nice/main", "https://github.com/ada/nice")
    await projects.json("POST", path, status=403, headers=projects.headers("bob-token"))


async def test_tokens_are_for_programs(projects: Site) -> None:
    path = "/api/v1/projects/aaaaaaaaaa/token"
    entry = await projects.json("POST", path, status=201, headers=projects.headers())
    assert entry == {"url": "/user/project-aaaaaaaaaa/", "token": "minted-1-for-aaaaaaaaaa"}
    await projects.json("POST", path, status=403, headers=projects.headers("bob-token"))
    cookie = projects.cookie() | {"X-XSRFToken": auth.xsrf_token(SECRET, "ada-token")}
    await projects.json("POST", path, status=403, headers=cookie)
    assert len(projects.sessions.tokens) == 1


async def test_the_way_back_to_a_project(projects: Site) -> None:
    path = projects.base + "/api/v1/projects/aaaaaaaaaa/open"
    async with projects.client.get(path, headers=projects.cookie(), allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "/v2/gh/ada/nice/main")
    async with projects.client.get(path, allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/api/v1/login?next=%2Fapi%2Fv1%2Fprojects%2Faaaaaaaaaa%2Fopen"
    async with projects.client.get(path, headers=projects.cookie("guest-token"), allow_redirects=False) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("text", ["", "lab", "/lab/tree/a b.ipynb", "doc/tree/x?reset", "lab/tree/ü..txt"])
def test_urlpath(text: str) -> None:
    assert checked_urlpath(text) == text.lstrip("/")


@pytest.mark.parametrize("text", ["..", "a/../b", "%2e%2e/x", "%252e%252e/x", "a\\b", "a%5cb", "a\nb", "a\x00"])
def test_urlpath_that_leads_elsewhere(text: str) -> None:
    with pytest.raises(BadRequest):
        checked_urlpath(text)


async def test_unknown_exceptions_are_told_to_the_log_only(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: object = None) -> Any:
        raise RuntimeError("/srv/data/secrets")

    monkeypatch.setattr(site.projects, "list", broken)
    answer = await site.json("GET", "/api/v1/projects", status=500, headers=site.headers())
    assert answer["error"]["code"] == "internal"
    assert "srv" not in str(answer)
    assert "RuntimeError: /srv/data/secrets" in caplog.text
