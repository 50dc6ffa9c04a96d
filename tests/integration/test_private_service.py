"""A private repository through the whole service: its person, and a second account that knows all but a token."""

from __future__ import annotations

import asyncio
import html
import json
import re
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pytest
from yarl import URL

from launcher.operate.installation import free_port
from tests.fixtures.nix import SET
from tests.fixtures.service import Service, Visitor, visiting
from tests.fixtures.serving_private import certificate_of, served_privately
from tests.integration.test_closure_service import typed

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    one = Service(tmp_path / "data", free_port(), {"REPOLAUNCH_CREDENTIALS_OF_ANY_NAME": "true"})
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
        assert not list(site.data.glob("registry/**/source/_manifests/tags/*")), "its files are archived"
        _records(site, launch["id"])
        await _second_account(bob, ada, launch["id"], ready["project"], repo)
        await _image_names(bob, git_daemon, image)
        await asyncio.to_thread(_nobody_has_the_token, site, image)
        await _registry_from_a_session(bob, git_daemon, image)
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
    await _pages(bob, launch, repo, nothing)


async def _pages(bob: Visitor, launch: str, repo: Repo, nothing: str) -> None:
    """What there is to be read besides: pages that last, BinderHub's interface, lists, metrics, the operator's own."""
    for path in (f"launches/{launch}/page", f"launches/{launch}/log"):
        async with bob.http.get(f"/api/v1/{path}") as answer:
            assert answer.status == 404, path
            assert "notes" not in await answer.text()
    async with bob.http.get(f"/launches/{launch}") as answer:
        assert (answer.status, str(answer.url).endswith("/page")) == (404, True)
        assert "notes" not in await answer.text()
    spec, other = repo.spec, quote(nothing, safe="")
    pages = [await _read(bob, f"/v2/git/{one}/HEAD", one, "S") for one in (spec, other)]
    assert len({(status, text.count("notes"), text.count("private/")) for status, text in pages}) == 1, (
        "the launch page"
    )
    for path in ("/build/git/{}/HEAD", "/build/git/{}/HEAD?build_only=true"):
        real, made_up = [await _read(bob, path.format(one), one, mark) for one, mark in ((spec, "S"), (other, "S"))]
        assert real == made_up, path
        assert SECRET not in str(real)
    told = [(await bob.post("/api/v1/launches", {"url": one}))[1] for one in (repo.url, nothing)]
    assert [one["usual"] for one in told] == [{}, {}], "how long it took somebody is not told"
    for one in told:
        assert failed([event async for event in bob.follow(one["id"])])[0] == "repository-missing"
    for path in ("/metrics", "/credentials", "/api/v1/queue", "/api/v1/limits", "/about", "/versions", "/health", "/"):
        async with bob.http.get(path) as answer:
            assert "notes" not in await answer.text(), path
    for method, path in (("GET", "collection"), ("POST", "collection"), ("GET", "policy")):
        assert (await bob.call(method, f"/api/v1/{path}"))[0] in {403, 404, 405}, path


async def _read(bob: Visitor, path: str, spec: str, mark: str) -> tuple[int, str]:
    """Status and text, but for what was asked and what differs from answer to answer."""
    address = URL(bob.service.base_url + path, encoded=True)
    async with bob.http.get(address, headers={"Accept": "text/event-stream, text/html"}) as answer:
        text = (await answer.text()).replace(spec, mark).replace(unquote(spec), mark)
    for word in (spec, unquote(spec)):
        text = text.replace(html.escape(word), mark).replace(word.rpartition("/")[2], mark)
    text = text.replace("lab/nothing", mark).replace("lab/notes", mark)
    return answer.status, re.sub(r"[0-9a-f]{32}|nonce[-=][^\s>]+|_xsrf[^>]+|\d+\.\d+", "", text)


async def _image_names(bob: Visitor, git_daemon: GitHost, image: Any) -> None:
    """Who builds on the image by every name that it has."""
    names = [*image.tags, *(image.attrs["RepoDigests"] or ()), image.id, image.short_id.removeprefix("sha256:")]
    assert any("/private/" in name for name in names), names
    for name in names:
        repo = git_daemon.make_repo(files={"Dockerfile": f"FROM {name}\nRUN cat /opt/secret\n"})
        events = await bob.launch(repo.url)
        assert events[-1]["type"] == "failed", (name, events[-1])
        assert SECRET not in json.dumps(events), name


def _records(site: Service, launch: str) -> None:
    """The record of launches: BinderHub's lines, which sites publish, have nothing of it; ours says that it is none."""
    lines = [json.loads(line) for path in site.data.rglob("launches.jsonl") for line in path.read_text().splitlines()]
    assert [(one["schema"], one["public"], one["launch"]) for one in lines] == [("repolaunch/launch", False, launch)]


async def _registry_from_a_session(bob: Visitor, git_daemon: GitHost, image: Any) -> None:
    """Whoever knows the image's whole name asks the registry: from a session, and from this machine."""
    (name,) = [one for one in image.tags if "/private/" in one]
    host, _, rest = name.partition("/")
    repository, _, tag = rest.rpartition(":")
    port = host.rpartition(":")[2]
    path = f"/v2/{repository}/manifests/{tag}"
    async with bob.http.get(f"http://127.0.0.1:{port}{path}") as answer:
        assert answer.status == 401
    events = await bob.launch(git_daemon.make_repo(files={"Dockerfile": BASE}).url)
    session = await bob.session(events[-1]["path"])
    said = await session.run(
        "import socket, urllib.request\n"
        "hosts = ['127.0.0.1', 'localhost', *[line.split()[0] for line in open('/etc/hosts') if '.' in line]]\n"
        "routes = [line.split() for line in open('/proc/net/route')]\n"
        "gates = [socket.inet_ntoa(bytes.fromhex(one[2])[::-1]) for one in routes if one[1] == '0' * 8]\n"
        "for one in [*hosts, *gates]:\n"
        f"    try: print(urllib.request.urlopen(f'http://{{one}}:{port}{path}', timeout=5).status)\n"
        "    except OSError as error: print('nothing', one)"
    )
    assert said.count("nothing") >= 3, said
    assert "200" not in said


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


async def test_an_environment_of_nix_is_launched_from_a_store_of_its_own(
    site: Service, host: PrivateHost, git_daemon: GitHost, nix_seed: Path
) -> None:
    """And who names its store path, in a repository of their own, gets nothing."""
    host.logins[f"ada:{TOKEN}"] = ("/lab/nixed.git",)
    repo = _seeded(host, nix_seed, "lab/nixed", f'[ (program "tool" "echo {SECRET}") ]')
    async with visiting(site) as ada, visiting(site) as bob:
        await sign_in(ada, "ada")
        await keep(ada, host, "ada", TOKEN)
        events = await ada.launch(repo.url)
        ready = events[-1]
        assert ready["type"] == "ready", ready
        session = await ada.session(ready["path"])
        assert await session.read("notes.txt") == SECRET
        assert SECRET in await typed(session, "tool; cat /proc/self/mountinfo | grep /nix; echo sum: 1")
        stores = Path(site.environment["REPOLAUNCH_STORES"])
        tool = _tool(stores)
        path = f"/nix/store/{tool.name}"
        assert not (stores / path[1:]).exists()
        views = [at["Source"] for one in site.containers() for at in one.attrs["Mounts"] if at["Destination"] == "/nix"]
        assert [one.startswith(str(tool.parents[2] / "views")) for one in views] == [True]

        await bob.enter()
        for text in (
            f'run "x" "cat {path}/bin/tool >$out"',
            f'builtins.throw (builtins.readFile "{path}/bin/tool")',
            f'run "x" "cat ${{builtins.appendContext "{path}" {{ "{path}".path = true; }} }}/bin/tool >$out"',
        ):
            events = await bob.launch(_seeded(git_daemon, nix_seed, "", text).url)
            assert events[-1]["type"] == "failed", events[-1]
            assert SECRET not in json.dumps(events)
        assert (await bob.launch(repo.url))[-1]["code"] == "repository-missing"

        # It is the same project and the same image, without a build.
        again = await ada.launch(repo.url)
        assert again[-1]["project"] == ready["project"]


async def test_a_site_whose_engine_is_shared_opens_nothing_private(tmp_path: Path, host: PrivateHost) -> None:
    """A Dockerfile of anybody's could start from the image: `docker build` of that engine takes every one."""
    closed(host)
    one = Service(tmp_path / "shared", free_port(), {"REPOLAUNCH_BUILD_ENGINE": "shared"})
    try:
        await asyncio.to_thread(one.start)
        async with visiting(one) as ada:
            await sign_in(ada, "ada")
            asked = {"host": host.base, "username": "ada", "token": TOKEN}
            status, told = await ada.post("/api/v1/credentials", asked)
            assert (status, told["error"]["code"]) == (403, "private-not-here")
            assert failed(await ada.launch(f"{host.base}/lab/notes.git"))[0] == "repository-missing"
        assert host.sent == [], "no login was shown to the host"
    finally:
        await asyncio.to_thread(one.remove)


def _tool(stores: Path) -> Path:
    """Where the private program is."""
    found = stores.glob("private/*/nix/store/*-tool/bin/tool")
    (program,) = [one for one in found if SECRET in one.read_text(errors="replace")]
    return program.parents[1]


def _seeded(host: GitHost, seed: Path, name: str, text: str) -> Repo:
    """A repository with Nix's stand-in for a package set."""
    programs = [one for one in seed.rglob("*") if one.is_file()]
    files: dict[str, str | bytes] = {f"seed/{one.relative_to(seed)}": one.read_bytes() for one in programs}
    repo = host.make_repo(name, files | {"default.nix": SET + text, "notes.txt": SECRET})
    for one in files:
        (repo.work / one).chmod(0o755)
    repo.add({}, message="programs")
    return repo
