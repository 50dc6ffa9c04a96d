"""Runs in the steps of a build: installs into /opt/env.

    install.py wheels       those beside it: they are unpacked, nothing of them is run; needs no network
    install.py sources      what has no wheel, and folders of the repository: their build runs their code
    install.py run COMMAND  a command of the author's, which trusts whom this machine trusts

The same files give the same bytes: no clock, no order of folders, no cache is left in what is written.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ENV = Path("/opt/env")
PYTHON = ENV / "bin/python"
SYSTEM_PYTHON = "/usr/bin/python3"
CACHE = ENV / ".uv-cache"
WHEN = 315619200
"""The time of every file, in seconds since 1970: 1980-01-02, as old as a zip archive can say."""
SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")
SECRETS = Path("/opt/repolaunch/secrets")
MERGED = Path("/tmp/certificates.pem")  # noqa: S108  # of one step alone
CERTIFICATES = (
    *("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE"),
    "GIT_SSL_CAINFO",
)
PYTHONS = ("python", "python3")
INDEX = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "trusted-host": "UV_INSECURE_HOST"}


def main(argv: list[str]) -> None:
    """Run one of them. Raises CalledProcessError."""
    what, *words = argv
    if what == "run":
        os.execvpe(words[0], words, {**trusting(), "HOME": os.environ["HOME"]})  # noqa: S606  # no shell is the point
    if what == "wheels":
        uv("venv", "--python", SYSTEM_PYTHON, "--no-project", "--allow-existing", str(ENV))
        offline = ("--offline", "--no-index", "--no-build", f"--find-links={HERE / 'wheels'}")
        install(*offline, "--require-hashes", f"--requirement={HERE / 'wheels.txt'}")
    else:
        install(*words)
    shutil.rmtree(CACHE, ignore_errors=True)
    finish()


def uv(*words: str) -> None:
    """Run uv, which is beside us and not in the image."""
    settings = {"UV_CACHE_DIR": str(CACHE), "UV_LINK_MODE": "hardlink", "UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run((HERE / "uv", "--no-config", "--no-progress", *words), env=trusting() | settings, check=True)


def install(*words: str) -> None:
    """What the lock file names, and nothing that it does not."""
    if any(word.startswith("--requirement") and not Path(word.partition("=")[2]).stat().st_size for word in words):
        return
    uv("pip", "install", "--python", str(PYTHON), "--no-deps", *words)


def trusting() -> dict[str, str]:
    """Our variables, and where the authorities and the package index of this machine are, if it says so."""
    env = {**os.environ, "HOME": "/tmp"}  # noqa: S108  # a tmpfs of this step
    if (SECRETS / "certificates").stat().st_size:
        MERGED.write_bytes(SYSTEM.read_bytes() + (SECRETS / "certificates").read_bytes())
        env |= dict.fromkeys(CERTIFICATES, str(MERGED))
    for line in (SECRETS / "pip.conf").read_text().splitlines():
        name, _, value = line.partition(" = ")
        if name in INDEX:
            env[INDEX[name]] = value
    return env


def finish() -> None:
    """Kernels that name this Python, compiled files, one time for all."""
    for kernel in sorted(ENV.glob("share/jupyter/kernels/*/kernel.json")):
        said = json.loads(kernel.read_text())
        if said.get("argv", [""])[0] in PYTHONS:
            # The server would take its own Python for that word.
            said["argv"][0] = str(PYTHON)
            kernel.write_text(json.dumps(said, indent=1))
    for note in ENV.glob("lib/python3*/site-packages/*.dist-info/uv_cache.json"):
        # When uv saw the wheel: of no use to anybody, and another time in each build.
        note.unlink()
        record = note.with_name("RECORD")
        lines = record.read_text().splitlines(keepends=True)
        record.write_text("".join(line for line in lines if f"/{note.name}," not in line))
    settings = ENV / "pyvenv.cfg"
    # What a person installs in a session goes to ~/.local, which is seen then; Debian's own Python has no packages.
    text = settings.read_text()
    if "include-system-site-packages = false" in text:
        settings.write_text(text.replace("include-system-site-packages = false", "include-system-site-packages = true"))
    compiling = ("-I", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", str(ENV / "lib"))
    # Some packages carry files of another Python: they stay as they are.
    env = {**os.environ, "PYTHONHASHSEED": "0"}
    subprocess.run((SYSTEM_PYTHON, *compiling), env=env, stdout=subprocess.DEVNULL, check=False)
    (ENV / "share/jupyter").mkdir(parents=True, exist_ok=True)
    for folder, folders, names in os.walk(ENV, topdown=False):
        for path in (*(Path(folder, name) for name in (*names, *folders)), Path(folder)):
            if path.lstat().st_mtime != WHEN:
                os.utime(path, (WHEN, WHEN), follow_symlinks=False)


if __name__ == "__main__":
    main(sys.argv[1:])
