"""What a build inside a container must know of this machine: its certificate authorities and its package index.

    python -m builders.machine certificates   PEM blocks the machine trusts beyond its distribution's own, or nothing
    python -m builders.machine pip            a pip.conf with the index settings of this machine's pip

Both are handed to BuildKit as secrets. Nothing of them is written into the project.
"""

from __future__ import annotations

import ast
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_DISTRIBUTION = Path("/usr/share/ca-certificates")
_SYSTEM_BUNDLES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))
_PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")


def blocks(text: str) -> dict[bytes, str]:
    """The certificates of a bundle, each under its DER bytes, so that spacing and comments make no difference."""
    return {ssl.PEM_cert_to_DER_cert(block): block for block in _PEM.findall(text)}


def bundle() -> Path | None:
    """The bundle this machine's programs use: SSL_CERT_FILE, else the system's."""
    named = os.environ.get("SSL_CERT_FILE")
    candidates = (Path(named), *_SYSTEM_BUNDLES) if named else _SYSTEM_BUNDLES
    return next((path for path in candidates if path.is_file()), None)


def extra_certificates() -> str:
    """What the machine trusts and its distribution did not bring, sorted, as PEM.

    Without the distribution's folder to compare with (not Debian) it is everything in the bundle that was put into a
    place for local authorities; there is no telling otherwise what was removed on purpose.
    """
    path = bundle()
    if path is None:
        return ""
    if not _DISTRIBUTION.is_dir():
        local = Path("/etc/pki/ca-trust/source/anchors")
        files = sorted(local.glob("*")) if local.is_dir() else []
        found = blocks("\n".join(file.read_text(errors="replace") for file in files if file.is_file()))
    else:
        found = blocks(path.read_text(errors="replace"))
        for file in _DISTRIBUTION.rglob("*.crt"):
            for known in blocks(file.read_text(errors="replace")):
                found.pop(known, None)
    return "".join(f"{found[der]}\n" for der in sorted(found))


def pip_conf(listed: str) -> str:
    """A pip.conf of what `pip config list` said; an index in a folder of this machine cannot be reached in a build."""
    settings: dict[str, str] = {}
    # As pip itself: what the environment says counts more than a file.
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in _PIP_KEYS:
            # pip shows each value as Python would; a list of addresses is separated by blanks or line ends.
            words = str(ast.literal_eval(value)).split()
            reachable = [word for word in words if not word.startswith("file:")]
            if reachable:
                settings[key] = " ".join(reachable)
    return "[global]\n" + "".join(f"{key} = {value}\n" for key, value in sorted(settings.items()))


def pip_settings() -> str:
    """The index settings of this machine's pip, as a pip.conf."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return pip_conf(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def indexes() -> tuple[str, ...]:
    """The addresses of the package indexes of this machine's pip that a build can reach. Blocks."""
    said = dict(line.split(" = ", 1) for line in pip_settings().splitlines() if " = " in line)
    return tuple(word for key in ("index-url", "extra-index-url") for word in said.get(key, "").split())


def main(arguments: list[str]) -> int:
    """Write what was asked for to the standard output."""
    answers = {"certificates": extra_certificates, "pip": pip_settings}
    if len(arguments) != 1 or arguments[0] not in answers:
        sys.stderr.write(__doc__ or "")
        return 2
    sys.stdout.write(answers[arguments[0]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
