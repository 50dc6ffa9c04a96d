"""`/api/v1/credentials`: one's own alone, and nothing that opens ever comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import text

from launcher.credentials.keyring import closed_by
from launcher.model import Private
from launcher.settings import Settings
from launcher.web import auth
from tests.fixtures.web import OPERATOR_TOKEN, SECRET

if TYPE_CHECKING:
    from launcher.credentials.keyring import Keyring
    from launcher.store.database import Database
    from tests.fixtures.web import Site

PATH = "/api/v1/credentials"
GOOD = {"host": "git.example.org", "username": "ada", "token": "tok-7f3a9c"}


async def keep(site: Site, **changed: str) -> Any:
    return await site.json("POST", PATH, status=201, json=GOOD | changed, headers=site.headers())


async def test_a_token_is_kept_listed_replaced_and_forgotten(site: Site, database: Database) -> None:
    kept = await keep(site)
    assert kept == {
        "id": kept["id"],
        "kind": "token",
        "place": "https://git.example.org",
        "username": "ada",
        "public": "",
        "created": kept["created"],
        "used": None,
    }
    again = await keep(site, token="tok-newer")
    other = await keep(site, host="https://git.example.org:8443")
    listed = await site.json("GET", PATH, headers=site.headers())
    assert [one["id"] for one in listed] == [other["id"], again["id"]]
    async with database.reading() as session:
        rows = (await session.execute(text("SELECT * FROM credentials"))).all()
    assert "tok-" not in str(rows) + str(listed)
    await site.json("DELETE", f"{PATH}/{other['id']}", status=204, headers=site.headers())
    gone = await site.json("DELETE", f"{PATH}/{other['id']}", status=404, headers=site.headers())
    assert gone["error"]["code"] == "credential-missing"
    assert len(await site.json("GET", PATH, headers=site.headers())) == 1


async def test_of_a_key_the_public_half_alone_is_shown(site: Site, database: Database) -> None:
    asked = {"repository": "git@git.example.org:lab/notes.git"}
    kept = await site.json("POST", PATH, status=201, json=asked, headers=site.headers())
    assert (kept["kind"], kept["place"], kept["username"]) == ("ssh-key", asked["repository"], "git")
    assert kept["public"].startswith("ssh-ed25519 ")
    listed = await site.json("GET", PATH, headers=site.headers())
    assert listed == [kept]
    async with database.reading() as session:
        rows = (await session.execute(text("SELECT * FROM credentials"))).all()
    assert "PRIVATE" not in str(rows) + str(listed)


async def test_another_person_has_none_of_them(site: Site) -> None:
    kept = await keep(site)
    bob = site.headers("bob-token")
    assert await site.json("GET", PATH, headers=bob) == []
    answer = await site.json("DELETE", f"{PATH}/{kept['id']}", status=404, headers=bob)
    nothing = await site.json("DELETE", f"{PATH}/{'0' * 32}", status=404, headers=bob)
    assert answer["error"]["title"] == nothing["error"]["title"]
    assert len(await site.json("GET", PATH, headers=site.headers())) == 1


@pytest.mark.parametrize("token,status", [("guest-token", 403), (OPERATOR_TOKEN, 403), ("wrong", 401)])
async def test_only_who_has_signed_in_keeps_any(site: Site, token: str, status: int) -> None:
    headers = site.headers(token)
    await site.json("GET", PATH, status=status, headers=headers)
    await site.json("POST", PATH, status=status, json=GOOD, headers=headers)
    await site.json("DELETE", f"{PATH}/x", status=status, headers=headers)
    await site.json("GET", PATH, status=401)


async def test_a_page_of_another_site_keeps_nothing(site: Site) -> None:
    await site.json("POST", PATH, status=403, json=GOOD, headers=site.cookie())
    xsrf = {"X-XSRFToken": auth.xsrf_token(SECRET, "ada-token")}
    await site.json("POST", PATH, status=201, json=GOOD, headers=site.cookie() | xsrf)


@pytest.mark.parametrize(
    "changed,seen",
    [
        ({"host": "http://git.example.org"}, "host: A token is sent over https alone."),
        ({"host": "git.example.org/lab"}, "host: It is more than a host."),
        ({"username": ""}, "username: It is not one that git can send."),
        ({"username": "a:b"}, "username: It is not one that git can send."),
        ({"username": "a\nusername=b"}, "username: It is not one that git can send."),
        ({"token": ""}, "token: It is empty, too long, or holds a space."),
        ({"token": "a\npassword=b"}, "token: It is empty, too long, or holds a space."),
        ({"token": "x" * 4001}, "token: It is empty, too long, or holds a space."),
        ({"token": "x" * 9000}, "token: String should have at most 8000 characters."),
        ({"more": "1"}, "more: Extra inputs are not permitted."),
        ({"repository": "git@h:r"}, "body: Give either host, username and token, or repository."),
    ],
)
async def test_what_cannot_be_kept_is_said_without_the_token(site: Site, changed: dict[str, str], seen: str) -> None:
    answer = await site.json("POST", PATH, status=400, json=GOOD | changed, headers=site.headers())
    assert answer["error"]["seen"] == seen
    assert "tok-7f3a9c" not in str(answer)
    assert await site.json("GET", PATH, headers=site.headers()) == []


@pytest.mark.parametrize(
    "chosen,code",
    [
        ({"build_engine": "shared", "authenticator": "pam"}, "private-not-here"),
        ({"build_engine": "shared"}, "private-not-here"),
        ({}, "names-not-proven"),
        ({"authenticator": "dummy"}, "names-not-proven"),
        ({"authenticator": "jupyterhub.authenticators.shared.SharedPasswordAuthenticator"}, "names-not-proven"),
    ],
)
async def test_a_site_with_a_shared_engine_or_password_keeps_none_and_opens_nothing_with_those_it_has(
    site: Site, chosen: dict[str, Any], code: str
) -> None:
    """Anybody's build could start from the image; anybody could be the one who keeps it."""
    await keep(site)
    ring = cast("Keyring", site.web.credentials)
    ring.closed = closed_by(Settings(**chosen))
    assert ring.closed is not None
    for asked in (GOOD, {"repository": "git@git.example.org:lab/notes.git"}):
        answer = await site.json("POST", PATH, status=403, json=asked, headers=site.headers())
        assert answer["error"]["code"] == code
    path = "/api/v1/connect?host=git.example.org"
    assert (await site.json("GET", path, status=403, headers=site.headers()))["error"]["code"] == code
    assert await ring.found("ada", "https://elsewhere.example.org/x.git") == [], "it is as if it were not there"
    with pytest.raises(ring.closed):
        await ring.found("ada", "https://git.example.org/lab/notes.git")
    with pytest.raises(ring.closed):
        await ring.opened(Private("ada", "c1", "a" * 32), "https://git.example.org/lab/notes.git")
    (one,) = await site.json("GET", PATH, headers=site.headers())
    await site.json("DELETE", f"{PATH}/{one['id']}", status=204, headers=site.headers())


@pytest.mark.parametrize("chosen", [{"authenticator": "pam"}, {"credentials_of_any_name": True}])
def test_a_site_where_names_are_proven_or_the_operator_says_so_keeps_them(chosen: dict[str, Any]) -> None:
    assert closed_by(Settings(**chosen)) is None


async def test_so_many_and_no_more(site: Site) -> None:
    for number in range(20):
        await keep(site, host=f"git{number}.example.org")
    answer = await site.json("POST", PATH, status=409, json=GOOD, headers=site.headers())
    assert answer["error"]["seen"] == "One person may keep 20."
    await keep(site, host="git3.example.org", token="tok-newer")
