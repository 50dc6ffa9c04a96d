"""`/api/v1/connect`: OAuth at a git host, here a stand-in over TLS with a real `git http-backend` behind it."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from sqlalchemy import text

from launcher.credentials.oauth import KINDS, Application, OAuth
from launcher.errors import CredentialRefused
from launcher.model import Account, Kind
from launcher.repos.private import PrivateResolver
from launcher.repos.providers import parse_url
from launcher.repos.resolver import GitResolver
from tests.fixtures.repos import served_over_http
from tests.fixtures.serving_private import PrivateHandler, PrivateHost, certificate_of, context_of
from tests.fixtures.trees import LOOPBACK, PROTOCOLS
from tests.fixtures.web import ADAS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.credentials.keyring import Keyring
    from launcher.store.database import Database
    from tests.fixtures.web import Site

ADA = Account("ada", Kind.MEMBER)
CLIENT = {"client_id": "our-id", "client_secret": "our-secret-5d1e"}


@dataclass(frozen=True)
class OAuthHost(PrivateHost):
    """`codes`: code → the PKCE challenge that it was given for; `asked`: every question for a token."""

    codes: dict[str, str] = field(default_factory=dict)
    refreshes: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)
    seconds: list[int] = field(default_factory=lambda: [7200])
    basic: list[str] = field(default_factory=list)
    """What each of them had in its header."""
    answer: list[tuple[int, bytes]] = field(default_factory=list)
    """What is answered instead."""
    elsewhere: list[str] = field(default_factory=list)
    """What arrived at the address that the host leads on to."""


class OAuthHandler(PrivateHandler):
    """GitLab's token endpoint (docs.gitlab.com/api/oauth2): a refresh token is good once."""

    host: OAuthHost

    def do_POST(self) -> None:  # noqa: N802  # as http.server calls it
        if self.path == "/elsewhere":
            self.host.elsewhere.append(self._body().decode())
            self._answer(200, {"Content-Type": "application/json"}, b'{"access_token": "a"}')
            return
        if self.path != "/oauth/token":
            self._serve()
            return
        asked = dict(parse_qsl(self._body().decode()))
        self.host.asked.append(asked)
        if self.host.answer:
            status, body = self.host.answer[-1]
            leads = {"Location": f"{self.host.base}/elsewhere"} if status // 100 == 3 else {}
            self._answer(status, {"Content-Type": "application/json", **leads}, body)
            return
        verifier = asked.get("code_verifier", "")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        basic = self.headers.get("Authorization", "").removeprefix("Basic ")
        self.host.basic.append(base64.b64decode(basic).decode())
        by_header = basic and self.host.basic[-1] == ":".join(CLIENT.values())
        known = by_header or {name: asked.get(name) for name in CLIENT} == CLIENT
        good = {
            "authorization_code": self.host.codes.pop(asked.get("code", ""), None) == challenge,
            "refresh_token": asked.get("refresh_token") in self.host.refreshes,
        }[asked["grant_type"]]
        if not known or not good:
            self._answer(400, {"Content-Type": "application/json"}, b'{"error": "invalid_grant"}')
            return
        self.host.refreshes.discard(asked.get("refresh_token", ""))
        access, refresh = f"acc-{secrets.token_hex(8)}", f"ref-{secrets.token_hex(8)}"
        self.host.refreshes.add(refresh)
        for login in [one for one in self.host.logins if one.startswith("oauth2:")]:
            self.host.logins[login] = ()
        self.host.logins[f"oauth2:{access}"] = ("/lab/",)
        told = {"access_token": access, "refresh_token": refresh, "expires_in": self.host.seconds[-1]}
        self._answer(200, {"Content-Type": "application/json"}, json.dumps(told).encode())


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OAuthHost]:
    authority = str(certificate_of(tmp_path))
    for name in ("GIT_SSL_CAINFO", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, authority)
    (tmp_path / "served").mkdir()
    with served_over_http(tmp_path / "served", OAuthHost, OAuthHandler, context_of(authority)) as one:
        one.logins["nobody:x"] = ("/lab/",)
        yield one


@pytest.fixture
def keyring(site: Site, host: OAuthHost) -> Iterator[Keyring]:
    """Of the site, with an application at the host."""
    ring = cast("Keyring", site.web.credentials)
    ring.oauth = OAuth(
        {host.base: Application(KINDS["gitlab"], CLIENT["client_id"], CLIENT["client_secret"])}, time.time
    )
    yield ring
    ring.oauth.close()


async def begun(site: Site, host: OAuthHost, token: str = ADAS) -> tuple[dict[str, str], dict[str, str]]:
    """Go to the host: what it is asked, and the browser's cookie."""
    address = f"{site.base}/api/v1/connect?host={urlsplit(host.base).netloc}&next=/about"
    async with site.client.get(address, headers=site.headers(token), allow_redirects=False) as answer:
        assert answer.status == 302, await answer.text()
        where = urlsplit(answer.headers["Location"])
        cookie = SimpleCookie(answer.headers["Set-Cookie"])["repolaunch-connect"]
    assert f"{where.scheme}://{where.netloc}{where.path}" == f"{host.base}/oauth/authorize"
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"]) == ("Lax", "/api/v1/")
    asked = {name: values[0] for name, values in parse_qs(where.query).items()}
    assert CLIENT["client_secret"] not in where.query
    return asked, {"Cookie": f"repolaunch-connect={cookie.value}"}


def agrees(host: OAuthHost, asked: dict[str, str]) -> str:
    """The person clicks; the code."""
    code = secrets.token_hex(8)
    host.codes[code] = asked["code_challenge"]
    return code


async def back(site: Site, code: str, state: str, cookie: dict[str, str], token: str = ADAS) -> tuple[int, str, Any]:
    """The browser comes back: status, where it is led, and the error's code."""
    address = f"{site.base}/api/v1/connected?code={code}&state={state}"
    async with site.client.get(address, headers=site.headers(token) | cookie, allow_redirects=False) as answer:
        body = await answer.text()
        told = json.loads(body)["error"] if answer.status >= 400 else None
        return answer.status, answer.headers.get("Location", ""), told


async def test_a_host_that_takes_the_secret_in_the_header_alone_is_told_it_there(host: OAuthHost) -> None:
    kind = KINDS["bitbucket"]
    asks = OAuth({host.base: Application(replace(kind, token="/oauth/token"), *CLIENT.values())}, time.time)
    where = urlsplit(asks.authorize_url(host.base, "https://here/back", "state", "challenge"))
    assert (where.path, parse_qs(where.query)["scope"]) == ("/site/oauth2/authorize", ["repository"])
    verifier = secrets.token_hex(16)
    host.codes["c"] = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    grant = await asks.redeem(host.base, "c", verifier, "https://here/back")
    await asks.renew(host.base, grant)
    asks.close()
    assert host.basic == [":".join(CLIENT.values())] * 2
    assert not any(CLIENT["client_secret"] in asked.values() for asked in host.asked)
    assert asks.username(host.base) == "x-token-auth"


async def test_a_person_agrees_and_their_repository_opens(
    site: Site, host: OAuthHost, keyring: Keyring, database: Database
) -> None:
    repo = host.make_repo("lab/notes", {"README.md": "between us\n"})
    asked, cookie = await begun(site, host)
    assert (asked["client_id"], asked["scope"], asked["code_challenge_method"]) == ("our-id", "read_repository", "S256")
    assert asked["redirect_uri"] == f"{site.base}/api/v1/connected"
    assert await back(site, agrees(host, asked), asked["state"], cookie) == (302, "/about", None)
    listed = await site.json("GET", "/api/v1/credentials", headers=site.headers())
    assert [(one["kind"], one["place"], one["username"]) for one in listed] == [("oauth", host.base, "oauth2")]
    async with database.reading() as session:
        rows = str((await session.execute(text("SELECT * FROM credentials"))).all())
    assert "acc-" not in rows + str(listed)
    assert "ref-" not in rows + str(listed)
    asking = GitResolver(LOOPBACK, PROTOCOLS, 30)
    resolver = PrivateResolver(asking, asking, keyring)
    assert (await resolver.resolve(parse_url(repo.url), ADA)).commit == repo.commit
    # It ends, and is renewed: once, however many ask, since a refresh token is good once.
    keyring.oauth._clock = keyring._clock = lambda: time.time() + 7200
    host.asked.clear()
    assert (await resolver.resolve(parse_url(repo.url), ADA)).commit == repo.commit
    assert (await resolver.resolve(parse_url(repo.url), ADA)).commit == repo.commit
    assert [one["grant_type"] for one in host.asked] == ["refresh_token"]
    # The person takes it back at the host.
    host.refreshes.clear()
    keyring._clock = lambda: time.time() + 30000
    with pytest.raises(Exception, match="lab/notes") as caught:
        await resolver.resolve(parse_url(repo.url), ADA)
    assert not isinstance(caught.value, CredentialRefused), "as for one that does not exist"
    asking.close()


async def test_only_who_began_in_this_browser_ends_it(site: Site, host: OAuthHost, keyring: Keyring) -> None:
    """Another's code in my browser, my code in another's, the state of another time, no cookie, twice."""
    asked, cookie = await begun(site, host)
    _, bobs = await begun(site, host, "bob-token")
    for state, kept, token in (
        (asked["state"][::-1], cookie, "ada-token"),
        ("", cookie, "ada-token"),
        (asked["state"], {}, "ada-token"),
        (asked["state"], bobs, "ada-token"),
        (asked["state"], cookie, "bob-token"),
    ):
        status, _, told = await back(site, agrees(host, asked), state, kept, token)
        assert (status, told["code"]) == (400, "bad-request"), state
    status, _, told = await back(site, "", asked["state"], cookie)
    assert (status, told["seen"]) == (400, "code: The git host gave none: perhaps nobody agreed.")
    assert host.asked == []
    assert await keyring.list("ada") == []
    # A browser is led on to where it can be begun again.
    address = f"{site.base}/api/v1/connected?code=x&state=y"
    async with site.client.get(address, headers=site.headers() | {"Accept": "text/html"}) as answer:
        assert 'href="/credentials">Private repositories</a>' in await answer.text()
    for token, status in (("guest-token", 403), ("wrong", 401)):
        address = f"{site.base}/api/v1/connect?host={urlsplit(host.base).netloc}"
        async with site.client.get(address, headers=site.headers(token), allow_redirects=False) as answer:
            assert answer.status == status


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"{}"),
        (200, b"[]"),
        (200, b"not JSON"),
        (200, b'{"access_token": "a b"}'),
        (200, b'{"access_token": "a\\npassword=b"}'),
        (200, b'{"access_token": "a", "expires_in": "soon"}'),
        (302, b""),
        (307, b""),
        (500, b"{}"),
        (200, b'{"access_token": "' + b"x" * 70_000 + b'"}'),
    ],
)
async def test_what_a_host_may_answer_instead(
    site: Site, host: OAuthHost, keyring: Keyring, answer: tuple[int, bytes]
) -> None:
    host.answer.append(answer)
    asked, cookie = await begun(site, host)
    status, _, told = await back(site, agrees(host, asked), asked["state"], cookie)
    assert (status, told["code"]) == (502, "connect-failed")
    assert host.elsewhere == [], "the application's secret is for its host"
    assert CLIENT["client_secret"] not in str(told)
    assert await keyring.list("ada") == []


async def test_a_host_without_an_application(site: Site, keyring: Keyring, host: OAuthHost) -> None:
    assert await keyring.list("ada") == []
    answer = await site.json("GET", "/api/v1/connect?host=git.example.org", status=400, headers=site.headers())
    assert answer["error"]["seen"] == "host: This service has no application at “https://git.example.org”."
    assert urlsplit(host.base).netloc in answer["error"]["todo"]
