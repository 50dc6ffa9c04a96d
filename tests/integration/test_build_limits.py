"""The build engine: its limits are in force, and what it builds arrives at the engine of the sessions."""

from __future__ import annotations

import secrets
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from builders.repo2docker.builder import AGAIN
from tests.fixtures.builds import SMALL, error, eventually, leases, printed, said
from tests.fixtures.engine import BASE_IMAGE

if TYPE_CHECKING:
    import docker

    from tests.fixtures.build_engine import RunningBuildEngine
    from tests.fixtures.builds import Builds

pytestmark = pytest.mark.engine


def steps(marker: str) -> list[psutil.Process]:
    """The processes of this machine whose command line has the marker, but for clients that merely name it."""
    return [process for process in psutil.process_iter(["cmdline"]) if marker in (process.info["cmdline"] or [])]


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
    seen = printed(lines)
    assert seen[seen.index("209715200") :][:3] == ["209715200", "200", "50000 100000"]


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
    got, facts = error(builds.start(f"COPY --from={name} /nonce /other", "--local-images=*"))
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
        eventually(lambda: not steps(marker), "the step has ended")
        eventually(lambda: steps(marker), "the build begins again")
        build_engine.dockerd.kill()
        lines = said(process)
        assert [line["text"] for line in lines if line["type"] == "progress"].count(AGAIN) == 1
        assert lines[-1].get("error") == "EngineDown", lines[-1]
    eventually(lambda: not steps(marker), "the step has ended")
    eventually(lambda: not leases(build_engine), "no cgroup is left")
    assert builds.run("RUN true")[-1]["type"] == "built"


@pytest.mark.long
def test_a_build_whose_engine_was_killed_once_ends_well(builds: Builds, build_engine: RunningBuildEngine) -> None:
    marker = f"waits-{secrets.token_hex(6)}"
    process = builds.start(f'RUN ["sh", "-c", "sleep 5", "{marker}"]', *SMALL)
    eventually(lambda: steps(marker), "the step runs")
    build_engine.dockerd.kill()
    lines = said(process)
    assert lines[-1]["type"] == "built", lines[-1]
    assert AGAIN in [line["text"] for line in lines if line["type"] == "progress"]
