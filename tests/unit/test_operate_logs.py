"""Log files that are made smaller while processes write to them: no line is lost, none twice, none in two pieces."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil

from launcher.operate import logs

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import os, subprocess, sys
many = int(sys.argv[1])
script = "import os\\nfor n in range(%d): os.write(2, b'child %%d\\\\n' %% n)" % many
child = subprocess.Popen([sys.executable, "-c", script])
for n in range(many):
    os.write(2, b"parent %d\\n" % n)
child.wait()
"""
MANY = 60_000


def test_no_line_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "part.log"
    with file.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(MANY)], stderr=output)
    found: list[str] = []
    rotated = 0
    while process.poll() is None:
        time.sleep(0.02)
        if process.poll() is None and logs.rotate(file, process.pid):
            rotated += 1
            found += (tmp_path / "part.log.1").read_text().splitlines()
    found += file.read_text().splitlines()
    assert rotated > 3
    for who in ("parent", "child"):
        assert [line for line in found if line.startswith(who)] == [f"{who} {n}" for n in range(MANY)]
    assert len(found) == 2 * MANY
    assert process.returncode == 0


def test_so_many_files_and_no_more(tmp_path: Path) -> None:
    file = tmp_path / "part.log"
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        for number in range(8):
            with file.open("ab") as output:
                output.write(b"%d" % number)
            assert logs.rotate(file, sleeper.pid)
        kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
        assert kept == {"part.log": "", **{f"part.log.{n}": str(8 - n) for n in range(1, logs.FILES + 1)}}
        assert stat.S_IMODE((tmp_path / "part.log.1").stat().st_mode) == 0o600
        assert psutil.Process(sleeper.pid).status() != psutil.STATUS_STOPPED
    finally:
        sleeper.kill()
        sleeper.wait()
