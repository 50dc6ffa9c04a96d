"""The launcher as a user of its own, one that may not open the engine's socket: everything works."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.operate.account import WAYS, Account, prepare
from launcher.operate.installation import InstallationError, free_port, open_installation
from tests.fixtures.service import ROOT, Service, phases, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.registry import RunningRegistry
    from tests.fixtures.repos import GitHost

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.getuid() != 0, reason="only root starts a process as another user"),
]
USER = "nobody"
ENGINE = "/var/run/docker.sock"
KEPT = ("secrets", "secrets/launcher-token", "hub", "contents", "workspaces", "logs", "tmp", "run/children.json")
"""Of the data folder: what is none of the launcher's business."""


def reached(data: Path, user: pwd.struct_passwd) -> list[str]:
    """What that user may read or, of the engine's socket, open; in the ways that he needs he cannot look round."""
    paths = [str(data), *(str(data / name) for name in KEPT)]
    assert all(Path(path).exists() for path in paths)
    script = f'for path; do test -r "$path" && echo "$path"; done; test -w {ENGINE} && echo {ENGINE}; :'
    who = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    done = subprocess.run([*who, "sh", "-c", script, "sh", *paths], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder to which everybody finds the way: pytest's own are their owner's alone."""
    made = Path(tempfile.mkdtemp(prefix="repolaunch-user-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def theirs(folder: Path, registry: RunningRegistry) -> Iterator[Service]:
    one = Service(folder / "data", free_port(), leading=everybody_finds_python(folder))
    one.env |= {"REPOLAUNCH_REGISTRY": registry.host, "REPOLAUNCH_REGISTRY_TLS": "false"}
    one.env["REPOLAUNCH_LAUNCHER_USER"] = USER
    try:
        yield one
    finally:
        one.remove()


def everybody_finds_python(folder: Path) -> tuple[str, ...]:
    """What goes before a command so that a Python in somebody's home is found by others: mounts of its own."""
    needed = [Path(sys.base_prefix), ROOT, Path.home() / ".docker"]
    closed = [top for path in needed for top in path.parents if not top.stat().st_mode & stat.S_IXOTH]
    if not closed:
        return ()
    top = closed[-1]
    inside = [path for path in needed if path.is_relative_to(top) and path.exists()]
    lines = ["set -e"]
    for n, path in enumerate(inside):
        lines.append(f"mkdir -p {folder}/{n}; mount --bind {path} {folder}/{n}")
    lines.append(f"mount -t tmpfs -o mode=755 none {top}")
    lines += [f"mkdir -p {path}; mount --bind {folder}/{n} {path}" for n, path in enumerate(inside)]
    lines.append('exec "$@"')
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines), "sh")


async def test_everything_works_and_nothing_more_is_reached(theirs: Service, git_daemon: GitHost) -> None:
    theirs.start()
    launcher, user = theirs.child("launcher"), pwd.getpwnam(USER)
    assert launcher.uids() == (user.pw_uid,) * 3
    assert launcher.gids() == (user.pw_gid,) * 3
    text = "FROM localhost/repolaunch/base:1\nWORKDIR /home/jovyan/x\nCOPY . .\nRUN echo made > product.txt\n"
    repo = git_daemon.make_repo(files={"Dockerfile": text, "notes.txt": "from git\n"})
    async with visiting(theirs) as visitor:
        await visitor.enter()
        events = await visitor.launch(repo.url)
        assert phases(events)[-1] == "ready", events[-1]
        session = await visitor.session(events[-1]["url"])
        assert await session.read("notes.txt") == "from git\n"
        assert await session.read("product.txt") == "made\n"
        await session.write("mine.txt", "kept")
        async with visitor.http.get("/health") as answer:
            assert answer.status == 200, await answer.text()
    assert await asyncio.to_thread(reached, theirs.data, user) == []


def test_the_folders_change_hands_and_back(tmp_path: Path) -> None:
    """What was there goes along, however it is named; a database of an earlier version too."""
    installation, user = open_installation(tmp_path / "data"), pwd.getpwnam(USER)
    (installation.folder / "repolaunch.sqlite").touch()
    (installation.path("checkouts", "tree") / "link").symlink_to("/etc/passwd")
    theirs, ours = Account(user.pw_uid, user.pw_gid), Account(os.getuid(), os.getgid())
    prepare(installation, theirs)
    own = [installation.folder / name for name in ("launcher", "launcher/repolaunch.sqlite", "checkouts/tree/link")]
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in own} == {(user.pw_uid, user.pw_gid)}
    assert Path("/etc/passwd").stat().st_uid == 0
    ways = [installation.folder, *(installation.folder / way for way in WAYS)]
    assert {(stat.S_IMODE(way.stat().st_mode), way.stat().st_gid) for way in ways} == {(0o710, user.pw_gid)}
    prepare(installation, ours)
    assert {path.lstat().st_uid for path in own} == {os.getuid()}
    assert {stat.S_IMODE(way.stat().st_mode) for way in ways} == {0o700}


def test_a_database_of_an_earlier_version_never_replaces_the_one_in_use(tmp_path: Path) -> None:
    """Whoever went back to an earlier version for a moment has two: which one is wanted is not for us to say."""
    installation = open_installation(tmp_path / "data")
    (installation.path("launcher") / "repolaunch.sqlite").write_text("in use")
    (installation.folder / "repolaunch.sqlite").touch()
    with pytest.raises(InstallationError, match=r"There are two databases: .* Move away the one that is not wanted"):
        prepare(installation, Account(os.getuid(), os.getgid()))
    assert (installation.folder / "launcher" / "repolaunch.sqlite").read_text() == "in use"


def test_a_user_that_there_is_not(tmp_path: Path) -> None:
    env = os.environ | {"REPOLAUNCH_LAUNCHER_USER": "no-such-user"}
    argv = [sys.executable, "-m", "launcher", "up", "--no-example", "--data", str(tmp_path / "data")]
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (
        1,
        "The setting launcher_user is 'no-such-user', which cannot be: this machine has no such user.\n",
    )
