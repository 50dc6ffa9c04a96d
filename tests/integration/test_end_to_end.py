"""The whole path with every real part: git daemon, builder, engine, registry, hub, proxy, launcher."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.fixtures.service import ROOT, SessionClient, phases, read_events, visiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.repos import GitHost, Repo
    from tests.fixtures.service import Service, Visitor

pytestmark = pytest.mark.engine

BASE = "FROM localhost/repolaunch/base:1\n"
NEW = ["resolve", "checkout", "detect", "build", "image", "workspace", "session", "ready"]
CACHED = ["resolve", "checkout", "detect", "image", "workspace", "session", "ready"]


def dockerfile(git_daemon: GitHost, steps: str = "", **files: str) -> Repo:
    """A repository whose Dockerfile adds `steps` to the site's base image, unlike any other's."""
    unique = f"RUN echo {time.time_ns()}\n"
    return git_daemon.make_repo(files={"Dockerfile": BASE + unique + steps, "notes.txt": "from git\n", **files})


async def test_a_link_becomes_a_server_and_leads_back_to_the_files(service: Service, git_daemon: GitHost) -> None:
    repo = dockerfile(git_daemon)
    async with visiting(service) as visitor:
        name = await visitor.enter()
        assert name.startswith("guest-")
        events = await visitor.launch(repo.url, "main")
        assert phases(events) == NEW
        (declared,) = [event for event in events if event["type"] == "declared"]
        assert (declared["stage"], declared["pinning"], declared["evidence"]) == (
            "detect",
            "not-pinned",
            ["Dockerfile"],
        )
        assert declared["loose"][0].startswith("Dockerfile:1: FROM localhost/repolaunch/base:1 names")
        assert "token" not in json.dumps(events[-1])
        session = await visitor.session(events[-1]["url"])
        assert await session.run("print(open('notes.txt').read(), end='')") == "from git\n"
        assert await session.run("print(6 * 7)") == "42\n"
        await session.write("mine.txt", "kept")
        status, _ = await visitor.call("DELETE", f"/api/v1/sessions/{events[-1]['project']}")
        assert status in {202, 204}

        again = await visitor.launch(repo.url, "main")
        assert again[-1]["project"] == events[-1]["project"]
        assert "build" not in phases(again)
        session = await visitor.session(again[-1]["url"])
        assert await session.read("mine.txt") == "kept"


async def test_a_volume_of_the_image_is_memory_and_never_a_disk(service: Service, git_daemon: GitHost) -> None:
    repo = dockerfile(git_daemon, "USER root\nRUN mkdir -p /opt/any\nVOLUME /opt/any\nUSER 1000\n")
    async with visiting(service) as visitor:
        await visitor.enter()
        ready = (await visitor.launch(repo.url))[-1]
        session = await visitor.session(ready["url"])
        mounts = await session.run("print(open('/proc/mounts').read(), end='')")
        (mount,) = (line.split() for line in mounts.splitlines() if line.split()[1] == "/opt/any")
        assert mount[0] == "tmpfs"
        assert {"nosuid", "nodev"} <= set(mount[3].split(","))
        assert "size=" in mount[3]
        assert await session.run("print(open('/opt/any/x', 'w').write('abc'))") == "3\n"
    (one,) = (one for one in service.containers() if one.labels["repolaunch.project"] == ready["project"])
    volumes = [mount for mount in one.attrs["Mounts"] if mount["Type"] == "volume"]
    assert [mount["Destination"] for mount in volumes] == ["/workspace"]
    assert [mount["Name"] for mount in volumes] == [f"repolaunch-{service.id}-{ready['project']}"]


async def test_a_second_visitor_finds_the_image_in_the_registry(service: Service, git_daemon: GitHost) -> None:
    repo = dockerfile(git_daemon)
    async with visiting(service) as first, visiting(service) as second:
        await first.enter()
        await second.enter()
        one = await first.launch(repo.url)
        await _pushed(service, one[-1]["project"])
        two = await second.launch(repo.url)
        assert phases(two) == CACHED
        assert two[-1]["project"] != one[-1]["project"]
        assert "@sha256:" in two[-1]["image"]
        async with second.http.get(one[-1]["url"]) as answer:
            assert answer.status in {403, 404}, "somebody else's session was open to a stranger"


def basic(name: str, password: str) -> dict[str, str]:
    """The header of a login."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.mark.parametrize("path", ["", "_catalog", "repolaunch/env/tags/list", f"repolaunch/env/manifests/{'0' * 64}"])
async def test_our_registry_answers_nobody_without_its_password(service: Service, path: str) -> None:
    port = json.loads((service.data / "ports.json").read_text())["registry"]
    password = (service.data / "secrets" / "registry-password").read_text().strip()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        for wrong in ({}, basic("repolaunch", ""), basic("repolaunch", password[:-1])):
            async with http.get(f"/v2/{path}", headers=wrong) as answer:
                assert answer.status == 401
        async with http.get(f"/v2/{path}", headers=basic("repolaunch", password)) as answer:
            assert answer.status in {200, 404}


async def test_a_server_that_ended_by_itself_is_noticed(service: Service, git_daemon: GitHost) -> None:
    repo = dockerfile(git_daemon)
    async with visiting(service) as visitor:
        await visitor.enter()
        ready = (await visitor.launch(repo.url))[-1]
        session = await visitor.session(ready["url"])
        (container,) = [one for one in service.containers() if one.labels["repolaunch.project"] == ready["project"]]
        async with visitor.http.post(f"{session.prefix}api/shutdown", headers=session.headers) as answer:
            assert answer.status == 200, await answer.text()
        await asyncio.to_thread(container.wait, timeout=60)
        slowest = await told_that_it_has_stopped(visitor, ready["url"], f"{session.prefix}api/contents/notes.txt")
        print(f"\nthe slowest answer of a session that has just ended: {slowest:.2f} s")
        again = await visitor.launch(repo.url)
        assert (again[-1]["type"], again[-1]["project"]) == ("ready", ready["project"])


async def told_that_it_has_stopped(visitor: Visitor, page: str, api: str) -> float:
    """Before the hub has noticed, and after: the page and the sentence, soon. Returns the longest that one took."""
    began, slowest = time.monotonic(), 0.0
    while time.monotonic() - began < 12:  # the hub looks every 10 s
        for method, path in (("GET", page), ("GET", api), ("PUT", api)):
            asked = time.monotonic()
            headers = {"Accept": "text/html" if path == page else "application/json"}
            async with visitor.http.request(
                method, path, headers=headers, json={"content": "x" * 9999} if method == "PUT" else None
            ) as answer:
                text = await answer.text()
            slowest = max(slowest, time.monotonic() - asked)
            assert answer.status == 503, (method, path, answer.status, text[:300])
            assert "No server is running at this address." in text, (method, path, text[:300])
            assert ("<html" in text) == (path == page), text[:300]
            assert slowest < 5, "it waits for an address that nobody has"
        await asyncio.sleep(0.5)
    return slowest


async def test_the_operator_launches_by_command_and_enters_by_token(service: Service, git_daemon: GitHost) -> None:
    repo = dockerfile(git_daemon)
    answer = json.loads(await command(service, "launch", repo.url, "--json"))
    headers = {"Authorization": f"token {answer['token']}"}
    async with aiohttp.ClientSession(service.base_url) as http:
        session = SessionClient(http, f"/user/project-{answer['project']}/", headers)
        assert await session.run("print(open('notes.txt').read(), end='')") == "from git\n"
        await session.write("mine.txt", "kept")
        async with http.get("/hub/api/users", headers=headers) as refused:
            assert refused.status == 403, "the session's token opens more than its session"
    listed = json.loads(await command(service, "projects", "--json"))
    assert [one["state"] for one in listed if one["id"] == answer["project"]] == ["running"]
    for word in ("stop", "archive"):
        await command(service, word, answer["project"])
    other = json.loads(await command(service, "launch", repo.url, "--json"))
    assert other["project"] != answer["project"]
    for word in ("stop", "archive"):
        await command(service, word, other["project"])
    await command(service, "unarchive", answer["project"])
    again = json.loads(await command(service, "launch", repo.url, "--json"))
    assert again["project"] == answer["project"]
    async with aiohttp.ClientSession(service.base_url) as http:
        headers = {"Authorization": f"token {again['token']}"}
        session = SessionClient(http, f"/user/project-{again['project']}/", headers)
        assert await session.read("mine.txt") == "kept"


async def command(service: Service, *words: str) -> str:
    """What `repolaunch` prints."""
    argv = [sys.executable, "-m", "launcher", *words, "--data", str(service.data)]
    done = await asyncio.to_thread(subprocess.run, argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_program_without_a_cookie_gets_a_token_for_its_own_session(
    service: Service, git_daemon: GitHost
) -> None:
    repo = dockerfile(git_daemon)
    async with aiohttp.ClientSession(service.base_url) as http:
        events = await build(http, repo)
        ready = events[-1]
        assert ready["phase"] == "ready"
        path = urlsplit(ready["url"]).path
        session = SessionClient(http, path, {"Authorization": f"token {ready['token']}"})
        assert await session.run("print(6 * 7)") == "42\n"
    async with aiohttp.ClientSession(service.base_url) as http:
        async with http.get(f"{path}api/contents") as answer:
            assert answer.status == 403, "a stranger was let in"
        async with http.get(f"{path}api/contents", params={"token": ready["token"]}) as answer:
            assert answer.status == 200, "the token in the address was not taken"
        async with http.get(f"{path}api/contents", params={"token": "0" * 32}) as answer:
            assert answer.status == 403, "any token was taken"


async def test_fifty_at_once_are_one_build(service: Service, git_daemon: GitHost) -> None:
    repo = dockerfile(git_daemon, "RUN for i in 1 2 3; do echo line-$i; sleep 0.5; done\n")
    async with visiting(service) as visitor:
        await visitor.enter()
        status, launch = await visitor.post("/api/v1/launches", {"url": repo.url, "ref": "main"})
        assert status == 201

        async def follow() -> list[dict[str, Any]]:
            return [event async for event in visitor.follow(launch["id"])]

        logs = await asyncio.gather(*(follow() for _ in range(50)))
    assert all(log == logs[0] for log in logs)
    assert [event["n"] for event in logs[0]] == list(range(1, len(logs[0]) + 1))
    assert logs[0][-1]["type"] == "ready"
    text = "".join(event["message"] for event in logs[0] if event["type"] == "log")
    assert all(f"line-{number}" in text for number in (1, 2, 3))


async def build(http: aiohttp.ClientSession, repo: Repo, ref: str = "main") -> list[dict[str, Any]]:
    """BinderHub's event stream of a launch, whole."""
    headers = {"Accept": "text/event-stream"}
    limit = aiohttp.ClientTimeout(total=900)  # fifty servers start on few cores
    async with http.get(f"/build/git/{repo.spec}/{ref}", headers=headers, timeout=limit) as answer:
        assert answer.status == 200
        events = []
        async for event in read_events(answer):
            events.append(event)
            if event.get("phase") in {"ready", "failed"}:
                break
        return events


@pytest.mark.long
async def test_fifty_programs_at_once_are_one_build_and_fifty_ready(
    own_service: Service, git_daemon: GitHost, builds: Callable[[Service], int]
) -> None:
    own_service.env["REPOLAUNCH_SESSION_MEMORY"] = str(256 * 2**20)
    own_service.start()
    repo = dockerfile(git_daemon, "RUN for i in 1 2 3 4; do echo line-$i; sleep 0.5; done\n")
    async with aiohttp.ClientSession(own_service.base_url, connector=aiohttp.TCPConnector(limit=0)) as http:
        logs = await asyncio.gather(*(build(http, repo) for _ in range(50)))
    assert [log[-1]["phase"] for log in logs] == ["ready"] * 50, [
        log[-1] for log in logs if log[-1]["phase"] != "ready"
    ]
    assert len({log[-1]["url"] for log in logs}) == 50
    for log in logs:
        text = "".join(event.get("message", "") for event in log)
        assert all(f"line-{number}" in text for number in (1, 2, 3, 4))
    assert builds(own_service) == 1


async def test_closing_every_connection_does_not_stop_the_build(service: Service, git_daemon: GitHost) -> None:
    repo = dockerfile(git_daemon, "RUN sleep 3 && echo it-went-on\n")
    async with visiting(service) as visitor:
        await visitor.enter()
        _, launch = await visitor.post("/api/v1/launches", {"url": repo.url, "ref": "main"})

        async def look_and_leave() -> None:
            async for event in visitor.follow(launch["id"]):
                if event.get("stage") == "build":
                    return

        await asyncio.gather(*(look_and_leave() for _ in range(50)))
        events = [event async for event in visitor.follow(launch["id"])]
    assert phases(events) == NEW


async def test_the_launcher_is_killed_in_mid_build(own_service: Service, git_daemon: GitHost) -> None:
    own_service.start()
    repo = dockerfile(git_daemon, "RUN sleep 4 && echo it-went-on\n")
    async with visiting(own_service) as visitor:
        await visitor.enter()
        _, launch = await visitor.post("/api/v1/launches", {"url": repo.url, "ref": "main"})
        seen: list[dict[str, Any]] = []
        try:
            async for event in visitor.follow(launch["id"]):
                seen.append(event)
                if event.get("stage") == "build" and len(seen) > 5:
                    own_service.child("launcher").kill()
        except aiohttp.ClientError:
            pass
        assert seen[-1]["type"] != "ready"
        while True:  # the supervisor starts it again
            try:
                async with visitor.http.get("/health") as answer:
                    if answer.status == 200:
                        break
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
        seen += [event async for event in visitor.follow(launch["id"], seen[-1]["n"] + 1)]
        assert [event["n"] for event in seen] == list(range(1, len(seen) + 1))
        assert seen[-1]["type"] == "ready", seen[-1]
        session = await visitor.session(seen[-1]["url"])
        assert await session.run("print(6 * 7)") == "42\n"
    assert len(own_service.containers()) == 1, "only the session's container is there"
    assert [path.name for path in (own_service.data / "workspaces").iterdir()] == [seen[-1]["project"]]
    kept = list((own_service.data / "checkouts").iterdir())
    assert len(kept) == 1, "the one checkout that is kept for the next launch, and no other"


async def test_a_restart_of_everything_keeps_files_and_links(own_service: Service, git_daemon: GitHost) -> None:
    own_service.start()
    repo = dockerfile(git_daemon)
    async with visiting(own_service) as visitor:
        await visitor.enter()
        events = await visitor.launch(repo.url)
        session = await visitor.session(events[-1]["url"])
        await session.write("mine.txt", "kept")
        own_service.stop()
        assert not [one for one in own_service.containers() if one.status == "running"]
        own_service.start()
        await visitor.enter()
        again = await visitor.launch(repo.url)
        assert again[-1]["project"] == events[-1]["project"]
        session = await visitor.session(again[-1]["url"])
        assert await session.read("mine.txt") == "kept"


@pytest.fixture
def builds() -> Callable[[Service], int]:
    """How many builds the launcher ran, by its own count."""

    def count(service: Service) -> int:
        import urllib.request  # noqa: PLC0415  # one small request

        with urllib.request.urlopen(f"{service.base_url}/metrics", timeout=10) as answer:  # noqa: S310  # loopback
            lines = answer.read().decode().splitlines()
        found = [line for line in lines if line.startswith("repolaunch_build_seconds_count ")]
        return int(float(found[0].rpartition(" ")[2]))

    return count


async def _pushed(service: Service, project: str) -> None:
    """Wait until the project's image has its registry digest."""
    async with aiohttp.ClientSession(service.base_url, headers=service.operator) as http, asyncio.timeout(60):
        while True:
            async with http.get(f"/api/v1/projects/{project}") as answer:
                if "@sha256:" in (await answer.json())["image"]:
                    return
            await asyncio.sleep(0.1)


async def test_the_launcher_knows_neither_engine_nor_registry_s_password(service: Service) -> None:
    """What it is told, and what it has loaded after launches; the worker and the hub are told."""
    password = (service.data / "secrets" / "registry-password").read_text().strip()
    launcher, worker = service.child("launcher"), service.child("worker")
    told = launcher.environ()
    assert not [name for name in told if name.startswith("DOCKER")]
    assert password not in str(told)
    assert password in worker.environ().values()
    noted = service.data / "launcher" / "imported.json"
    launcher.send_signal(signal.SIGUSR1)
    async with asyncio.timeout(10):
        while not noted.exists():
            await asyncio.sleep(0.05)
    assert not {"docker", "repo2docker", "requests"} & set(json.loads(noted.read_text()))


async def test_a_killed_worker_is_started_again_and_asked_again(service: Service, git_daemon: GitHost) -> None:
    repo = dockerfile(git_daemon, "RUN sleep 4 && echo it-went-on\n")
    killed = service.child("worker")
    async with visiting(service) as visitor:
        await visitor.enter()
        _, launch = await visitor.post("/api/v1/launches", {"url": repo.url, "ref": "main"})
        seen: list[dict[str, Any]] = []
        async for event in visitor.follow(launch["id"]):
            seen.append(event)
            if "RUN sleep" in str(event.get("message", "")) and killed.is_running():
                killed.kill()
    assert seen[-1]["type"] == "ready", seen[-1]
    assert "The build worker ended in the midst of it and is asked again." in [one.get("message") for one in seen]
    assert service.child("worker") != killed


async def test_a_link_works_though_its_repository_is_gone(service: Service, git_daemon: GitHost) -> None:
    repo = dockerfile(git_daemon)
    async with visiting(service) as visitor:
        await visitor.enter()
        assert (await visitor.launch(repo.url, "main"))[-1]["type"] == "ready"
    commit = repo.commit
    gone = repo.path.rename(repo.path.with_suffix(".gone"))
    async with visiting(service) as another:
        await another.enter()
        async with asyncio.timeout(60):  # it is archived beside the launch
            while (events := await another.launch(repo.url, "main"))[-1]["type"] != "ready":
                assert events[-1]["stage"] == "resolve", events[-1]
                await asyncio.sleep(0.5)
        told = next(event["message"] for event in events if event["type"] == "ended")
        assert told == f"The repository does not give it. Commit {commit[:10]} was archived and is used"
        session = await another.session(events[-1]["url"])
        assert await session.run("print(open('notes.txt').read(), end='')") == "from git\n"
        missing = await another.launch(repo.url, "another-branch")
        assert (missing[-1]["type"], missing[-1]["stage"]) == ("failed", "resolve")
    gone.rename(repo.path)
