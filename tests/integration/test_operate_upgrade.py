"""Parts and whole services that are started again, or in another version, while people work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import psutil
import pytest

from launcher.operate import hub_database
from launcher.operate.account import DATABASE, LAUNCHER
from launcher.store.revision import REVISION
from tests.fixtures.service import ROOT, Service, SessionClient, phases, visiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.fixtures.repos import GitHost, Repo
    from tests.fixtures.service import Visitor

pytestmark = pytest.mark.engine
BASE = "FROM localhost/repolaunch/base:1\n"
STEPS = 40
SLOW = f"RUN for n in $(seq {STEPS}); do echo step-$n; sleep 0.5; done\n"
BEFORE = "c40a51a"
"""The commit that is upgraded from: the last one whose parts could be run by `up` alone."""
HUB_AWAY = ("Failed to connect to Hub", "reconnecting")
"""What a session of the version before, and the proxy of this one, say while nobody knows who people are."""
PARTS = ("ground", "registry", "proxy", "hub", "worker", "launcher")


def slow(git_daemon: GitHost) -> Repo:
    """A build of some twenty seconds, unlike any other."""
    return git_daemon.make_repo(files={"Dockerfile": f"{BASE}RUN echo {time.time_ns()}\n{SLOW}"})


def quick(git_daemon: GitHost) -> Repo:
    return git_daemon.make_repo(files={"Dockerfile": BASE, "notes.txt": "from git\n"})


class Parts:
    """Parts of a service, each a process of its own, as a service manager keeps them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        environ = {**os.environ, "REPOLAUNCH_ALLOWED_NETWORKS": "127.0.0.0/8", **self.service.env}
        for name in names:
            with (self.service.data.parent / f"{name}.log").open("ab") as log:
                argv = [sys.executable, "-m", "launcher", "run", name, "--data", str(self.service.data)]
                more = {"REPOLAUNCH_PORT": str(self.service.port)}
                self.running[name] = subprocess.Popen(argv, cwd=ROOT, env=environ | more, stdout=log, stderr=log)

    def stop(self, *names: str) -> None:
        for name in names:
            self.running[name].send_signal(signal.SIGTERM)
        for name in names:
            self.running.pop(name).wait(timeout=60)

    def log(self, name: str) -> str:
        return (self.service.data.parent / f"{name}.log").read_text()

    async def answers(self) -> None:
        """Wait until the launcher says that it and all it stands on are well."""
        async with aiohttp.ClientSession() as http:
            deadline = time.monotonic() + 180
            while time.monotonic() < deadline:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{self.service.base_url}/health") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.2)
        raise AssertionError({name: self.log(name)[-600:] for name in self.running})


@pytest.fixture
def parts(own_service: Service) -> Iterator[Parts]:
    one = Parts(own_service)
    try:
        yield one
    finally:
        for name in reversed(list(one.running)):
            one.stop(name)


class Asking:
    """Asks a session again and again what it has; every answer but the right one is noted."""

    def __init__(self, session: SessionClient, name: str) -> None:
        self._session, self._name = session, name
        self.right, self.wrong = 0, list[str]()

    async def _ask(self) -> None:
        while True:
            try:
                assert await self._session.read(self._name) == "kept"
                self.right += 1
            except (aiohttp.ClientError, AssertionError) as error:
                self.wrong.append(f"{type(error).__name__} {error}"[:200])
            await asyncio.sleep(0.1)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._ask())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@contextlib.asynccontextmanager
async def at_work(visitor: Visitor, git_daemon: GitHost) -> AsyncIterator[tuple[Asking, str]]:
    """Somebody with a session that holds a file, a kernel's memory, and the id of a launch in mid-build."""
    await visitor.enter()
    events = await visitor.launch(quick(git_daemon).url)
    assert phases(events)[-1] == "ready", events[-1]
    session = await visitor.session(events[-1]["url"])
    await session.write("mine.txt", "kept")
    status, launch = await visitor.post("/api/v1/launches", {"url": slow(git_daemon).url})
    assert status == 201, launch
    async for event in visitor.follow(launch["id"]):
        if "step-3" in str(event.get("message")) or "step-3" in str(event.get("lines")):
            break
    async with Asking(session, "mine.txt") as asking:
        yield asking, launch["id"]


async def to_the_end(visitor: Visitor, launch: str) -> list[dict[str, Any]]:
    """Follow from the first event; a stream that breaks off is asked for again, as the page does."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(150):
        while not events or events[-1]["type"] not in {"ready", "failed", "cancelled"}:
            with contextlib.suppress(aiohttp.ClientError, AssertionError):
                async for event in visitor.follow(launch, len(events) + 1):
                    events.append(event)  # noqa: PERF401  # those before a break are kept
            await asyncio.sleep(0.2)
    return events


def is_whole(events: list[dict[str, Any]]) -> None:
    """Numbered without a gap, told of every step of the build, ready in the end."""
    assert events[-1]["type"] == "ready", events[-1]
    assert [event["n"] for event in events] == list(range(1, len(events) + 1))
    told = json.dumps(events)
    missing = [n for n in range(1, STEPS + 1) if f"step-{n}" not in told]
    assert not missing, missing


# ------------------------------------------------------------------ the whole of `up`
async def test_up_starts_itself_again_while_people_work(own_service: Service, git_daemon: GitHost) -> None:
    """`repolaunch restart`: the same process, all parts anew, the sessions' containers as they were."""
    await asyncio.to_thread(own_service.start)
    assert own_service.process is not None
    async with visiting(own_service) as visitor, at_work(visitor, git_daemon) as (asking, launch):
        before = {name: own_service.child(name).pid for name in ("launcher", "hub", "proxy")}
        (container,) = (one.id for one in own_service.containers())
        done = await asyncio.to_thread(repolaunch, own_service, "restart")
        assert (done.returncode, done.stdout) == (0, "The service was started again and answers.\n"), done.stderr
        assert own_service.process.poll() is None
        after = {name: own_service.child(name).pid for name in ("launcher", "hub", "proxy")}
        assert not set(before.values()) & set(after.values())
        asking.wrong.clear()  # the proxy was away for a moment
        count = asking.right
        is_whole(await to_the_end(visitor, launch))
        assert asking.right > count
        assert asking.wrong == []
        assert container in {one.id for one in own_service.containers()}
        zombies = [one for one in psutil.Process(own_service.process.pid).children() if one.status() == "zombie"]
        assert zombies == []


def repolaunch(service: Service, *command: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "launcher", *command, "--data", str(service.data)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)


# ------------------------------------------------------------------ each part by itself
@pytest.mark.long
@pytest.mark.timeout(600)  # eleven starts of a part, each waited for
async def test_each_part_is_started_again_alone(parts: Parts, git_daemon: GitHost) -> None:
    parts.service.env["REPOLAUNCH_REGISTRY"] = ""  # all parts, the registry too
    parts.start(*reversed(PARTS))  # the order is theirs to find
    await parts.answers()
    refused = await asyncio.to_thread(repolaunch, parts.service, "up", "--no-example")
    assert refused.returncode == 1
    assert refused.stderr.startswith("The service already runs on this data folder."), refused.stderr
    assert repolaunch(parts.service, "restart").stderr == (
        "Each part runs by itself here: start it again where it is kept (systemctl, compose).\n"
    )
    async with visiting(parts.service) as visitor:
        await visitor.enter()
        events = await visitor.launch(quick(git_daemon).url)
        assert phases(events)[-1] == "ready", events[-1]
        session = await visitor.session(events[-1]["url"])
        await session.write("mine.txt", "kept")
        async with Asking(session, "mine.txt") as asking:
            for name in ("launcher", "worker", "hub", "registry", "ground"):
                await asyncio.to_thread(parts.stop, name)
                parts.start(name)
                await parts.answers()
            wrong = [one for one in asking.wrong if not any(word in one for word in HUB_AWAY)]
            assert wrong == [], "sessions answer without any of these, and 30 s without the hub"
            await asyncio.to_thread(parts.stop, "proxy")
            parts.start("proxy")
            await parts.answers()
            await asyncio.sleep(1)  # its routes are told again as soon as it answers
            asking.wrong.clear()
            count = asking.right
            while asking.right < count + 5:
                await asyncio.sleep(0.1)
            assert asking.wrong == []
        again = await visitor.launch(quick(git_daemon).url)
        assert again[-1]["type"] == "ready", again[-1]


# ------------------------------------------------------------------ from the version before
@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The code of the version before, with what set-up has made for this one."""
    folder = tmp_path / "before"
    folder.mkdir()
    archive = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    for made in ("deploy/proxy/node_modules", "frontend/dist"):
        (folder / made).symlink_to(ROOT / made)
    return folder


def start_before(service: Service, code: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "launcher", "up", "--no-example", "--json", "--data", str(service.data),
         "--port", str(service.port)],
        cwd=code, env={**os.environ, "REPOLAUNCH_ALLOWED_NETWORKS": "127.0.0.0/8", **service.env},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


@pytest.mark.long
async def test_hub_and_launcher_of_the_version_before(parts: Parts, before: Path, git_daemon: GitHost) -> None:
    """With a session open and a build under way: the one answers throughout, the other ends well, its log whole."""
    service = parts.service
    old = await asyncio.to_thread(start_before, service, before)
    children = {
        name: psutil.Process(pid) for name, pid, _ in json.loads((service.data / "run/children.json").read_text())
    }
    try:
        assert str(before) in str(children["launcher"].cwd())
        async with visiting(service) as visitor, at_work(visitor, git_daemon) as (asking, launch):
            old.kill()  # it would end the sessions; its parts go on
            old.wait()
            for name in ("launcher", "hub"):
                children.pop(name).terminate()
            await asyncio.sleep(2)
            parts.start("ground", "hub", "worker", "launcher")
            await parts.answers()
            is_whole(await to_the_end(visitor, launch))
            assert asking.right > 20
            # A server asks the hub who somebody is every 30 s; for longer than that it cannot do without.
            assert [one for one in asking.wrong if not any(word in one for word in HUB_AWAY)] == []
            asking.wrong.clear()
            await asyncio.sleep(3)
            assert asking.wrong == []
    finally:
        for child in children.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        assert old.stdout is not None
        old.stdout.close()
    with contextlib.closing(sqlite3.connect(service.data / LAUNCHER / DATABASE)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]


def test_a_database_of_a_newer_version_is_refused(own_service: Service) -> None:
    """A downgrade, of the launcher or of the hub: one sentence, exit code 1, and nothing is changed."""
    own_service.start()
    own_service.stop()
    restore = "a newer version has used it. Start that version, or restore the backup that was made before the upgrade."
    launchers = (
        own_service.data / LAUNCHER / DATABASE,
        "launcher",
        (
            "The database cannot be used. upgrade: The database is at revision 9999, which this version of repolaunch "
            f"does not know (it knows up to {REVISION}): {restore}"
        ),
    )
    hubs = (
        own_service.data / "hub" / hub_database.DATABASE,
        "hub",
        f"The hub's database is at revision 9999, which JupyterHub {version('jupyterhub')} does not know: {restore}",
    )
    for path, part, said in (launchers, hubs):
        before = _set_revision(path, "9999")
        content = path.read_bytes()
        for command in (("up", "--no-example"), ("run", part)):
            (own_service.data / "run" / "service.json").write_text('{"hub_api_url": "http://127.0.0.1:1/hub/api"}')
            done = repolaunch(own_service, *command)
            assert done.returncode == 1
            assert done.stderr.splitlines()[-1] == said
        assert path.read_bytes() == content
        _set_revision(path, before)


def test_the_hubs_database_of_an_older_version_is_brought_up_to_date(own_service: Service) -> None:
    """By itself, after a copy; who signed in before is still known."""
    path = own_service.data / "hub" / hub_database.DATABASE
    own_service.start()
    own_service.stop()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE spawners DROP COLUMN display_name")
        accounts = set(database.execute("SELECT name FROM users"))
        database.commit()
    newest = _set_revision(path, "ff1860e38070")
    own_service.start()
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(newest,)]
        assert set(database.execute("SELECT name FROM users")) == accounts
    assert len(list(path.parent.glob("hub.sqlite.*-*"))) == 1, sorted(path.parent.iterdir())


def _set_revision(path: Path, revision: str) -> str:
    """Pretend that a database is at this revision; the one that it was at."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        ((before,),) = database.execute("SELECT version_num FROM alembic_version").fetchall()
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return str(before)
