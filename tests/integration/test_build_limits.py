"""The build engine: its limits are in force, and what it builds arrives at the engine of the sessions."""

from __future__ import annotations

import json
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

    from tests.fixtures.build_engine import RunningBuildEngine

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]
MIB = 2**20
SMALL = ("--memory=209715200", "--cpus=0.5", "--processes=200", "--disk=104857600", "--log=1048576")
LONG_S = 120


class Builds:
    """Builder processes that use the build engine."""

    def __init__(self, folder: Path, installation: str, env: dict[str, str]) -> None:
        self._folder, self._installation, self._env = folder, installation, env
        self.started: list[subprocess.Popen[str]] = []

    def start(self, lines: str, *options: str) -> subprocess.Popen[str]:
        """Begin to build the base image and these lines; a nonce keeps every cache out of it."""
        folder = self._folder / secrets.token_hex(4)
        folder.mkdir()
        (folder / "nonce").write_text(folder.name)
        (folder / "Dockerfile").write_text(f"FROM {BASE_IMAGE}\nUSER root\nCOPY nonce /\n{lines}\n")
        name = f"--name=repolaunch-{self._installation}-env:{folder.name}"
        label = f"--label=repolaunch.installation={self._installation}"
        self.started.append(
            subprocess.Popen(
                [sys.executable, "-m", "builders", "build", name, label, *options, "--", str(folder)],
                env=self._env,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return self.started[-1]

    def run(self, lines: str, *options: str) -> list[dict[str, Any]]:
        """What a whole build says."""
        return said(self.start(lines, *options))


def said(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    assert process.stdout is not None
    lines = [json.loads(line) for line in process.stdout]
    process.wait(timeout=30)
    return lines


def error(process: subprocess.Popen[str]) -> tuple[str, dict[str, Any]]:
    final = said(process)[-1]
    assert final["type"] == "error", final
    return final["error"], final["facts"]


@pytest.fixture
def builds(
    tmp_path: Path, installation: str, engine_environment: dict[str, str], build_engine: RunningBuildEngine
) -> Iterator[Builds]:
    one = Builds(tmp_path, installation, engine_environment | build_engine.environment)
    yield one
    for process in one.started:
        process.kill()
        process.communicate()


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def steps(marker: str) -> list[psutil.Process]:
    """The processes of this machine whose command line has the marker, but for clients that merely name it."""
    return [process for process in psutil.process_iter(["cmdline"]) if marker in (process.info["cmdline"] or [])]


def leases(build_engine: RunningBuildEngine) -> list[str]:
    """The cgroups of builds that there are."""
    found = build_engine.run("find", "/sys/fs/cgroup", "-path", "*/builds/*", "-type", "d", "-name", "[0-9a-f]" * 24)
    return found.split()


def test_the_limits_are_seen_from_inside_a_build(builds: Builds) -> None:
    """Memory, cores and processes, in the files where programs look for them (version 1 or 2 of cgroups)."""
    script = (
        "cd /sys/fs/cgroup; sleep 1; "
        "if [ -e cgroup.controllers ]; then cat memory.max pids.max cpu.max; "
        "else awk '/^hierarchical_memory_limit/ { print $2 }' memory/memory.stat; cat pids/pids.max; "
        "echo $(cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us); fi"
    )
    lines = builds.run(f"RUN {script}", *SMALL)
    assert lines[-1]["type"] == "built", lines[-1]
    printed = [line["text"].split(" ", 2)[2] for line in lines if line["type"] == "log" and line["text"].count(" ") > 1]
    assert printed[-len(lines) :][printed.index("209715200") :][:3] == ["209715200", "200", "50000 100000"]


def test_an_image_arrives_with_its_id_and_only_what_is_new_is_sent(
    builds: Builds, engine: docker.DockerClient, build_engine: RunningBuildEngine, installation: str
) -> None:
    links = "ln -s /etc/passwd link; ln a hard; mkfifo pipe; printf x > 'ä b'; rm -rf /opt/server/share/jupyter"
    builds.run("RUN true")
    before = time.perf_counter()
    final = builds.run(f"RUN cd /srv; head -c 3000000 /dev/urandom > a; {links}")[-1]
    print(f"a small build, its image handed over: {time.perf_counter() - before:.2f} s")
    image = engine.images.get(final["engine_id"])
    assert image.labels["repolaunch.installation"] == installation
    # What the engine unpacked is what the build engine had: it compared the digests of the layers with the image's.
    base = engine.images.get(BASE_IMAGE).attrs["RootFS"]["Layers"]
    assert image.attrs["RootFS"]["Layers"][: len(base)] == base
    script = "cd /srv; stat -c '%F %s %h %n' *; ls /opt/server/share"
    listed = engine.containers.run(
        str(image.id), ["-c", script], entrypoint="sh", remove=True, labels={"repolaunch.installation": installation}
    ).decode()
    assert "regular file 3000000 2 a\n" in listed
    assert "symbolic link 11 1 link\nfifo 0 1 pipe\n" in listed
    assert "ä b" in listed
    assert "jupyter\n" not in listed
    assert "repolaunch-building" not in build_engine.images()


def test_an_environment_is_nobodys_to_build_on(builds: Builds, engine: docker.DockerClient, installation: str) -> None:
    final = builds.run("RUN true")[-1]
    name = next(tag for tag in engine.images.get(final["engine_id"]).tags if installation in tag)
    got, facts = error(builds.start(f"COPY --from={name} /nonce /other"))
    assert (got, facts) == ("BaseImageMissing", {"image": name})


@pytest.mark.parametrize("whose", ["builder", "engine"])
def test_what_is_killed_leaves_nothing_and_the_next_build_works(
    builds: Builds, build_engine: RunningBuildEngine, whose: str
) -> None:
    marker = f"endless-{secrets.token_hex(6)}"
    process = builds.start(f'RUN ["sh", "-c", "sleep 100000; true", "{marker}"]', *SMALL)
    eventually(lambda: steps(marker), "the step runs")
    if whose == "builder":
        process.send_signal(signal.SIGKILL)
    else:
        build_engine.dockerd.kill()
        got, facts = error(process)
        assert got == "EngineDown", facts
    eventually(lambda: not steps(marker), "the step has ended")
    eventually(lambda: not leases(build_engine), "no cgroup is left")
    assert builds.run("RUN true")[-1]["type"] == "built"
