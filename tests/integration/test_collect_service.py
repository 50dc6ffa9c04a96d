"""`repolaunch gc` on a running service: what nobody uses goes, launches and pulls go on, what went is built again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shutil
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from launcher.operate.installation import free_port
from tests.fixtures.nix import author
from tests.fixtures.service import ROOT, Service, phases, visiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.fixtures.repos import GitHost, Repo
    from tests.fixtures.service import Visitor

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(1200)]
PROJECT = "a project uses it"


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Service]:
    """A service with a registry and stores of its own, that keeps no log of a session."""
    one = Service(tmp_path / "data", free_port(), {"REPOLAUNCH_BUILD_ENGINE": "shared"})
    try:
        one.start()
        yield one
    finally:
        one.remove()


async def gc(service: Service, *options: str) -> dict[str, Any]:
    """What the operator is told of the registry."""
    done = await repolaunch(service, "gc", "--json", *options)
    assert done.returncode == 0, done.stderr
    return next(one for one in json.loads(done.stdout) if one["place"] == "registry")


async def repolaunch(service: Service, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "launcher", command, "--data", str(service.data), *options]
    return await asyncio.to_thread(
        subprocess.run, argv, cwd=ROOT, env=service.environment, capture_output=True, text=True, check=False
    )


def let_go(service: Service, project: str) -> None:
    """What only time, and somebody who deletes a project, would do."""
    with contextlib.closing(sqlite3.connect(service.data / "launcher" / "repolaunch.sqlite", timeout=30)) as database:
        database.execute("delete from members where project = ?", (project,))
        database.execute("delete from projects where id = ?", (project,))
        database.execute("update images set used = 1")
        database.execute("update launches set created = 1")
        database.commit()


def keys(service: Service, url: str) -> list[str]:
    with contextlib.closing(sqlite3.connect(service.data / "launcher" / "repolaunch.sqlite", timeout=30)) as database:
        return [key for (key,) in database.execute("select key from projects where url = ?", (url,))]


@contextlib.asynccontextmanager
async def pulling(service: Service, reference: str) -> AsyncIterator[list[int]]:
    """Pull an image again and again while the block runs: the status of each answer that was another than 200."""
    base = f"http://127.0.0.1:{json.loads((service.data / 'ports.json').read_text())['registry']}/v2/repolaunch/env"
    password = (service.data / "secrets/registry-password").read_text().strip()
    login = {"Authorization": aiohttp.encode_basic_auth("repolaunch", password)}
    wrong: list[int] = []
    times = 0
    accepted = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"

    async def pull(http: aiohttp.ClientSession) -> None:
        nonlocal times
        async with http.get(f"{base}/manifests/{reference}", headers={"Accept": accepted}) as answer:
            if answer.status != 200:
                wrong.append(answer.status)
                return
            body = json.loads(await answer.read())
        for one in (body["config"], *body["layers"]):
            async with http.get(f"{base}/blobs/{one['digest']}") as answer:
                if answer.status != 200:
                    wrong.append(answer.status)
                await answer.read()
        times += 1

    async def again() -> None:
        async with aiohttp.ClientSession(headers=login) as http:
            while True:
                await pull(http)

    task = asyncio.create_task(again())
    try:
        yield wrong
        done = times
        while times < done + 2 and not task.done():
            await asyncio.sleep(0.05)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert times > 1


async def pushed(service: Service, *wanted: str) -> dict[str, Any]:
    """What is held, as soon as all of these images are in the registry and the commits are archived."""
    async with asyncio.timeout(600):  # layers of the base image are compressed for a registry that has none
        while True:
            told = await gc(service, "--dry-run", "--all")
            names = {(one["kind"], one["name"]) for one in (*told["kept"], *told["going"])}
            archived = sum(kind == "source" for kind, _ in names)
            waiting = any(one["reason"] == "it is not in the registry yet" for one in told["kept"])
            if {("image", key) for key in wanted} <= names and archived >= len(wanted) and not waiting:
                return told
            await asyncio.sleep(0.5)


async def stopped(visitor: Visitor, project: str) -> None:
    """A busy hub may take a while."""
    async with asyncio.timeout(120):
        while (told := await visitor.call("DELETE", f"/api/v1/sessions/{project}"))[0] != 204:
            assert told[0] == 503, told
            await asyncio.sleep(1)


async def forgotten(service: Service, visitor: Visitor, repo: Repo, key: str) -> None:
    """Forget the repository: while a project uses its image that stays, then it goes. Nobody gives it any more."""
    done = await repolaunch(service, "forget", repo.url, "--json")
    assert done.returncode == 1, done.stderr  # something stays
    told = json.loads(done.stdout)
    assert {one["kind"] for one in told["going"]} == {"source"}
    assert [(one["kind"], one["name"], one["reason"]) for one in told["kept"]] == [("image", key, PROJECT)]
    (project,) = told["projects"]
    assert told["trees"] == 0
    assert told["checkouts"] > 0
    # The project can be opened all the same.
    await stopped(visitor, project)
    events = await visitor.launch(repo.url, "main")
    assert (events[-1]["type"], events[-1].get("project")) == ("ready", project), events[-1]
    await stopped(visitor, project)
    let_go(service, project)
    dry = await repolaunch(service, "forget", repo.url, "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert f"would go  image {key[:19]}" in dry.stdout
    done = await repolaunch(service, "forget", repo.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"gone      image {key[:19]}" in done.stdout
    told = await gc(service, "--dry-run", "--all")
    assert not [one for one in (*told["kept"], *told["going"]) if one["name"] == key or one["source"] == repo.url]
    events = await visitor.launch(repo.url, "main")
    assert events[-1]["type"] == "failed"
    again = await repolaunch(service, "forget", repo.url)
    assert again.stdout == f"{repo.url}:\n  nothing is held of it\n"


async def test_what_nobody_uses_goes_and_is_built_again(alone: Service, git_daemon: GitHost) -> None:
    def dockerfile() -> dict[str, str | bytes]:
        return {"Dockerfile": f"FROM localhost/repolaunch/base:1\nRUN echo {secrets.token_hex(8)} >/tmp/made\n"}

    gone, stays = git_daemon.make_repo(files=dockerfile()), git_daemon.make_repo(files=dockerfile())
    async with visiting(alone) as visitor:
        await visitor.enter()
        for repo in (gone, stays):
            events = await visitor.launch(repo.url, "main")
            assert events[-1]["type"] == "ready", events[-1]
        (old,), (new,) = keys(alone, gone.url), keys(alone, stays.url)
        told = await pushed(alone, old, new)
        assert told["going"] == []
        assert {one["reason"] for one in told["kept"] if one["kind"] in {"image", "source"}} == {PROJECT}

        status, refused = await visitor.call("GET", "/api/v1/collection")
        assert (status, refused["error"]["code"]) == (403, "forbidden")

        (project,) = [one["id"] for one in (await visitor.call("GET", "/api/v1/projects"))[1] if one["url"] == gone.url]
        await stopped(visitor, project)
        let_go(alone, project)
        told = await gc(alone, "--dry-run", "--all")
        assert [(one["kind"], one["name"]) for one in told["going"]] == [("image", old)]
        assert told["going"][0]["frees"] > 0
        sentence = next(one for one in told["kept"] if one["kind"] == "source" and one["commit"] == gone.commit)
        assert sentence["reason"].startswith("a link led to it last")
        assert (await gc(alone, "--dry-run"))["going"] == []  # the disk has room

        async with pulling(alone, new) as wrong:
            done = await repolaunch(alone, "gc", "--all")
        assert wrong == []
        assert done.returncode == 0, done.stderr
        assert "gone      image " in done.stdout
        assert f"stays     image {new[:19]}, launched 1970-01-01: {PROJECT}" in done.stdout
        assert "freed     " in done.stdout
        told = await gc(alone, "--dry-run", "--all")
        assert old not in {one["name"] for one in (*told["kept"], *told["going"])}

        # The same link builds it again; and though the repository is gone, from the archive.
        shutil.rmtree(gone.path)
        events = await visitor.launch(gone.url, "main")
        assert phases(events)[-1] == "ready", events[-1]
        assert "build" in phases(events)
        assert any("archived" in event.get("message", "") for event in events)
        await pushed(alone, old, new)
        async with pulling(alone, old) as wrong:
            pass
        assert wrong == []
        await forgotten(alone, visitor, gone, old)
    async with aiohttp.ClientSession() as http, http.get(f"{alone.base_url}/metrics") as answer:
        text = await answer.text()
    assert 'repolaunch_collected_total{place="registry"} 1.0' in text
    assert 'repolaunch_collections_total{outcome="done"} 1.0' in text


async def test_a_nix_link_works_though_its_repository_and_all_that_built_it_are_gone(
    alone: Service, git_daemon: GitHost, nix_author: Path
) -> None:
    """The repository's host, the store, what the engine has of the image: a launch needs the registry alone."""
    repo = author(git_daemon, nix_author / "seed", f'program "tool" "echo {secrets.token_hex(8)}"')
    async with visiting(alone) as visitor:
        await visitor.enter()
        events = await visitor.launch(repo.url, "main")
        assert events[-1]["type"] == "ready", events[-1]
        assert "build" in phases(events)
        (key,) = keys(alone, repo.url)
        await pushed(alone, key)
        await stopped(visitor, events[-1]["project"])
    alone.stop()
    shutil.rmtree(repo.path)
    shutil.rmtree(alone.data / "stores")
    with contextlib.closing(alone.engine()) as engine:
        for image in [one for one in engine.images.list() if any(key in name for name in one.tags)]:
            engine.images.remove(str(image.id), force=True)
    alone.start()
    async with visiting(alone) as another:
        await another.enter()
        events = await another.launch(repo.url, "main")
        assert phases(events)[-1] == "ready", events[-1]
        assert "build" not in phases(events)
        assert any("archived" in event.get("message", "") for event in events)
        session = await another.session(events[-1]["url"])
        async with session.http.get(f"{session.prefix}api/kernelspecs", headers=session.headers) as answer:
            assert list((await answer.json())["kernelspecs"]) == ["sh"]
