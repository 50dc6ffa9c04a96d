"""Whatever way a build writes too much, it ends as that, and nothing of it is handed over."""

from __future__ import annotations

import os
import secrets
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.fixtures.builds import MIB, SMALL, error
from tests.fixtures.engine import BASE_IMAGE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.build_engine import RunningBuildEngine
    from tests.fixtures.builds import Builds

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
WRITE = "[f.write(bytes(2**20)) for _ in range(300)]; f.flush(); time.sleep(1000)"
BY_PYTHON = 'RUN ["/opt/server/bin/python", "-c", "import os, time; {}"]'
WAYS = {
    "as somebody else than root": "USER 1000\nRUN head -c 300000000 /dev/zero > /tmp/x; sleep 1000",
    "where its own root is another": BY_PYTHON.format(
        f"os.mkdir('/j'); os.chroot('/j'); f = open('/x', 'wb'); {WRITE}"
    ),
    "into a file without a name": "USER 1000\n"
    + BY_PYTHON.format(f"f = open('/tmp/x', 'wb'); os.unlink('/tmp/x'); {WRITE}"),
    "deeper than paths reach": BY_PYTHON.format(
        f"[(os.mkdir(d), os.chdir(d)) for d in ['d' * 250] * 22]; f = open('x', 'wb'); {WRITE}"
    ),
    "by steps that end at once": 'RUN ["fallocate", "-l", "90M", "/a"]\nRUN ["fallocate", "-l", "90M", "/b"]',
}


def test_what_a_build_writes_counts_however_it_is_written(builds: Builds) -> None:
    started = {way: builds.start(lines, *SMALL) for way, lines in WAYS.items()}
    for way, process in started.items():
        got, facts = error(process)
        assert (got, facts.get("bytes")) == ("BuildDiskFull", 100 * MIB), (way, facts)


def test_what_the_engine_itself_writes_counts(builds: Builds) -> None:
    """While several build, nobody can tell whose it is until it is finished; then it is not handed over."""
    sibling = builds.start("RUN echo begun; sleep 1000", *SMALL)
    assert sibling.stdout is not None
    assert any(" begun" in line and "RUN" not in line for line in sibling.stdout)
    got, facts = error(builds.start(f"COPY --from={BASE_IMAGE} /opt /copy", *SMALL))
    assert (got, facts.get("bytes")) == ("BuildDiskFull", 100 * MIB), facts


def test_without_a_lease_no_step_begins(build_engine: RunningBuildEngine, tmp_path: Path) -> None:
    """Nobody would count what it writes."""
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE_IMAGE}\nRUN echo begun-{secrets.token_hex(8)}\n")
    env = os.environ | {"DOCKER_HOST": f"unix://{build_engine.folder / 'engine.sock'}"}
    argv = ["docker", "buildx", "build", "--progress=plain", str(tmp_path)]
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode, ended.stderr
    assert "The build engine lets no step begin that it cannot hold: ValueError" in ended.stderr
