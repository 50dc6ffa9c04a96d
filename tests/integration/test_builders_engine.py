"""The builder process against a real engine: build, fail, stop, leave nothing."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.fixtures.engine import BASE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]
Verb = list[dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "repo"
    made.mkdir()
    return made


@pytest.fixture
def start(installation: str, engine_environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `python -m builders …` on a leash."""
    started = []

    def begin(*arguments: str, **env: str) -> subprocess.Popen[str]:
        verb, *rest = arguments
        kinds = {"build": "label", "inspect": "mark"}
        labels = [f"--{kinds[verb]}=repolaunch.installation={installation}"] if verb in kinds else []
        process = subprocess.Popen(
            [sys.executable, "-m", "builders", verb, "--json", *labels, *rest],
            env=engine_environment | env,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def run(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Verb]:
    def whole(*arguments: str, **env: str) -> Verb:
        process = start(*arguments, **env)
        assert process.stdout is not None
        said = [json.loads(line) for line in process.stdout]
        assert process.wait(timeout=30) == (1 if said[-1]["type"] == "error" else 0)
        return said

    return whole


def dockerfile(folder: Path, text: str) -> Path:
    (folder / "Dockerfile").write_text(text)
    return folder


def name(installation: str) -> str:
    return f"repolaunch-{installation}-env:{secrets.token_hex(4)}"


def running_steps(marker: str) -> list[psutil.Process]:
    """The processes of this machine whose command line has the marker, but for clients that merely name it."""
    return [process for process in psutil.process_iter(["cmdline"]) if marker in (process.info["cmdline"] or [])]


def eventually(condition: Callable[[], object], within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.1)


def test_a_dockerfile_is_built_and_labelled(
    folder: Path, installation: str, run: Callable[..., Verb], engine: docker.DockerClient
) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    (folder / ".dockerignore").write_text("*.skip\n")
    (folder / "a.skip").write_text("")
    (folder / "kept.txt").write_text("")
    (folder / "nonce").write_text(secrets.token_hex(8))  # a step that is cached prints nothing
    dockerfile(folder, f"FROM {BASE_IMAGE}\nCOPY . /srv/x/\nRUN ls -A /srv/x; printf '\\033[31mred\\033[0m\\n'; env\n")
    (key,) = [line["key"] for line in run("detect", str(folder))]
    before = time.perf_counter()
    said = run(
        *("build", f"--key={key}", f"--name={name(installation)}", "--date=1700000000"),
        *("--label=org.opencontainers.image.revision=abc", "--", str(folder)),
        A_SECRET="hush",
    )
    print(f"trivial build: {time.perf_counter() - before:.2f} s")
    assert said[-1]["type"] == "built", said[-1]
    labels = engine.images.get(said[-1]["engine_id"]).labels
    # Whose it is, is in the papers: another repository with these files has this image too.
    assert "org.opencontainers.image.revision" not in labels
    assert labels["org.repolaunch.tree"].startswith("files:")
    assert labels["repolaunch.installation"] == installation
    assert (labels["org.repolaunch.key"], labels["org.repolaunch.builder"]) == (key, "repo2docker")
    assert labels["org.repolaunch.builder-version"]
    written = [line["text"].partition(" ")[2].partition(" ")[2] for line in said if line["type"] == "log"]
    assert "kept.txt" in written
    assert "red" in written
    assert not {"a.skip", ".git"} & set(written)
    text = json.dumps(said)
    assert "hush" not in text
    assert "\\u001b" not in text
    assert str(folder) not in text
    assert any(line["type"] == "step" and "RUN ls" in line["text"] for line in said)


def test_a_key_of_other_files_is_refused(folder: Path, installation: str, run: Callable[..., Verb]) -> None:
    dockerfile(folder, "FROM scratch\n")
    said = run("build", f"--key={'0' * 64}", f"--name={name(installation)}", str(folder))
    assert said[-1]["error"] == "BuildBroken"


@pytest.mark.parametrize(
    "text,error,facts",
    [
        ("RUN echo before; exit 7\n", "BuildFailed", {"status": 7, "step": "[2/2] RUN echo before; exit 7"}),
        ("RUUN x\n", "BuildFailed", {"tail": ["line 2: unknown instruction: RUUN"], "step": ""}),
        ("COPY nothing /\n", "BuildFailed", {"status": 1, "step": "[2/2] COPY nothing /"}),
        (
            "COPY --from=no-such-host.invalid/x:1 / /\n",
            "BaseImageMissing",
            {"image": "no-such-host.invalid/x:1"},
        ),
    ],
)
def test_a_dockerfile_that_fails(
    folder: Path, installation: str, run: Callable[..., Verb], text: str, error: str, facts: dict[str, object]
) -> None:
    said = run("build", f"--name={name(installation)}", str(dockerfile(folder, f"FROM {BASE_IMAGE}\n{text}")))
    assert said[-1]["error"] == error, said[-1]
    assert {fact: said[-1]["facts"][fact] for fact in facts} == facts


def test_a_base_image_that_does_not_exist(folder: Path, installation: str, run: Callable[..., Verb]) -> None:
    said = run("build", f"--name={name(installation)}", str(dockerfile(folder, "FROM no-such-host.invalid/x:1\n")))
    assert said[-1] == {"type": "error", "error": "BaseImageMissing", "facts": {"image": "no-such-host.invalid/x:1"}}


def test_an_engine_that_is_down(folder: Path, installation: str, run: Callable[..., Verb], tmp_path: Path) -> None:
    where = f"unix://{tmp_path}/no.sock"
    said = run("build", f"--name={name(installation)}", str(dockerfile(folder, "FROM scratch\n")), DOCKER_HOST=where)
    assert said[-1]["error"] == "EngineDown"
    assert said[-1]["facts"]["reason"] == "its socket is not there"


@pytest.fixture
def endless(folder: Path, installation: str) -> tuple[str, tuple[str, ...]]:
    """A build that never ends: the marker by which its step is found on this machine, and the build's arguments."""
    marker = f"endless-{secrets.token_hex(6)}"
    dockerfile(folder, f'FROM {BASE_IMAGE}\nRUN ["sh", "-c", "sleep 100000; true", "{marker}"]\n')
    return marker, ("build", f"--name={name(installation)}", str(folder))


def in_build(process: subprocess.Popen[str], marker: str) -> None:
    eventually(lambda: running_steps(marker), 60, f"the step runs ({process.poll()})")


def test_a_build_that_never_ends_is_stopped_by_its_time_limit(
    endless: tuple[str, tuple[str, ...]], run: Callable[..., Verb]
) -> None:
    marker, (verb, *rest) = endless
    said = run(verb, "--time-limit=8", *rest)
    assert said[-1]["error"] == "BuildTimeout"
    assert said[-1]["facts"]["seconds"] == 8
    assert "sleep 100000" in said[-1]["facts"]["step"]
    eventually(lambda: not running_steps(marker), 15, "the step has ended")


def words(process: psutil.Process) -> list[str]:
    """Its command line; nothing if it has ended since it was seen."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


@pytest.mark.parametrize("how", ["SIGTERM", "leash", "SIGKILL", "SIGKILL to the group"])
def test_nothing_is_left_of_a_build_that_is_stopped(
    endless: tuple[str, tuple[str, ...]], start: Callable[..., subprocess.Popen[str]], how: str
) -> None:
    marker, arguments = endless
    process = start(*arguments)
    in_build(process, marker)
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("buildx" in words(child) for child in children)
    match how:
        case "SIGTERM":
            process.terminate()
            process.wait(20)  # `communicate` lets go of the leash, which would end it too
        case "leash":
            assert process.stdin is not None
            process.stdin.close()
            process.stdin = None
        case "SIGKILL":
            process.kill()
        case _:
            os.killpg(process.pid, signal.SIGKILL)
    before = time.perf_counter()
    said, _ = process.communicate(timeout=20)
    if how in {"SIGTERM", "leash"}:
        by = "signal" if how == "SIGTERM" else "parent"
        assert json.loads(said.splitlines()[-1]) == {"type": "error", "error": "Stopped", "facts": {"by": by}}
    eventually(lambda: not running_steps(marker), 15, "the step has ended")
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    print(f"{how}: nothing left after {time.perf_counter() - before:.2f} s")
