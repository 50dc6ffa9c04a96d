"""The build worker does what may be asked and nothing else; it may be killed at any time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from launcher.builds.run import Builders, Engine
from launcher.builds.worker import Worker
from launcher.errors import BuildBroken, EngineDown
from launcher.events import Progress
from launcher.model import Checkout, RepoRef, ResolvedRepo
from tests.fixtures.engine import BASE_IMAGE
from tests.fixtures.worker import RunningWorker, running_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker

    from launcher.events import Event

pytestmark = pytest.mark.engine
KEY = "b" * 64
ANOTHER_USER = 65534
REPO = ResolvedRepo(RepoRef("git", "x", "https://example.org/x.git", "main"), "c" * 40, "refs/heads/main")


@pytest.fixture
def running(tmp_path: Path, installation: str, engine_environment: dict[str, str]) -> Iterator[RunningWorker]:
    with running_worker(tmp_path, installation, engine_environment) as one:
        yield one


def ask(running: RunningWorker, line: bytes) -> list[dict[str, Any]]:
    """What a program that is not the launcher's own client is answered."""
    with socket.socket(socket.AF_UNIX) as asker:
        asker.settimeout(60)
        asker.connect(os.path.relpath(running.socket))
        asker.sendall(line + b"\n")
        return [json.loads(text) for text in asker.makefile()]


def refusal(running: RunningWorker, **asked: object) -> str:
    (line,) = ask(running, json.dumps(asked).encode())
    assert (line["type"], line["error"]) == ("error", "BuildBroken"), line
    reason: str = line["facts"]["reason"]
    return reason


def checkout(running: RunningWorker, dockerfile: str) -> Checkout:
    folder = running.checkouts / secrets.token_hex(4)
    folder.mkdir()
    (folder / "Dockerfile").write_text(dockerfile)
    return Checkout(REPO, folder, "tree")


async def test_what_it_refuses(running: RunningWorker, engine: docker.DockerClient, tmp_path: Path) -> None:
    """Another image than ours, another registry, a folder elsewhere, an option of the engine."""
    base = engine.images.get(BASE_IMAGE).id
    fields = {"checkout": "mine", "commit": "c" * 40}
    (running.checkouts / "mine").mkdir()
    none_of_ours = "the build worker refused: the image is none of this installation"
    assert refusal(running, verb="push", engine_id=base, key=KEY, space="") == none_of_ours
    assert refusal(running, verb="inspect", image=base, **fields) == none_of_ours
    elsewhere = "the build worker refused: the image is in another registry or repository"
    for name in ("docker.io/library/debian", f"{running.registry}/other/env"):
        assert refusal(running, verb="inspect", image=f"{name}@{base}", **fields) == elsewhere
    (tmp_path / "secret").mkdir()
    (running.checkouts / "link").symlink_to(tmp_path / "secret")
    (running.checkouts / "file").touch()
    for name in ("link", "file", "nothing"):
        assert refusal(running, verb="detect", checkout=name, space="") == "the checkout is gone"
    assert refusal(running, verb="detect", checkout="../secret", space="").endswith("the checkout is not of its form")
    assert refusal(running, verb="build", checkout="mine", memory=1).startswith("the build worker refused: the fields")
    assert refusal(running, verb="exec", argv=["sh"]) == "the build worker refused: there is no such verb"
    assert ask(running, b"x" * 100_000)[0]["facts"]["reason"] == "the build worker refused: it is too long"


def test_whom_it_turns_away(running: RunningWorker) -> None:
    """Another user, also where the file's mode would let him in; nobody is told anything."""
    assert running.socket.stat().st_mode & 0o777 == 0o600
    running.socket.chmod(0o666)
    script = f"""
import os, socket
os.chdir({str(running.socket.parent)!r})
os.setuid({ANOTHER_USER})
asker = socket.socket(socket.AF_UNIX)
asker.connect("worker.sock")
try:
    asker.sendall(b'{{"verb": "fingerprint"}}\\n')
    print(asker.recv(100))
except OSError as error:
    print(type(error).__name__)
"""
    running.socket.parent.chmod(0o755)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    assert said in {"b''", "ConnectionResetError", "BrokenPipeError"}
    assert f"user {ANOTHER_USER} was turned away" in running.log


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(EngineDown) as caught:
        await Engine(Worker(tmp_path / "worker.sock", patience_s=0.3)).health()
    assert caught.value.reason == "the build worker, which speaks to it, does not answer"


async def build(running: RunningWorker, tree: Checkout, told: list[Event]) -> str:
    builders = Builders(running.worker)
    return await builders.build(tree, await builders.detect(tree, told.append), told.append)


async def until_running(marker: str, task: asyncio.Task[str]) -> None:
    async with asyncio.timeout(90):
        while not steps(marker):
            assert not task.done(), task.result()
            await asyncio.sleep(0.1)


def steps(marker: str) -> int:
    return sum(marker in (process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_worker_that_ends_in_mid_build(running: RunningWorker, number: signal.Signals) -> None:
    """What it had started ends, what it had written is removed, and the build is asked for again, three times."""
    marker = f"wait-{secrets.token_hex(6)}"
    tree = checkout(running, f'FROM {BASE_IMAGE}\nRUN ["sh", "-c", "sleep 100000", "{marker}"]\n')
    told: list[Event] = []
    task = asyncio.create_task(build(running, tree, told))
    await until_running(marker, task)
    children = psutil.Process(running.pid).children(recursive=True)
    assert children
    assert list(running.scratch.iterdir())
    (running.contents / ".half.1.new").touch()
    os.kill(running.pid, number)
    assert running.process is not None
    await asyncio.to_thread(running.process.wait, 60)
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 15)
    assert not alive
    running.start()
    again = [event for event in told if isinstance(event, Progress) and event.message.startswith("The build worker")]
    async with asyncio.timeout(60):
        while not again:
            await asyncio.sleep(0.05)
            again = [one for one in told if isinstance(one, Progress) and one.message.startswith("The build worker")]
    assert [one.message for one in again] == ["The build worker ended in the midst of it and is asked again."]
    assert not list(running.contents.iterdir())
    for _ in range(3):
        await until_running(marker, task)
        running.kill()
        running.start()
    with pytest.raises(BuildBroken) as caught:
        await task
    assert caught.value.reason == "the build worker ended in the midst of it, 4 times"
    async with asyncio.timeout(30):
        while steps(marker):
            await asyncio.sleep(0.1)


async def test_containers_of_a_killed_worker_are_removed_by_id(
    running: RunningWorker, installation: str, engine: docker.DockerClient
) -> None:
    """What another installation, or a session, has is left alone."""
    ours = {"repolaunch.installation": installation}

    def made(labels: dict[str, str]) -> str:
        one = engine.containers.create(BASE_IMAGE, ["true"], labels=labels)
        return str(one.id)

    left = made(ours | {"repolaunch.kind": "look", "repolaunch.worker": "earlier"})
    session = made(ours | {"repolaunch.kind": "session"})
    running.kill()
    running.start()
    label = f"repolaunch.installation={installation}"
    deadline = time.monotonic() + 30
    while left in (
        now := {str(one.id) for one in engine.containers.list(all=True, sparse=True, filters={"label": label})}
    ):
        assert time.monotonic() < deadline, running.log
        await asyncio.sleep(0.1)
    assert now == {session}


async def test_a_killed_builder_leaves_no_temporary_files(
    tmp_path: Path, installation: str, engine_environment: dict[str, str]
) -> None:
    """What only the worker knows of is removed by it: the builder itself cannot any more."""
    marker = f"wait-{secrets.token_hex(6)}"
    with running_worker(tmp_path, installation, engine_environment) as running:
        scratch = running.scratch
        tree = checkout(running, f'FROM {BASE_IMAGE}\nRUN ["sh", "-c", "sleep 100000", "{marker}"]\n')
        task = asyncio.create_task(build(running, tree, []))
        await until_running(marker, task)
        assert list(scratch.iterdir()), "it has temporary files"
        for child in psutil.Process(running.pid).children():
            child.kill()
        with pytest.raises(BuildBroken, match="without an answer"):
            await task
        assert list(scratch.iterdir()) == []


async def test_the_registry_s_password_is_in_the_children_that_need_it_alone(
    tmp_path: Path, installation: str, engine_environment: dict[str, str]
) -> None:
    marker = f"wait-{secrets.token_hex(6)}"
    with running_worker(tmp_path, installation, engine_environment, login=("builder", "hush hush")) as running:
        tree = checkout(running, f'FROM {BASE_IMAGE}\nRUN ["sh", "-c", "sleep 100000", "{marker}"]\n')
        task = asyncio.create_task(build(running, tree, []))
        await until_running(marker, task)
        for child in psutil.Process(running.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                assert "hush" not in str(child.environ()), child.cmdline()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
