"""A private repository through the whole service: its person, and a second account that knows all but a token."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from launcher.operate.installation import free_port
from tests.fixtures.service import Service, Visitor, visiting
from tests.fixtures.serving_private import certificate_of, served_privately

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.repos import GitHost, Repo
    from tests.fixtures.serving_private import PrivateHost

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(900)]
TOKEN, OTHERS = f"tok-ada-{secrets.token_hex(8)}", f"tok-bob-{secrets.token_hex(8)}"
SECRET = f"between us {secrets.token_hex(8)}"
BASE = "FROM localhost/repolaunch/base:1\n"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateHost]:
    monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate_of(tmp_path)))
    with served_privately(tmp_path / "served") as one:
        yield one


@pytest.fixture
def site(tmp_path: Path, host: PrivateHost) -> Iterator[Service]:
    """A service that trusts the host."""
    del host
    one = Service(tmp_path / "data", free_port())
    try:
        one.start()
        yield one
    finally:
        one.remove()


async def sign_in(visitor: Visitor, name: str) -> None:
    """As a member, with the hub's form."""
    password = (visitor.service.data / "secrets" / "shared-password").read_text().strip()
    async with visitor.http.get("/api/v1/login", params={"next": "/", "as": "member"}) as page:
        text = await page.text()
        form = {"username": name, "password": password, "_xsrf": text.split('name="_xsrf" value="')[1].split('"')[0]}
        target = URL(text.split('<form action="')[1].split('"')[0].replace("&amp;", "&"), encoded=True)
    async with visitor.http.post(page.url.join(target), data=form) as answer:
        assert answer.status == 200, (answer.status, str(answer.url))
    status, me = await visitor.call("GET", "/api/v1/me")
    assert (status, me["name"], me["kind"]) == (200, name, "member")
    visitor.xsrf = me["xsrf"]


async def keep(visitor: Visitor, host: PrivateHost, name: str, token: str) -> None:
    status, kept = await visitor.post("/api/v1/credentials", {"host": host.base, "username": name, "token": token})
    assert status == 201, kept


def closed(host: PrivateHost) -> Repo:
    """A repository of ada's, whose image has a secret in it."""
    host.logins[f"ada:{TOKEN}"] = ("/lab/notes.git",)
    dockerfile = f"{BASE}USER root\nRUN echo '{SECRET}' >/opt/secret\nUSER 1000\n"
    return host.make_repo("lab/notes", {"Dockerfile": dockerfile, "notes.txt": SECRET})


def failed(events: list[dict[str, Any]]) -> tuple[str, str]:
    assert events[-1]["type"] == "failed", events[-1]
    return events[-1]["code"], events[-1]["seen"]


async def test_its_person_works_in_it_and_a_second_account_gets_nothing(
    site: Service, host: PrivateHost, git_daemon: GitHost
) -> None:
    repo = closed(host)
    async with visiting(site) as ada, visiting(site) as bob:
        await sign_in(ada, "ada")
        await sign_in(bob, "bob")
        await keep(ada, host, "ada", TOKEN)
        status, launch = await ada.post("/api/v1/launches", {"url": repo.url})
        assert status == 201
        events = [event async for event in ada.follow(launch["id"])]
        ready = events[-1]
        assert ready["type"] == "ready", ready
        session = await ada.session(ready["path"])
        seen = await session.run(
            "import os, subprocess; print(open('notes.txt').read(), open('/opt/secret').read());"
            "print(dict(os.environ), subprocess.run('git config --list --show-origin; cat .git/config .git/FETCH_HEAD',"
            "shell=True, capture_output=True, text=True).stdout)"
        )
        assert seen.count(SECRET) == 2
        assert repo.url in seen
        assert TOKEN not in seen + json.dumps(events)
        image = _private_image(site)
        await _second_account(bob, ada, launch["id"], ready["project"], repo)
        await _image_names(bob, git_daemon, image)
        await asyncio.to_thread(_nobody_has_the_token, site, image)
        await _who_may_read_it_shares_the_image(bob, host, repo)
        host.logins[f"ada:{TOKEN}"] = ()
        host.logins["somebody:else"] = ("/lab/",)
        assert failed(await ada.launch(repo.url))[0] == "credential-refused"
    assert host.shown == [], "no process showed a token while it was used"


def _private_image(site: Service) -> Any:
    """The image, as the sessions' engine has it, pushed to its own namespace or on its way."""
    mine = [one for one in site.engine().images.list() if any(f"{site.id}-env:" in tag for tag in one.tags)]
    assert len(mine) == 1, [one.tags for one in mine]
    return mine[0]


async def _second_account(bob: Visitor, ada: Visitor, launch: str, project: str, repo: Repo) -> None:
    """Who has the link, the launch's id, the project's id and the log's address."""
    nothing = repo.url.replace("notes", "nothing")
    code, seen = failed(await bob.launch(repo.url))
    assert (code, seen.replace("notes", "nothing")) == failed(await bob.launch(nothing))
    assert code == "repository-missing"
    for method, path in (
        ("GET", f"launches/{launch}"),
        ("DELETE", f"launches/{launch}"),
        ("GET", f"launches/{launch}/events"),
        ("GET", f"projects/{project}"),
        ("POST", f"projects/{project}/session"),
        ("GET", f"projects/{project}/open"),
        ("DELETE", f"sessions/{project}"),
    ):
        status, told = await bob.call(method, f"/api/v1/{path}")
        assert status == 404, path
        assert "notes" not in json.dumps(told)
    for path in ("lab", "api/contents/notes.txt"):
        async with bob.http.get(f"/user/project-{project}/{path}") as answer:
            assert answer.status in {403, 404}
            assert SECRET not in await answer.text()
    spec = repo.spec + "/HEAD"
    async with bob.http.get(URL(f"{bob.service.base_url}/badge/state/git/{spec}.svg", encoded=True)) as answer:
        badge = await answer.text()
    async with bob.http.get(
        URL(f"{bob.service.base_url}/badge/state/git/{spec.replace('notes', 'nothing')}.svg", encoded=True)
    ) as answer:
        assert badge == await answer.text(), "bob's own launches of both failed"
    status, launches = await bob.call("GET", "/api/v1/launches")
    assert (status, [one["state"] for one in launches]) == (200, ["failed", "failed"])
    assert (await ada.call("GET", f"/api/v1/launches/{launch}"))[0] == 200


async def _image_names(bob: Visitor, git_daemon: GitHost, image: Any) -> None:
    """Who builds on the image by every name that it has."""
    names = [*image.tags, *(image.attrs["RepoDigests"] or ()), image.id, image.short_id.removeprefix("sha256:")]
    assert any("/private/" in name for name in names), names
    for name in names:
        repo = git_daemon.make_repo(files={"Dockerfile": f"FROM {name}\nRUN cat /opt/secret\n"})
        events = await bob.launch(repo.url)
        assert events[-1]["type"] == "failed", (name, events[-1])
        assert SECRET not in json.dumps(events), name


def _nobody_has_the_token(site: Service, image: Any) -> None:
    found = subprocess.run(
        ["grep", "-rlaF", TOKEN, str(site.data), str(site.data.parent / "data-up.log")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == ""
    assert TOKEN not in json.dumps(image.attrs) + json.dumps(image.history())


async def _who_may_read_it_shares_the_image(bob: Visitor, host: PrivateHost, repo: Repo) -> None:
    await keep(bob, host, "bob", OTHERS)
    host.logins[f"bob:{OTHERS}"] = ("/lab/other.git",)
    assert failed(await bob.launch(repo.url))[0] == "credential-refused"
    host.logins[f"bob:{OTHERS}"] = ("/lab/notes.git",)
    events = await bob.launch(repo.url)
    assert events[-1]["type"] == "ready", events[-1]
    assert not [event for event in events if event.get("stage") == "build"], "it was built for ada"
    session = await bob.session(events[-1]["path"])
    assert (await session.run("print(open('notes.txt').read())")).strip() == SECRET
