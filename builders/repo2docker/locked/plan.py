"""What a lock file wants installed for one platform. Nobody is asked, and nothing of it is run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import uv
from packaging.markers import InvalidMarker, Marker
from packaging.pylock import (
    PackageDirectory,
    PackageVcs,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockUnsupportedVersionError,
    PylockValidationError,
)
from packaging.utils import canonicalize_name

from builders.errors import EnvironmentBroken
from builders.folders import present
from builders.process import Command, output
from builders.repo2docker.locked import files, target
from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.pylock import Package

_UV_S = 60
_LONGEST = 300
KERNEL = "ipykernel"
_PUBLIC = ("files.pythonhosted.org", "pypi.org")
"""A file of the public index is asked of the index that this site uses, which may be a mirror."""
_REQUIREMENT = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*===?\s*([^\s;]+)\s*(?:;(.*?))?(?=\s--hash|$)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")
_SHA256, _COMMIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40,64}")
_INDEX = re.compile(r"(?:--index-url|--extra-index-url|-i)[\s=]+(\S+)")


@dataclass(frozen=True, slots=True)
class Wheel:
    """One package as a wheel."""

    name: str
    version: str
    hashes: tuple[str, ...]
    """SHA-256, hexadecimal and sorted: the file has one of these."""
    url: str = ""
    """`""`: an index has it."""

    @property
    def line(self) -> str:
        """As a requirements file says it."""
        wanted = f"{self.name} @ {self.url}" if self.url else f"{self.name}=={self.version}"
        return " ".join((wanted, *(f"--hash=sha256:{one}" for one in self.hashes)))

    def id(self, platform: str) -> str:
        """By which it is kept: the same for all that would be the same file."""
        form = [target.PYTHON, platform, self.name, self.version, *self.hashes]
        return hashlib.sha256(json.dumps(form).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is installed."""

    lock: files.Lock
    wheels: tuple[Wheel, ...]
    sources: tuple[str, ...] = ()
    """Requirements of packages without a wheel: building them runs their code."""
    local: tuple[str, ...] = ()
    """Folders and files of the repository, relative to it."""
    indexes: tuple[str, ...] = ()
    """That the lock file names besides the site's own."""
    loose: tuple[str, ...] = ()
    """What is not pinned, each as `file:line: what`."""

    @property
    def has_kernel(self) -> bool:
        """Say whether notebooks can run."""
        return any(wheel.name == KERNEL for wheel in self.wheels)


@dataclass(slots=True)
class _Chosen:
    """A plan in the making."""

    lock: files.Lock
    text: str
    wheels: list[Wheel] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    local: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)

    def is_loose(self, name: str, what: str) -> None:
        lines = (number for number, line in enumerate(self.text.splitlines(), 1) if line == f'name = "{name}"')
        self.loose.append(f"{self.lock.name}:{next(lines, 1)}: {what}")


async def plan(directory: Path, lock: files.Lock, platform: str) -> Plan:
    """Read the lock file. Raises EnvironmentBroken."""
    text = files.text_of(directory, lock.name)
    if lock.kind == files.REQUIREMENTS:
        return _from_requirements(lock, text, platform)
    said = await _exported(directory, lock) if lock.kind == files.UV else files.toml(directory, lock.name)
    return _from_pylock(lock, text, said, platform)


# --------------------------------------------------------------------------- requirements.txt
def _from_requirements(lock: files.Lock, text: str, platform: str) -> Plan:
    wheels, indexes = [], []
    for line in files.lines(text):
        if match := _INDEX.match(line):
            indexes.append(match[1])
        elif match := _REQUIREMENT.match(line):
            name, version, marker = match.groups()
            if _holds(lock.name, marker or "", platform):
                wheels.append(Wheel(canonicalize_name(name), version, tuple(sorted(set(_HASH.findall(line))))))
    return Plan(lock, tuple(wheels), indexes=tuple(indexes))


def _holds(name: str, marker: str, platform: str) -> bool:
    try:
        return not marker.strip() or Marker(marker).evaluate(cast("dict[str, str]", target.environment(platform)))
    except InvalidMarker as error:
        raise EnvironmentBroken(name, clean(str(error))[:_LONGEST]) from None


# --------------------------------------------------------------------------- uv.lock, pylock.toml
async def _exported(directory: Path, lock: files.Lock) -> dict[str, Any]:
    """The lock of uv as a pylock. uv sees the two files alone: nothing that it could run, no settings, no network."""
    with tempfile.TemporaryDirectory(prefix="repolaunch-lock-") as name:
        folder = Path(name)
        for one in (files.UV, files.PROJECT, *_members(directory, lock)):
            (folder / one).parent.mkdir(parents=True, exist_ok=True)
            (folder / one).write_text(files.text_of(directory, f"{lock.folder}{one}"), encoding="utf-8")
        options = ("--frozen", "--offline", "--no-config", "--no-cache", "--no-progress", "--no-header")
        written = folder / files.PYLOCK
        argv = (uv.find_uv_bin(), "export", *options, "--format=pylock.toml", f"--output-file={written}", "--quiet")
        # A folder of its own is its home and all of its path: there is no interpreter in it.
        env = {"HOME": name, "PATH": name, "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
        try:
            status, said = await output(Command(argv, env, cwd=folder), time_limit_s=_UV_S)
        except TimeoutError:
            raise EnvironmentBroken(lock.name, f"uv did not read it within {_UV_S} seconds") from None
        if status:
            reason = clean(" ".join(said.replace(name, ".").split())).removeprefix("error: ")[:_LONGEST]
            raise EnvironmentBroken(lock.name, reason or "uv cannot read it")
        return files.toml(folder, files.PYLOCK)


def _members(directory: Path, lock: files.Lock) -> Iterable[str]:
    """The `pyproject.toml` of each folder of the repository that the lock file leads to: uv wants to see them."""
    for package in files.toml(directory, lock.name).get("package", []):
        source = package.get("source") or {}
        folder = next((source[kind] for kind in ("editable", "directory", "virtual") if kind in source), "")
        name = os.path.normpath(os.path.join(str(folder), files.PROJECT))  # noqa: PTH118  # as below
        inside = folder and name != files.PROJECT and not name.startswith(("/", ".."))
        if inside and present(directory, lock.folder, (name,)):
            yield name


def _from_pylock(lock: files.Lock, text: str, said: dict[str, Any], platform: str) -> Plan:
    chosen = _Chosen(lock, text)
    environment = target.environment(platform)
    try:
        selected = Pylock.from_dict(said).select(environment=environment, tags=target.tags(platform))
        for package, file in selected:
            _take(chosen, package, file, platform)
    except (PylockValidationError, PylockUnsupportedVersionError, PylockSelectError) as error:
        raise EnvironmentBroken(lock.name, clean(" ".join(str(error).split()))[:_LONGEST]) from None
    return Plan(
        lock, tuple(chosen.wheels), tuple(chosen.sources), tuple(sorted(chosen.local)), loose=tuple(chosen.loose)
    )


def _take(chosen: _Chosen, package: Package, file: Any, platform: str) -> None:
    name, version = package.name, str(package.version or "")
    if path := getattr(file, "path", None):
        chosen.local.append(_inside(chosen.lock, path))
        what = "the repository itself" if isinstance(file, PackageDirectory) else path
        chosen.is_loose(name, f"{name} is {what}, built with whatever tools its build asks for that day")
        return
    if isinstance(file, PackageVcs):
        if file.type != "git" or not _COMMIT.fullmatch(file.commit_id):
            raise EnvironmentBroken(chosen.lock.name, f"{name} is of no commit of a git repository")
        chosen.sources.append(f"{name} @ git+{_checked(chosen.lock, file.url or '')}@{file.commit_id}")
        chosen.is_loose(name, f"{name} is built from its git repository, with whatever tools that day")
        return
    hashes = tuple(sorted(value for kind, value in file.hashes.items() if kind == "sha256"))
    if not hashes or not all(_SHA256.fullmatch(one) for one in hashes):
        raise EnvironmentBroken(chosen.lock.name, f"{name} has no SHA-256 hash")
    url = _checked(chosen.lock, file.url or "")
    wheel = Wheel(name, version, hashes, "" if version and urlsplit(url).hostname in (*_PUBLIC, None) else url)
    if isinstance(file, PackageWheel) or url.endswith(".whl"):
        chosen.wheels.append(wheel)
        return
    chosen.sources.append(wheel.line)
    chosen.is_loose(
        name, f"{name} {version} has no wheel for {platform}: its source is built with whatever tools that day"
    )


def _checked(lock: files.Lock, url: str) -> str:
    """An address that can stand in a line of its own. Raises EnvironmentBroken."""
    if url and (urlsplit(url).scheme not in {"https", "http", "ssh"} or re.search(r"\s|[\x00-\x1f]", url)):
        raise EnvironmentBroken(lock.name, f"{clean(url)[:100]} is no address of a package")
    return url


def _inside(lock: files.Lock, path: str) -> str:
    """A path of the lock file as one of the repository. Raises EnvironmentBroken."""
    inside = os.path.normpath(os.path.join(lock.folder, path))  # noqa: PTH118  # text only, nothing is looked at
    if inside.startswith(("/", "../")) or inside == "..":
        raise EnvironmentBroken(lock.name, f"{clean(path)[:100]} leads out of the repository")
    return inside


def python_asked(directory: Path, lock: files.Lock) -> Iterable[str]:
    """What `.python-version` and `runtime.txt` ask for and do not get."""
    for name in (files.PYTHON_VERSION, files.RUNTIME):
        if f"{lock.folder}{name}" in lock.evidence:
            asked = files.text_of(directory, f"{lock.folder}{name}").strip().removeprefix("python-")
            if asked and not re.match(rf"(?:cpython-|cpython@)?(?:{re.escape(target.PYTHON)}(?!\d)|3$)", asked):
                shown = clean(asked.splitlines()[0])[:40]
                yield f"{lock.folder}{name}:1: it asks for Python {shown}; lock files are installed for {target.PYTHON}"


def copy_of_uv(folder: Path) -> None:
    """Put uv itself into a folder."""
    shutil.copyfile(uv.find_uv_bin(), folder / "uv")
    (folder / "uv").chmod(0o755)
