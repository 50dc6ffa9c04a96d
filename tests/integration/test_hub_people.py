"""People at the real hub: guests, members, names that nobody may have, and what their cookies reach."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import requests

from launcher.model import Account, Kind
from tests.fixtures.hub import PASSWORD, Browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.model import Project
    from tests.fixtures.hub import HubSite

pytestmark = pytest.mark.engine

# A server that says its own API is up and gives back every header that reaches it.
RECORDER = """
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, "headers": dict(self.headers)}).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("0.0.0.0", 8888), Handler).serve_forever()
"""


@pytest.fixture
def other(hub_site: HubSite) -> Iterator[Browser]:
    """Another person."""
    with Browser(hub_site) as person:
        yield person


def enter(person: Browser, project: Project) -> requests.Response:
    """Open the project's session as a browser does, and ask it who came."""
    path = f"/user/{project.account}/"
    page = person.open(f"{path}lab")
    if not page.ok or page.url != f"{person.site.public}{path}lab":
        return page
    xsrf = next((cookie.value for cookie in person.cookies if cookie.name == "_xsrf" and cookie.path == path), None)
    return person.open(f"{path}api/me", headers={"X-XSRFToken": xsrf or ""})


def test_a_guest_is_made_and_sent_on(hub_site: HubSite, browser: Browser) -> None:
    answer = browser.open("/hub/guest?next=/v2/gh/owner/repo/main")
    assert answer.url == f"{hub_site.public}/v2/gh/owner/repo/main"
    assert re.fullmatch(r"guest-[0-9a-f]{12}", browser.who())


@pytest.mark.parametrize("dest, status", [("image", 403), ("empty", 403), ("iframe", 403), ("document", 200)])
def test_only_a_page_that_somebody_opens_makes_a_guest(browser: Browser, dest: str, status: int) -> None:
    """Where browsers say what for they ask: with TLS, and on this machine itself."""
    answer = browser.open("/hub/guest?next=/", headers={"Sec-Fetch-Dest": dest, "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == status
    assert bool(browser.who()) == (status == 200)
    assert status == 200 or "A guest comes by opening a page." in answer.text


def test_a_guest_stays_the_same_guest(browser: Browser) -> None:
    browser.open("/hub/guest?next=/")
    name, cookie = browser.who(), browser.login_cookie()
    browser.open("/hub/guest?next=/")
    assert (browser.who(), browser.login_cookie()) == (name, cookie)


def test_a_member_never_becomes_a_guest(browser: Browser) -> None:
    browser.sign_in("alice")
    browser.open("/hub/guest?next=/")
    assert browser.who() == "alice"


@pytest.mark.parametrize(
    "page", ["https://evil.example/", "//evil.example/", "/\\evil.example", "///evil.example/", "javascript:alert(1)"]
)
def test_a_guest_is_sent_to_pages_of_this_site_only(hub_site: HubSite, browser: Browser, page: str) -> None:
    url = f"{hub_site.public}/hub/guest"
    answer = browser.get(url, params={"next": page}, allow_redirects=False, timeout=10)
    location = answer.headers["Location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))


def test_a_guest_can_sign_in_and_becomes_a_member(hub_site: HubSite, browser: Browser) -> None:
    browser.open("/hub/guest?next=/")
    page = browser.open("/hub/signin?next=/v2/gh/a/b/main")
    assert 'name="password"' in page.text
    answer = browser.sign_in("bob", page="/hub/signin?next=/")
    assert answer.status_code == 200
    assert browser.who() == "bob"
    # A member is sent on at once.
    assert browser.open("/hub/signin?next=/somewhere").url == f"{hub_site.public}/somewhere"


def test_a_wrong_password_lets_nobody_in(browser: Browser) -> None:
    told = browser.sign_in("alice", PASSWORD + "x")
    assert told.status_code == 403
    assert "That name and password do not belong together." in told.text
    assert browser.who() == ""


def test_the_hubs_pages_are_in_the_readers_language_and_lead_back(browser: Browser) -> None:
    page = browser.open("/hub/signin?next=/&from=/v2/gh/a/b/main", headers={"Accept-Language": "fr"})
    assert '<html lang="fr">' in page.text
    assert 'href="/v2/gh/a/b/main">Retour au lancement</a>' in page.text
    assert "<script" not in page.text
    missing = browser.open("/hub/nowhere?from=%ff", headers={"Accept-Language": "en"})
    assert missing.status_code == 404
    assert "There is no such page" in missing.text
    assert 'href="/">Home page</a>' in missing.text
    browser.cookies.set("repolaunch-language", "fr", path="/")
    assert "Vos projets sont ailleurs" in browser.sign_in("carol", page="/hub/login?next=/hub/home").text or (
        "Vos projets sont ailleurs" in browser.open("/hub/home").text
    )
    assert "API" in browser.open("/hub/token").text, "JupyterHub's own pages are as they were"


@pytest.mark.parametrize(
    "name",
    ["project-abcdefghij", "Project-abcdefghij", "PROJECT-x", "guest-0123456789ab", "launcher", "Launcher", "operator"],
)
def test_reserved_names_are_refused(browser: Browser, name: str) -> None:
    assert browser.sign_in(name).status_code == 403
    assert browser.who() == ""


def test_nobody_starts_a_server_by_hand(hub_site: HubSite, browser: Browser) -> None:
    project = hub_site.project()
    browser.sign_in("mallory")
    headers = {"X-XSRFToken": browser.xsrf(), "Referer": f"{hub_site.public}/hub/home"}
    body = {"user_options": {"project": project.id}}
    for account in ("mallory", project.account):
        answer = browser.post(
            f"{hub_site.public}/hub/api/users/{account}/server", json=body, headers=headers, timeout=10
        )
        assert answer.status_code in {403, 404}, answer.text
    assert browser.open("/hub/spawn").status_code == 403
    # The launcher's own role does not reach people; and it is refused a project's server for another project's files.
    as_launcher = {"Authorization": f"token {hub_site.token}"}
    answer = requests.post(f"{hub_site.api}/users/mallory/server", json=body, headers=as_launcher, timeout=10)
    assert answer.status_code in {403, 404}, answer.text
    another = hub_site.project().account
    requests.post(f"{hub_site.api}/project-accounts/{another}", headers=as_launcher, timeout=10).raise_for_status()
    requests.post(f"{hub_site.api}/users/{another}/server", json=body, headers=as_launcher, timeout=10)
    progress = requests.get(f"{hub_site.api}/users/{another}/server/progress", headers=as_launcher, timeout=10)
    assert "refused: Only a project has a session, and only its own." in progress.text


async def test_whom_a_project_is_shared_with_enters_and_nobody_else(
    hub_site: HubSite, browser: Browser, other: Browser
) -> None:
    project = hub_site.project()
    browser.sign_in("carol")
    other.open("/hub/guest?next=/")
    await hub_site.sessions().start(project, Account("carol", Kind.MEMBER), lambda _: None)
    mine = enter(browser, project)
    # No page asked for consent on the way.
    assert mine.status_code == 200, mine.text
    assert mine.json()["identity"]["username"] == "carol"
    assert enter(other, project).status_code == 403
    # A guest who launches it later joins the same session.
    await hub_site.sessions().start(project, Account(other.who(), Kind.GUEST), lambda _: None)
    assert enter(other, project).json()["identity"]["username"] == other.who()
    await hub_site.sessions().stop(project.id)


async def test_a_session_never_receives_the_login(hub_site: HubSite, browser: Browser) -> None:
    project = hub_site.with_facts(hub_site.project(), server=("python3", "-c", RECORDER))
    browser.sign_in("dave")
    await hub_site.sessions().start(project, Account("dave", Kind.MEMBER), lambda _: None)
    received = browser.open(f"/user/{project.account}/tree").json()["headers"]
    login = browser.login_cookie()
    assert login
    assert login not in json.dumps(received)
    sent = {pair.split("=", 1)[0].strip() for pair in received.get("Cookie", "").split(";") if pair.strip()}
    # Not a credential: it only says which browser it is (JupyterHub's logout uses it).
    assert sent <= {"jupyterhub-session-id"}
    paths = {cookie.name: cookie.path for cookie in browser.cookies}
    assert paths["jupyterhub-hub-login"] == "/hub/"
    assert paths["_xsrf"] == "/hub/"
    await hub_site.sessions().stop(project.id)


async def test_the_id_of_a_browser_opens_nothing(hub_site: HubSite, browser: Browser) -> None:
    browser.sign_in("erin")
    session_id = browser.cookies.get("jupyterhub-session-id")
    assert session_id
    with requests.Session() as thief:
        thief.cookies.set("jupyterhub-session-id", session_id)
        assert thief.get(f"{hub_site.public}/hub/api/user", timeout=10).status_code == 403
        home = thief.get(f"{hub_site.public}/hub/home", timeout=10)
        assert "/hub/login" in home.url


async def test_a_sessions_own_login_stays_with_it(hub_site: HubSite, browser: Browser) -> None:
    project = hub_site.project()
    browser.sign_in("frank")
    await hub_site.sessions().start(project, Account("frank", Kind.MEMBER), lambda _: None)
    enter(browser, project)
    paths = {cookie.path for cookie in browser.cookies if cookie.name == f"jupyterhub-user-{project.account}"}
    assert paths == {f"/user/{project.account}/"}
    await hub_site.sessions().stop(project.id)


def test_everything_but_the_hub_goes_to_the_launcher(hub_site: HubSite) -> None:
    for path in ("/", "/v2/gh/a/b/main", "/api/v1/me", "/user/project-abcdefghij/lab", "/services/launcher/"):
        answer = requests.get(hub_site.public + path, timeout=10)
        assert answer.text == f"the launcher, at {path}"
    assert "version" in requests.get(f"{hub_site.public}/hub/api/", timeout=10).json()


@pytest.mark.parametrize(
    "headers, signed_out",
    [
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, False),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, False),
        ({}, False),
        ({"Referer": "http://evil.example/"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Referer": "{public}/hub/home"}, True),
    ],
)
def test_only_our_own_page_signs_somebody_out(
    hub_site: HubSite, browser: Browser, headers: dict[str, str], *, signed_out: bool
) -> None:
    browser.sign_in("alice")
    sent = {name: value.format(public=hub_site.public) for name, value in headers.items()}
    answer = browser.open("/hub/logout", headers=sent)
    assert answer.ok
    browser.open("/hub/home")
    assert (browser.who() == "") is signed_out
