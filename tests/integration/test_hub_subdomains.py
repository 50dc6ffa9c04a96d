"""With a wildcard domain, every session has a subdomain of its own, which receives no cookie of another."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from launcher.model import Account, Kind
from tests.fixtures import hostile
from tests.fixtures.hub import Browser, HubSite, make_site

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.engine
DOMAIN = "hub.repolaunch.test"
RECORDER = """
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(dict(self.headers)).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("0.0.0.0", 8888), Handler).serve_forever()
"""


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubSite]:
    """A hub on a wildcard domain; names under it lead to loopback in this process, as its DNS would say."""
    real = socket.getaddrinfo

    def lookup(host: Any, *rest: Any, **options: Any) -> Any:
        under = isinstance(host, str) and (host == DOMAIN or host.endswith(f".{DOMAIN}"))
        return real("127.0.0.1" if under else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    made = make_site(tmp_path_factory.mktemp("hub"), DOMAIN)
    yield made
    made.close()


async def test_sessions_on_subdomains(site: HubSite) -> None:
    port = site.public.rpartition(":")[2]
    one = site.project()
    recorder = site.with_facts(site.project(), server=("python3", "-c", RECORDER))
    sessions = site.sessions()
    with Browser(site) as person:
        person.sign_in("alice")
        for project in (one, recorder):
            await sessions.start(project, Account("alice", Kind.MEMBER), lambda _: None)
        home = f"http://{one.account}.{DOMAIN}:{port}/user/{one.account}/lab"
        page = person.get(home, timeout=20)
        assert (page.status_code, page.url) == (200, home)
        received = person.get(f"http://{recorder.account}.{DOMAIN}:{port}/user/{recorder.account}/", timeout=20).json()
        login = person.cookies.get("jupyterhub-hub-login")
        assert login
        assert login not in json.dumps(received)
        assert "jupyterhub-user" not in received.get("Cookie", "")
        # The domain itself is the launcher's and the hub's; so is the subdomain of a session that has stopped.
        assert person.open("/v2/gh/a/b/main").text == "the launcher, at /v2/gh/a/b/main"
        await sessions.stop(one.id)
        assert person.get(home, timeout=20).text.startswith("the launcher, at /user/")
    await sessions.stop(recorder.id)


async def test_nothing_that_a_session_answers_outlives_it(site: HubSite) -> None:
    """Nor reaches another name of the domain: no cookie with a domain is passed on."""
    project = site.with_facts(site.project(), server=hostile.SERVER)
    sessions = site.sessions()
    await sessions.start(project, Account("", Kind.ANONYMOUS), lambda _: None)
    kept = hostile.ELSEWHERE + hostile.OWN_COOKIES
    assert list(hostile.outliving(site.public, f"{project.account}.{DOMAIN}", project, kept)) == []
    await sessions.stop(project.id)
