"""Backups: of a folder full of strange files, of databases in use, of a service with people in it; and their return."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from launcher.operate.installation import open_installation
from tests.fixtures.service import ROOT, Service, phases, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.postgres import Postgres
    from tests.fixtures.repos import GitHost

PASSWORD = "correct horse battery staple"


def repolaunch(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RESTIC_")}
    return subprocess.run(
        [sys.executable, "-m", "launcher", *arguments],
        cwd=ROOT, env={**environ, **variables}, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


class Store:
    """A place for backups and the file with its password."""

    def __init__(self, folder: Path) -> None:
        self.where = folder / "backups"
        self.password = folder / "password"
        self.password.write_text(PASSWORD + "\n")

    def backup(self, data: Path, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
        chosen = ("--password-file", str(self.password), *more)
        return repolaunch("backup", str(self.where), "--data", str(data), *chosen, **variables)

    def restore(self, data: Path, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
        chosen = ("--password-file", str(self.password), *more)
        return repolaunch("restore", str(self.where), "--data", str(data), *chosen, **variables)

    def restic(self, *arguments: str) -> str:
        argv = ["restic", "-r", str(self.where), "--password-file", str(self.password), *arguments]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def facts(folder: Path) -> dict[bytes, object]:
    """Everything below a folder that a restore must give back, links not followed."""
    found: dict[bytes, object] = {}
    linked: dict[int, bytes] = {}
    for where, folders, files in os.walk(os.fsencode(folder)):
        for name in sorted([*folders, *files, b"."]):
            path = os.path.join(where, name)  # noqa: PTH118  # names that are no text
            seen = os.lstat(path)
            kind = stat.S_IFMT(seen.st_mode)
            content: object = None
            if kind == stat.S_IFREG:
                content = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()
            elif kind == stat.S_IFLNK:
                content = Path(os.fsdecode(path)).readlink()
            attributes = {one: os.getxattr(path, one) for one in os.listxattr(path, follow_symlinks=False)}
            same = linked.setdefault(seen.st_ino, path) if kind == stat.S_IFREG else path
            found[os.path.relpath(path, os.fsencode(folder))] = (
                oct(seen.st_mode), seen.st_uid, seen.st_gid, seen.st_mtime_ns, content, attributes,
                os.path.relpath(same, os.fsencode(folder)),
            )  # fmt: skip
    return found


def strange(work: Path) -> None:
    """Files as strangers make them."""
    work.mkdir(parents=True)
    for name in (b"new\nline", b"not-\xff-utf8", b"--exclude=x", b"-rf", b"*", "Käse ü".encode(), b"a\\b", b"x" * 255):
        Path(os.fsdecode(os.path.join(os.fsencode(work), name))).write_bytes(name)  # noqa: PTH118  # the same
    (work / "empty").mkdir(mode=0o700)
    (work / "out").symlink_to("/etc/passwd")
    (work / "up").symlink_to("../../../../secrets")
    (work / "nowhere").symlink_to("no such thing")
    (work / "loop").symlink_to("loop")
    (work / "first").write_text("one file, two names")
    (work / "second").hardlink_to(work / "first")
    (work / "program").write_text("#!/bin/sh\n")
    (work / "program").chmod(0o2755)
    (work / "secret").write_text("s")
    (work / "secret").chmod(0o000)
    with (work / "sparse").open("wb") as file:
        file.truncate(64 * 2**20)
        file.seek(32 * 2**20)
        file.write(b"in the middle")
    os.setxattr(work / "first", "user.comment", b"kept \x00\xff")
    os.mkfifo(work / "pipe")
    for path in (*work.iterdir(), work):
        os.chown(path, 1000, 1000, follow_symlinks=False)
    (work / "program").chmod(0o2755)  # which a change of owner takes away
    os.chown(work / "secret", 4_000_000, 4_000_001)
    for number, path in enumerate([*sorted(work.iterdir()), work]):
        if path.name != "second":
            os.utime(path, ns=(10**18, 10**18 + number), follow_symlinks=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder that has been used, without a service."""
    installation = open_installation(tmp_path / "data")
    for name in ("operator-token", "cookie-secret"):
        installation.secret(name)
    strange(installation.path("workspaces") / "abcdefghij" / "work")
    for path in (installation.path("launcher") / "repolaunch.sqlite", installation.path("hub") / "hub.sqlite"):
        with closing(sqlite3.connect(path)) as database:
            database.executescript(
                "PRAGMA journal_mode=WAL; CREATE TABLE n (a, b); INSERT INTO n VALUES (1, 1);"
                "CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('0001');"
            )
            database.commit()
    (installation.path("registry") / "layer").write_text("an image")
    (installation.path("checkouts") / "cache").write_text("a cache")
    return installation.folder


def test_everything_comes_back_as_it_was(data: Path, store: Store, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("guests = false\n")
    settings.chmod(0o600)
    made = store.backup(data, "--verify", "--settings", str(settings))
    assert made.returncode == 0, made.stderr
    first, second = made.stdout.splitlines()
    assert first.startswith("Backup ")
    assert first.endswith(f" is in {store.where}.")
    assert second == "Every byte of it was read again and is as it was written."
    assert not (data / "backup").exists()
    done = store.restore(tmp_path / "new")
    assert done.returncode == 0, done.stderr
    new = tmp_path / "new"
    assert facts(new / "workspaces") == facts(data / "workspaces")
    assert facts(new / "secrets") == facts(data / "secrets")
    sparse = (new / "workspaces" / "abcdefghij" / "work" / "sparse").stat()
    assert sparse.st_blocks * 512 < sparse.st_size / 8
    assert open_installation(new).ports == open_installation(data).ports
    assert (new / "settings.toml").read_text() == "guests = false\n"
    assert stat.S_IMODE((new / "settings.toml").stat().st_mode) == 0o600
    assert done.stdout.splitlines()[-1].endswith(f"repolaunch up --data {new} --settings {new}/settings.toml")
    assert stat.S_IMODE(new.stat().st_mode) == 0o700
    kept = {"secrets", "ports.json", "hub", "workspaces", "launcher", "settings.toml"}
    assert {path.name for path in new.iterdir()} == kept, "no caches, and no images that were not asked for"


def test_images_come_along_where_they_are_asked_for(data: Path, store: Store, tmp_path: Path) -> None:
    assert store.backup(data, "--with-registry").returncode == 0
    assert store.restore(tmp_path / "new").returncode == 0
    assert (tmp_path / "new" / "registry" / "layer").read_text() == "an image"


def test_a_database_that_is_written_to(data: Path, store: Store, tmp_path: Path) -> None:
    """Two numbers that every transaction changes together are the same in the backup."""
    stop, written = threading.Event(), []

    def write() -> None:
        with closing(sqlite3.connect(data / "launcher" / "repolaunch.sqlite", timeout=60)) as database:
            while not stop.is_set():
                database.execute("UPDATE n SET a = a + 1")
                database.execute("UPDATE n SET b = b + 1")
                database.commit()
                written.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert store.backup(data).returncode == 0
    finally:
        stop.set()
        writer.join()
    assert len(written) > 10
    assert store.restore(tmp_path / "new").returncode == 0
    with closing(sqlite3.connect(tmp_path / "new" / "launcher" / "repolaunch.sqlite")) as database:
        ((one, other),) = database.execute("SELECT a, b FROM n").fetchall()
    assert one == other > 1


def test_postgresql(data: Path, store: Store, tmp_path: Path, postgres: Postgres) -> None:
    before, after = postgres.create(), postgres.create()
    with psycopg.connect(postgres.url(before)) as connection:
        connection.execute("CREATE TABLE alembic_version AS SELECT '0001' AS version_num")
        connection.execute("CREATE TABLE n AS SELECT 'the same' AS word")
    from_, to = ({"REPOLAUNCH_DATABASE_URL": postgres.url(name)} for name in (before, after))
    made = store.backup(data, **from_)
    assert made.returncode == 0, made.stderr
    refused = store.restore(tmp_path / "new")
    assert refused.stderr == (
        "The backup's database is of the kind postgresql and the setting database_url says SQLite in the data folder. "
        "Give the --settings of the new machine.\n"
    )
    refused = store.restore(tmp_path / "new", **from_)
    assert refused.stderr == "The database that database_url names is in use already. Name an empty one.\n"
    assert not (tmp_path / "new").exists()
    done = store.restore(tmp_path / "new", **to)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(postgres.url(after)) as connection:
        assert connection.execute("SELECT word FROM n").fetchone() == ("the same",)


# ------------------------------------------------------------------ what is refused
def test_a_backup_that_is_killed_is_none(data: Path, store: Store, tmp_path: Path) -> None:
    with (data / "workspaces" / "abcdefghij" / "work" / "large").open("wb") as file:
        for _ in range(300):
            file.write(os.urandom(2**20))
    argv = ["backup", str(store.where), "--data", str(data), "--password-file", str(store.password)]
    process = subprocess.Popen([sys.executable, "-m", "launcher", *argv], cwd=ROOT)
    until = time.monotonic() + 60
    while not list(store.where.glob("data/*/*")):  # it has begun to write
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    children = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGKILL)
    process.wait()
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=20)
    assert store.restore(tmp_path / "new").stderr == f"There is no finished backup in {store.where}.\n"
    (data / "workspaces" / "abcdefghij" / "work" / "large").unlink()
    again = store.backup(data, "--verify")
    assert again.returncode == 0, again.stderr
    assert store.restore(tmp_path / "new").returncode == 0


def test_what_cannot_be_read_makes_it_no_backup(data: Path, store: Store, tmp_path: Path) -> None:
    (data / "workspaces" / "abcdefghij" / "work" / "readable").write_text("kept")
    real = shutil.which("restic")
    fails = tmp_path / "bin" / "restic"  # as root everything can be read: a restic that could not read one file
    fails.parent.mkdir()
    said = json.dumps({"message_type": "error", "error": {"message": "input/output error"}, "item": "/x"})
    fails.write_text(f"#!/bin/sh\n{real} \"$@\" || exit $?\n[ $1 != backup ] || {{ echo '{said}' >&2; exit 3; }}\n")
    fails.chmod(0o755)
    made = store.backup(data, PATH=f"{fails.parent}:{os.environ['PATH']}")
    assert made.returncode == 1
    assert made.stderr.startswith(
        "The backup is not whole: 1 files or folders could not be read (/x: input/output error). What could be read is"
    )
    assert store.restore(tmp_path / "new").stderr == f"There is no finished backup in {store.where}.\n"
    named = made.stderr.split("is kept as ")[1].split(",")[0]
    assert store.restore(tmp_path / "new", "--snapshot", named).returncode == 0


def test_a_byte_that_changed_is_found(data: Path, store: Store, tmp_path: Path) -> None:
    with (data / "workspaces" / "abcdefghij" / "work" / "large").open("wb") as file:
        file.write(os.urandom(2**20))
    assert store.backup(data).returncode == 0
    pack = max(store.where.glob("data/*/*"), key=lambda path: path.stat().st_size)
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(2**19)
        file.write(b"changed")
    assert store.restore(tmp_path / "new").returncode == 1
    made = store.backup(data, "--verify")
    assert made.returncode == 1
    assert f"The backup in {store.where} could not be used: restic check said: " in made.stderr
    started = repolaunch("up", "--no-example", "--data", str(tmp_path / "new"))
    assert started.returncode == 1
    assert started.stderr == (
        f"A restore into {tmp_path}/new was not finished. Empty the folder and run `repolaunch restore` again.\n"
    )


def test_what_a_restore_refuses(data: Path, store: Store, tmp_path: Path) -> None:
    nothing = store.restore(tmp_path / "new").stderr
    assert nothing == f"There is no backup in {store.where}. Look at its name, and whether it can be reached.\n"
    assert store.backup(data).returncode == 0
    before = facts(data)
    assert store.restore(data).stderr == (
        f"{data} is not an empty folder, and a restore overwrites nothing. Name another one.\n"
    )
    assert facts(data) == before
    store.password.write_text("another one")
    assert store.restore(tmp_path / "new").stderr == f"The password does not open the backup in {store.where}.\n"
    said = repolaunch("restore", str(store.where), "--data", str(tmp_path / "new")).stderr
    assert said.startswith("A backup holds every secret of the service, so it is encrypted, and no password was given.")
    assert not (tmp_path / "new").exists()
    inside = repolaunch("backup", str(data / "b"), "--data", str(data), "--password-file", str(store.password))
    assert inside.stderr == f"The backup cannot be inside the data folder {data}. Choose another place.\n"


OTHER = {
    "format": (
        {"format": 2},
        (
            "The backup has format 2 and this version of repolaunch knows 1. "
            "Restore it with the version that made it, which is 9.9."
        ),
    ),
    "revision": (
        {"revision": "9999"},
        "The backup's database is at revision 9999 and this version of repolaunch knows up to",
    ),
    "strange": ({"x": 1}, "is no backup of repolaunch in"),
}


@pytest.mark.parametrize("changed, sentence", OTHER.values(), ids=OTHER)
def test_a_backup_of_another_version(store: Store, tmp_path: Path, changed: dict[str, object], sentence: str) -> None:
    manifest = {
        "format": 1, "repolaunch": "9.9", "created": "2026-11-21T12:00:00+00:00", "installation": "x",
        "database": "sqlite", "revision": "0001", "registry": False,
    } | changed  # fmt: skip
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "manifest.json").write_text(json.dumps(manifest))
    store.restic("init")
    argv = ["restic", "-r", str(store.where), "--password-file", str(store.password)]
    subprocess.run([*argv, "backup", "--tag", "repolaunch", "backup"], cwd=tmp_path, check=True, capture_output=True)
    done = store.restore(tmp_path / "new")
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "new").exists()


# ------------------------------------------------------------------ the whole service
@pytest.fixture
def services(own_service: Service, tmp_path: Path) -> Iterator[tuple[Service, Service]]:
    """A service, and the one that is restored from its backup."""
    new = Service(tmp_path / "new", own_service.port, dict(own_service.env))
    try:
        yield own_service, new
    finally:
        if (new.data / "secrets").exists():
            new.remove()


async def test_a_service_with_people_in_it_on_an_empty_machine(
    services: tuple[Service, Service], store: Store, git_daemon: GitHost
) -> None:
    old, new = services
    repo = git_daemon.make_repo(files={"Dockerfile": "FROM localhost/repolaunch/base:1\n", "notes.txt": "from git\n"})
    await asyncio.to_thread(old.start)
    async with visiting(old) as visitor:
        await visitor.enter()
        events = await visitor.launch(repo.url)
        assert phases(events)[-1] == "ready", events[-1]
        path, project = events[-1]["url"], events[-1]["project"]
        session = await visitor.session(path)
        await session.write("kept.txt", "written before the backup")
        await session.run("import os; os.makedirs('made by a kernel/x'); os.symlink('/etc', 'away')")
        made = await asyncio.to_thread(store.backup, old.data)
        assert made.returncode == 0, made.stderr
        assert await session.read("kept.txt") == "written before the backup", "the session went on"
        work = Path("workspaces", project, "work")
        before = facts(old.data / work)
        await session.write("late.txt", "written after the backup")
        await asyncio.to_thread(old.remove)  # the machine is gone: data, containers, network, volumes
        done = await asyncio.to_thread(store.restore, new.data)
        assert done.returncode == 0, done.stderr
        assert facts(new.data / work) == before
        await asyncio.to_thread(new.start)
        # The same person, with the cookie that the old machine gave, by the same link: their files.
        again = await visitor.launch(repo.url)
        assert (again[-1]["type"], again[-1].get("project")) == ("ready", project), again[-1]
        session = await visitor.session(path)
        assert await session.read("kept.txt") == "written before the backup"
