"""The systemd units, looked at by systemd itself.

They are started by no test: that needs a machine that systemd runs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from launcher.operate.part import PARTS

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
WITH_ENGINE = {"ground", "hub", "worker"}
"""The only parts that may reach the container engine."""
MOST_EXPOSED = 3.0
"""Of systemd's ten. A unit without any of the lines has 9.6."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a program that is there: verify looks for it."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    for unit in folder.glob("*.service"):
        unit.write_text(unit.read_text().replace("/opt/repolaunch/.venv/bin/repolaunch", "/bin/true"))
    return folder


def analyze(units: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    assert program, "systemd-analyze is missing: apt-get install systemd"
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=120, check=False,
        env={"SYSTEMD_UNIT_PATH": f"{units}:", "PATH": "/usr/bin:/bin", "SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip


def test_systemd_finds_nothing_wrong(units: Path) -> None:
    names = [f"repolaunch@{part}.service" for part in PARTS]
    every = [str(units / name) for name in ("repolaunch.target", "repolaunch-backup.timer", *names)]
    for name in names:
        (units / name).symlink_to("repolaunch@.service")
    done = analyze(units, "verify", "--man=no", *every)
    ours = [line for line in done.stderr.splitlines() if "repolaunch" in line]
    assert ours == []
    (units / "repolaunch@hub.service").unlink()
    (units / "repolaunch@hub.service").write_text("[Service]\nExecStart=/nowhere\nProtectSystm=strict\n")
    said = analyze(units, "verify", "--man=no", str(units / "repolaunch@hub.service")).stderr
    assert "ProtectSystm" in said, "a word that it does not know would be told"


def test_every_part_is_wanted_and_known() -> None:
    target = (UNITS / "repolaunch.target").read_text()
    assert sorted(re.findall(r"repolaunch@(\w+)\.service", target)) == sorted(PARTS)


def test_only_three_parts_reach_the_engine() -> None:
    assert "InaccessiblePaths=-/run/docker.sock" in (UNITS / "repolaunch@.service").read_text()
    granted = {path.parent.name.split("@")[1].split(".")[0] for path in UNITS.glob("*/engine.conf")}
    assert granted == WITH_ENGINE
    for path in UNITS.glob("*/*.conf"):
        assert ("docker" in path.read_text()) == (path.name == "engine.conf")


@pytest.mark.parametrize("part", PARTS)
def test_how_exposed_a_part_is(units: Path, part: str) -> None:
    unit = units / f"repolaunch@{part}.service"
    extra = "".join(path.read_text() for path in (units / f"repolaunch@{part}.service.d").glob("*.conf"))
    unit.write_text(
        (units / "repolaunch@.service").read_text().replace("[Install]", extra.replace("[Service]", "") + "[Install]")
    )
    done = analyze(units, "security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSED, done.stdout
