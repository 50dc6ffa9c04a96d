"""What somebody tries who means harm, through the one public address of the real service."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
import pytest
from yarl import URL

from tests.fixtures.service import visiting

if TYPE_CHECKING:
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service, Visitor

pytestmark = pytest.mark.engine

BASE = "FROM localhost/repolaunch/base:1\n"
NOBODY = "0" * 32


async def raw(service: Service, head: str, body: bytes = b"", host: str = "") -> tuple[int, str]:
    """The answer to a request that is sent as it is written, without a library that tidies it up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        text = head.replace("\n", "\r\n") + f"\r\nHost: {host or f'127.0.0.1:{service.port}'}\r\nConnection: close\r\n"
        writer.write(text.encode("latin-1") + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        async with asyncio.timeout(30):
            answer = (await reader.read()).decode("utf-8", "replace")
    finally:
        writer.close()
    return int(answer.split()[1]), answer


async def refused(visitor: Visitor, method: str, path: str) -> tuple[int, str]:
    """Status and code of an error, with the id that was asked for left out."""
    status, body = await visitor.call(method, path)
    return status, body["error"]["code"]


async def test_other_peoples_things_are_as_if_they_were_not_there(service: Service, git_daemon: GitHost) -> None:
    repo = git_daemon.make_repo(files={"Dockerfile": BASE})
    async with visiting(service) as owner, visiting(service) as thief, visiting(service) as nobody:
        await owner.enter()
        await thief.enter()
        status, launch = await owner.post("/api/v1/launches", {"url": repo.url})
        assert status == 201
        events = [event async for event in owner.follow(launch["id"])]
        assert events[-1]["type"] == "ready", events[-1]
        project = events[-1]["project"]
        for method, path, theirs, code in (
            ("GET", "/api/v1/launches/{}", launch["id"], "launch-missing"),
            ("DELETE", "/api/v1/launches/{}", launch["id"], "launch-missing"),
            ("GET", "/api/v1/launches/{}/events", launch["id"], "launch-missing"),
            ("GET", "/api/v1/projects/{}", project, "project-missing"),
            ("PATCH", "/api/v1/projects/{}", project, "project-missing"),
            ("POST", "/api/v1/projects/{}/session", project, "project-missing"),
            ("POST", "/api/v1/projects/{}/token", project, "project-missing"),
            ("GET", "/api/v1/projects/{}/open", project, "project-missing"),
            ("DELETE", "/api/v1/sessions/{}", project, "project-missing"),
        ):
            assert await refused(thief, method, path.format(theirs)) == (404, code), path
            assert await refused(thief, method, path.format(NOBODY)) == (404, code), path
            if not path.endswith("/open"):  # for browsers: it leads to the login
                assert (await refused(nobody, method, path.format(theirs)))[0] == 401, path
        for path in ("launches", "projects", "sessions"):
            assert await thief.call("GET", f"/api/v1/{path}") == (200, [])
        for path in ("lab", "api/contents", "api/kernels"):
            async with thief.http.get(f"/user/project-{project}/{path}") as answer:
                assert answer.status in {403, 404}, path
        assert (await refused(owner, "POST", f"/api/v1/projects/{project}/token")) == (403, "forbidden")


async def test_nobody_reads_a_programs_launch_by_a_forged_event_id(service: Service) -> None:
    link = f"/build/git/{quote('git://127.0.0.1:1/none.git', safe='')}/main"
    headers = {"Accept": "text/event-stream"}
    async with aiohttp.ClientSession(service.base_url) as http:
        async with http.get(URL(service.base_url + link, encoded=True), headers=headers) as answer:
            first = [line[4:] async for one in answer.content if (line := one.decode().strip()).startswith("id: ")]
        launch, signature = first[0].split("-")[1:]
        forged = {**headers, "Last-Event-ID": f"1-{launch}-{signature[::-1]}"}
        async with http.get(URL(service.base_url + link, encoded=True), headers=forged) as answer:
            text = await answer.text()
    assert launch not in text, "it is a launch of its own"


CROSS = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
)


@pytest.mark.parametrize("headers", CROSS)
async def test_a_page_of_another_site_changes_nothing(service: Service, headers: dict[str, str]) -> None:
    async with visiting(service) as visitor:
        await visitor.enter()
        body = {"url": "https://git.example.org/repo.git"}
        for more in (headers, headers | {"Origin": "https://evil.example"}, {}):
            async with visitor.http.post("/api/v1/launches", json=body, headers=more) as answer:
                assert answer.status in {401, 403}, more
                assert "Access-Control-Allow-Origin" not in answer.headers
        async with visitor.http.post("/api/v1/launches", data=json.dumps(body), headers={"X-XSRFToken": "x"}) as answer:
            assert answer.status == 403
        assert await visitor.call("GET", "/api/v1/launches") == (200, [])


async def test_cookies_are_for_few_and_no_script_reads_them(service: Service) -> None:
    async with visiting(service) as visitor:
        await visitor.enter()
        ours = [one for one in visitor.http.cookie_jar if one.key.startswith("repolaunch")]
        assert {one["path"] for one in ours} <= {"/api/", "/build/", "/api/v1/"}
        assert all(one["httponly"] and one["samesite"] == "Lax" for one in ours)
        login = next(one for one in ours if one.key == "repolaunch-login")
    async with aiohttp.ClientSession(service.base_url) as http:
        forged = login.value[:-1] + ("1" if login.value.endswith("0") else "0")
        for value in (forged, login.value.replace("|1:0|", "|2:0|"), "", "x" * 4000):
            async with http.get("/api/v1/me", headers={"Cookie": f"repolaunch-login={value}"}) as answer:
                assert answer.status == 401
        async with http.get("/api/v1/me", headers={"Cookie": f"repolaunch-build-login={login.value}"}) as answer:
            assert answer.status == 401


@pytest.mark.parametrize("path", ["/api/v1/launches", "/internal/resolve", "/build/gh/a/b/HEAD", "/", "/hub/login"])
@pytest.mark.parametrize("size", [70_000, 3_000_000])
async def test_a_body_that_is_too_large(service: Service, path: str, size: int) -> None:
    status, answer = await raw(service, f"POST {path} HTTP/1.1\nContent-Type: application/json", b"x" * size)
    assert status in ({413} if size > 2**20 else {400, 403, 405, 413}), answer[:300]
    assert "Traceback" not in answer
    if size > 2**20:
        assert "Its body has more than 1048576 bytes." in answer


async def test_a_body_of_unknown_length(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(
        b"POST /api/v1/launches HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    writer.write(b"2\r\n{}\r\n0\r\n\r\n")
    async with asyncio.timeout(30):
        answer = (await reader.read()).decode()
    writer.close()
    assert answer.startswith("HTTP/1.1 411")
    assert "Send it in one piece, with a Content-Length." in answer


@pytest.mark.parametrize(
    "target", ["//", "//[", "///", "//x/hub/home", "/\\x/hub/home", "http://", "http://[/", "*", "/%", "/%00"]
)
async def test_an_address_that_is_none_leads_to_the_launcher(service: Service, target: str) -> None:
    status, answer = await raw(service, f"GET {target} HTTP/1.1\nAccept: text/html")
    assert status in {200, 400, 404}, answer[:300]
    assert "content-security-policy: default-src 'none'" in answer.lower() or status == 400, answer[:500]


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "PROPFIND", "QUERY"])
async def test_methods_that_nobody_needs(service: Service, method: str) -> None:
    for path in ("/api/v1/launches", "/v2/gh/a/b/HEAD", "/build/gh/a/b/HEAD", "/internal/resolve"):
        status, answer = await raw(service, f"{method} {path} HTTP/1.1\nX-Secret: reflected")
        assert 400 <= status <= 501, (method, path)
        assert status != 500
        assert "reflected" not in answer


@pytest.mark.parametrize(
    "place",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "///evil.example",
        "/%2f/evil.example",
        "javascript:alert(1)",
        "/\r\nSet-Cookie: evil=1",
        "/@evil.example",
    ],
)
@pytest.mark.parametrize("door", ["/api/v1/login", "/hub/guest", "/hub/signin"])
async def test_a_login_ends_on_this_site(service: Service, door: str, place: str) -> None:
    """Every step is followed by hand, until an answer that leads nowhere."""
    async with visiting(service) as visitor:
        here = f"{service.base_url}{door}?next={quote(place, safe='')}"
        for _ in range(10):
            async with visitor.http.get(URL(here, encoded=True), allow_redirects=False) as answer:
                assert "evil" not in answer.cookies
                if "Location" not in answer.headers:
                    break
                location = answer.headers["Location"]
            assert not location.startswith(("//", "/\\", "\\")), location
            assert "\t" not in location
            here = urljoin(here, location)
            assert urlsplit(here).netloc == f"127.0.0.1:{service.port}", here


@pytest.mark.parametrize("urlpath", ["/\r\nSet-Cookie: evil=1", "../../hub/admin", "%2e%2e/%2e%2e/hub", "a\\..\\b"])
async def test_a_place_in_a_session_stays_there(service: Service, urlpath: str) -> None:
    async with aiohttp.ClientSession(service.base_url, headers=service.operator) as http:
        body = {"url": "https://git.example.org/repo.git", "urlpath": urlpath}
        async with http.post("/api/v1/launches", json=body) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["code"] == "bad-request"
        async with http.get("/v2/gh/a/b/HEAD", params={"urlpath": "</script><script>alert(1)"}) as answer:
            assert "<script>alert" not in await answer.text()


@pytest.mark.parametrize(
    "target",
    [
        "/internal/resolve",
        "//internal/resolve",
        "/hub/../internal/resolve",
        "/%69nternal/resolve",
        "/internal/resolve%00",
    ],
)
@pytest.mark.parametrize(
    "more", ["", "\nConnection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Port, X-Forwarded-Proto"]
)
async def test_the_hubs_question_is_not_for_the_public(service: Service, target: str, more: str) -> None:
    """Even with the hub's own secret: through the public address there is no such page."""
    secret = (service.data / "secrets" / "resolve-secret").read_text().strip()
    head = f"POST {target} HTTP/1.1\nAuthorization: token {secret}\nContent-Type: application/json{more}"
    status, answer = await raw(service, head, b'{"account":"project-a","server":"","user_options":{"project":"a"}}')
    assert status in {400, 404}, answer
    assert "image" not in answer


async def test_what_a_visitor_says_of_himself_is_not_believed(service: Service) -> None:
    lies = "\n".join(
        f"X-Forwarded-{name}: {value}"
        for name, value in (
            ("Host", "evil.example"),
            ("Proto", "https"),
            ("For", "1.2.3.4"),
            ("Prefix", "//evil.example"),
        )
    )
    for path in (
        "/",
        "/api/v1/me",
        "/api/v1/login?next=/",
        "/user/project-aaaaaaaaaa/lab",
        "/hub/guest?next=/",
        "/hub/",
    ):
        _, answer = await raw(service, f"GET {path} HTTP/1.1\nAccept: text/html\n{lies}")
        assert "evil.example" not in answer, path
        _, answer = await raw(service, f"GET {path} HTTP/1.1\nAccept: text/html", host="evil.example")
        assert "evil.example" not in answer, path


async def test_a_guest_gets_nothing_of_the_hub(service: Service) -> None:
    """No list of people, no token, no server of one's own: only projects have servers."""
    async with visiting(service) as visitor:
        name = await visitor.enter()
        async with visitor.http.get("/hub/home") as answer:
            assert "Traceback" not in await answer.text()
        cookies = {one.key: one.value for one in visitor.http.cookie_jar if one["path"] == "/hub/"}
        headers = {"X-XSRFToken": cookies.get("_xsrf", "")}
        for method, path in (
            ("GET", "users"),
            ("GET", "services"),
            ("GET", "proxy"),
            ("POST", "users/someone"),
            ("POST", f"users/{name}/server"),
            ("POST", "users/project-aaaaaaaaaa/server"),
            ("POST", "shutdown"),
        ):
            async with visitor.http.request(method, f"/hub/api/{path}", headers=headers, json={}) as answer:
                body = await answer.text()
                seen = (method, path, answer.status, body[:200])
                assert 400 <= answer.status < 500 or body in {"[]", "{}"}, seen
        async with visitor.http.get("/hub/spawn") as answer:
            assert answer.status < 600
        await asyncio.sleep(0.5)
        assert not [one for one in service.containers() if name in str(one.name)]


LOOK = """
import json, os, urllib.request, urllib.error
def ask(path, method="GET", body=None, token=os.environ["JUPYTERHUB_API_TOKEN"]):
    url = os.environ["JUPYTERHUB_API_URL"] + path
    request = urllib.request.Request(url, body, {"Authorization": "token " + token}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        return error.code, None
seen = {"env": dict(os.environ), "processes": {}, "readable": {}}
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        seen["processes"][pid] = open(f"/proc/{pid}/cmdline").read().replace(chr(0), " ")
        seen["readable"][pid] = open(f"/proc/{pid}/environ").read()
    except OSError:
        pass
places = ("/etc", "/run", "/tmp", "/workspace", "/home", "/root", "/var", "/srv", "/mnt", "/dev/shm")
for where, files in ((where, files) for place in places for where, _, files in os.walk(place)):
    for name in files:
        path = os.path.join(where, name)
        try:
            if os.path.getsize(path) < 100000 and os.path.isfile(path):
                text = open(path, errors="replace").read()
                if any(secret in text for secret in SECRETS):
                    seen["readable"][path] = "SECRET " + path
        except OSError:
            pass
seen["asked"] = [(method, path, *ask(path, method, body)) for method, path, body in ASKED]
print(json.dumps(seen))
"""
ASKED: tuple[tuple[str, str, str | None], ...] = (
    ("GET", "/user", None),
    ("GET", "/users", None),
    ("GET", "/groups", None),
    ("GET", "/services", None),
    ("GET", "/proxy", None),
    ("GET", "/users/project-{other}", None),
    ("GET", "/users/{guest}", None),
    ("GET", "/users/{guest}/tokens", None),
    ("POST", "/users/{guest}/tokens", "{}"),
    ("POST", "/users/project-{other}/server", "{}"),
    ("DELETE", "/users/project-{other}/server", None),
    ("POST", "/users/stolen", "{}"),
    ("GET", "/shares/project-{other}/", None),
    ("POST", "/shares/project-{own}/", '{"user": "stolen"}'),
    ("POST", "/shutdown", "{}"),
    ("POST", "/proxy", None),
)


async def test_what_a_session_finds_and_what_its_own_token_opens(service: Service, git_daemon: GitHost) -> None:
    """Environment, processes, files, and the hub asked with the one credential that a session has."""
    repo = git_daemon.make_repo(files={"Dockerfile": BASE})
    async with visiting(service) as visitor, visiting(service) as neighbour:
        guest = await visitor.enter()
        await neighbour.enter()
        own = (await visitor.launch(repo.url))[-1]
        other = (await neighbour.launch(repo.url))[-1]
        session = await visitor.session(f"{own['path']}lab")
        names = (
            "operator-token",
            "launcher-token",
            "resolve-secret",
            "proxy-token",
            "cookie-secret",
            "shared-password",
        )
        secrets = [(service.data / "secrets" / name).read_text().strip() for name in names]
        secrets += [
            one.value for one in visitor.http.cookie_jar if one.key in {"jupyterhub-hub-login", "repolaunch-login"}
        ]
        asked = [
            (method, path.format(other=other["project"], own=own["project"], guest=guest), body and body.encode())
            for method, path, body in ASKED
        ]
        code = LOOK.replace("ASKED", repr(asked))
        # The secrets themselves must not be written into the session: parts of them are enough to find them.
        seen = json.loads(await session.run(code.replace("SECRETS", repr([secret[4:16] for secret in secrets]))))
        token = seen["env"]["JUPYTERHUB_API_TOKEN"]
        text = json.dumps([seen["env"], seen["processes"]])
        assert not [secret for secret in secrets if secret in text]
        found = {where: what for where, what in seen["readable"].items() if any(one in what for one in secrets)}
        assert found == {}
        assert not [what for what in seen["readable"].values() if what.startswith("SECRET")]
        assert not [
            line
            for line in seen["processes"].values()
            if "launcher.compose" in line or "configurable-http-proxy" in line
        ]

        answers = {(method, path): (status, body) for method, path, status, body in seen["asked"]}
        me = answers.pop(("GET", "/user"))
        assert me[0] == 200
        assert me[1]["name"] == f"project-{own['project']}"
        opened = {
            what: answer for what, answer in answers.items() if answer[0] < 400 and answer[1] not in ([], {}, None)
        }
        assert opened == {}, opened
        async with aiohttp.ClientSession(service.base_url, headers={"Authorization": f"token {token}"}) as http:
            for path in ("me", "launches", "projects", "sessions"):
                async with http.get(f"/api/v1/{path}") as answer:
                    assert answer.status == 401, path
            async with http.get(f"{other['path']}api/contents") as answer:
                assert answer.status in {401, 403}
