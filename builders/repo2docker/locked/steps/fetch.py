"""Runs in a build step of its own: fetches wheels by name, version and hash. Nothing of them is run or unpacked.

Reads `wanted.txt` beside it, a requirement a line, writes the files to /wheels, and to /wheels/missing.txt the lines
for which there is no wheel. pip compares each file's hash; the builder does again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OUT = Path("/wheels")
SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")
SECRETS = Path("/opt/repolaunch/secrets")
MERGED = Path("/tmp/certificates.pem")  # noqa: S108  # of this step alone
PIP = ("/opt/server/bin/python", "-I", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir")
QUIET = ("--require-hashes", "--disable-pip-version-check", "--no-input", "--progress-bar=off", "--quiet")
NONE = "No matching distribution found"


def main() -> int:
    """The status that the step ends with."""
    wanted = (HERE / "wanted.txt").read_text().splitlines()
    indexes = [f"--extra-index-url={line}" for line in (HERE / "indexes.txt").read_text().splitlines()]
    status, said = fetch(HERE / "wanted.txt", indexes)
    if status == 0:
        return 0
    if NONE not in said:
        sys.stdout.write(said)
        return status
    # One of them has no wheel here: which?
    for line in wanted:
        one = Path("/tmp/one.txt")  # noqa: S108  # of this step alone
        one.write_text(line)
        status, said = fetch(one, indexes)
        if status and NONE not in said:
            sys.stdout.write(said)
            return status
        if status:
            sys.stdout.write(f"{line.split()[0]} has no wheel that fits\n")
            with (OUT / "missing.txt").open("a") as missing:
                missing.write(f"{line}\n")
    return 0


def fetch(wanted: Path, indexes: list[str]) -> tuple[int, str]:
    """Run pip; its status and what it says."""
    argv = (*PIP, *QUIET, *indexes, f"--dest={OUT}", f"--requirement={wanted}")
    env = {"PATH": os.environ["PATH"], "HOME": "/tmp", "PIP_CONFIG_FILE": str(SECRETS / "pip.conf")}  # noqa: S108
    env |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    MERGED.write_bytes(SYSTEM.read_bytes() + (SECRETS / "certificates").read_bytes())
    done = subprocess.run(argv, env=env | {"PIP_CERT": str(MERGED)}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
