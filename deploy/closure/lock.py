"""Writes the lock of the package set: each file's address, digest and needs, as this machine's apt and pip tell them.

    python lock.py IMAGE SERVER.lock MORE.lock > lock.json

IMAGE is an image of the Debian that the packages are taken from. SERVER.lock and MORE.lock are hashed requirements: of
the single-user server, and of what else is wanted. The lock has addresses of this machine's mirrors in it, so it is
made at set-up and committed nowhere; what is built from it depends on the digests alone.

What each package needs is written as a graph without cycles, for a store cannot hold one.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from email.message import Message

PYTHON = "3.13"
"""Of Debian trixie."""
DEBS = (
    "libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libffi8 libssl3t64 libzstd1 libsqlite3-0 liblzma5 libbz2-1.0"
    " libncursesw6 libtinfo6 libreadline8t64 libuuid1 bash"
    f" python{PYTHON}-minimal libpython{PYTHON}-minimal libpython{PYTHON}-stdlib"
).split()
"""All that is taken from Debian; busybox, the seed, is unpacked at set-up."""
MANYLINUX = ("2_41", "2_39", "2_35", "2_34", "2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")
"""What the glibc of Debian trixie, 2.41, runs, the newest first (PEP 600)."""
APT_S, PIP_S = 300, 600


@dataclass(frozen=True, slots=True)
class Machine:
    """The names of one architecture."""

    system: str
    """As Nix calls it."""
    multiarch: str
    loader: str

    @property
    def cpu(self) -> str:
        return self.system.partition("-")[0]


MACHINES = {
    machine.cpu: machine
    for machine in (
        Machine("x86_64-linux", "x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
        Machine("aarch64-linux", "aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
    )
}


@dataclass(frozen=True, slots=True)
class Deb:
    """One package of Debian."""

    version: str
    url: str
    sha256: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wheel:
    """One package of PyPI, for this machine and PYTHON."""

    version: str
    file: str
    """Its name: it says what the wheel fits."""
    url: str
    sha256: str
    needs: tuple[str, ...]


class Unfit(Exception):
    """What apt or pip said cannot be made into a lock; the text says why."""


def without_cycles(needs: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """The same graph among its own names, less each edge that would close a circle, found in the order of the names."""
    result: dict[str, tuple[str, ...]] = {}
    under_way: set[str] = set()

    def visit(name: str) -> None:
        under_way.add(name)
        kept = []
        for need in sorted(set(needs[name])):
            if need not in needs or need in under_way:
                continue
            if need not in result:
                visit(need)
            kept.append(need)
        under_way.discard(name)
        result[name] = tuple(kept)

    for name in sorted(needs):
        if name not in result:
            visit(name)
    return result


# --------------------------------------------------------------------------- Debian
def debs(shown: str, addresses: str, wanted: Iterable[str]) -> dict[str, Deb]:
    """From `apt-cache show` and `apt-get download --print-uris`. Raises Unfit."""
    # 'http://…/busybox_1.37.0-6%2bb9_amd64.deb' busybox_1%3a1.37.0-6+b9_amd64.deb 1234 SHA256:…
    found = re.findall(r"^'([^']+)' (\S+?)_\S+ \d+ \S+", addresses, re.MULTILINE)
    urls = {name: url for url, name in found}
    shown_as = {(entry := Parser().parsestr(text))["Package"]: entry for text in reversed(shown.strip().split("\n\n"))}
    missing = sorted(name for name in wanted if name not in urls or name not in shown_as)
    if missing:
        raise Unfit(f"apt knows no {', '.join(missing)}")
    needs = without_cycles({name: _deb_needs(shown_as[name]) for name in wanted})
    return {
        name: Deb(shown_as[name]["Version"], urls[name], shown_as[name]["SHA256"], needs[name])
        for name in sorted(wanted)
    }


def _deb_needs(entry: Message) -> list[str]:
    """The names in a package's dependencies, alternatives included, versions not."""
    fields = ", ".join(entry[field] or "" for field in ("Depends", "Pre-Depends"))
    return re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]*)", fields)


def ask_apt(image: str, names: Iterable[str]) -> tuple[str, str]:
    """What the image's apt says: `apt-cache show`, and the addresses. Raises CalledProcessError."""
    proxies = [f"--env={name}" for name in _PROXIES if name in os.environ]
    between = "----"
    script = (
        'apt-get update -qq >&2 && apt-cache show --no-all-versions -- "$@"'
        f' && echo {between} && apt-get download --print-uris -- "$@"'
    )
    command = ["docker", "run", "--rm", "--user=0", "--entrypoint=sh", *proxies, image, "-euc", script, "sh", *names]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=APT_S).stdout
    shown, _, addresses = said.partition(f"{between}\n")
    return shown, addresses


_PROXIES = tuple(name for base in ("http_proxy", "https_proxy", "no_proxy") for name in (base, base.upper()))


# --------------------------------------------------------------------------- PyPI
def wheels(report: Mapping[str, Any], machine: Machine) -> dict[str, Wheel]:
    """From pip's installation report (version 1). Raises Unfit."""
    environment = marker_environment(machine)
    needs = without_cycles(
        {canonicalize_name(each["metadata"]["name"]): _wheel_needs(each, environment) for each in report["install"]}
    )
    return dict(sorted((_wheel(each, needs) for each in report["install"]), key=lambda each: each[0]))


def _wheel(each: Mapping[str, Any], needs: Mapping[str, tuple[str, ...]]) -> tuple[str, Wheel]:
    name, version = canonicalize_name(each["metadata"]["name"]), each["metadata"]["version"]
    url = each["download_info"]["url"]
    file = unquote(Path(urlsplit(url).path).name)
    if not url.startswith(("http://", "https://")) or not file.endswith(".whl"):
        raise Unfit(f"{name} {version} is to be had as {file} only, which is no wheel that a build could fetch")
    sha256 = each["download_info"]["archive_info"]["hashes"]["sha256"]
    return name, Wheel(version, file, url, sha256, needs[name])


def _wheel_needs(each: Mapping[str, Any], environment: Mapping[str, str]) -> list[NormalizedName]:
    extras = ["", *each.get("requested_extras", ())]
    found = []
    for requirement in map(Requirement, each["metadata"].get("requires_dist", ())):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in extras):
            found.append(canonicalize_name(requirement.name))
    return found


def marker_environment(machine: Machine) -> dict[str, str]:
    """What markers are compared with: PYTHON on this machine, whatever Python runs this."""
    return {
        **{name: str(value) for name, value in default_environment().items()},
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "implementation_version": f"{PYTHON}.0",
        "python_full_version": f"{PYTHON}.0",
        "python_version": PYTHON,
        "platform_machine": machine.cpu,
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
    }


def ask_pip(requirements: Iterable[Path], machine: Machine) -> dict[str, Any]:
    """What pip reports on what it would install of these hashed files. Raises CalledProcessError."""
    platforms = [f"--platform=manylinux_{version}_{machine.cpu}" for version in MANYLINUX]
    platforms += [f"--platform=manylinux2014_{machine.cpu}"]
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
        command += ["--require-hashes", "--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp"]
        # The files pin versions for PYTHON; pip compares what they require with the Python that it runs on itself.
        command += ["--ignore-requires-python", *platforms, f"--target={folder}/nothing", f"--report={answer}"]
        command += [f"--requirement={path}" for path in requirements]
        subprocess.run(command, stdout=sys.stderr, check=True, timeout=PIP_S)
        report: dict[str, Any] = json.loads(answer.read_text())
        return report


def names_in(requirements: str) -> list[str]:
    """The packages that a requirements file pins."""
    return sorted(canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", requirements, re.MULTILINE))


# --------------------------------------------------------------------------- both
def lock(image: str, server: Path, more: Path) -> dict[str, Any]:
    """The whole lock. Raises Unfit, CalledProcessError."""
    machine = MACHINES.get(platform.machine())
    if machine is None:
        raise Unfit(f"there is no package set for {platform.machine()}, only for {' and '.join(MACHINES)}")
    packages = wheels(ask_pip([server, more], machine), machine)
    return {
        "system": machine.system,
        "multiarch": machine.multiarch,
        "loader": machine.loader,
        "python": PYTHON,
        "server": [name for name in names_in(server.read_text()) if name in packages],
        "debs": {name: asdict(deb) for name, deb in debs(*ask_apt(image, DEBS), DEBS).items()},
        "wheels": {name: asdict(wheel) for name, wheel in packages.items()},
    }


def main(arguments: list[str]) -> int:
    """Write the lock to the standard output."""
    if len(arguments) != 3:  # noqa: PLR2004  # IMAGE SERVER.lock MORE.lock
        sys.stderr.write(__doc__ or "")
        return 2
    image, server, more = arguments
    try:
        made = lock(image, Path(server), Path(more))
    except (Unfit, subprocess.SubprocessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    json.dump(made, sys.stdout, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
