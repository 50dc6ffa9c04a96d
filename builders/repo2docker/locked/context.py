"""The folders that a build with a lock file is given: our own files, wheels, and the repository where it may see it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from builders import machine
from builders.repo2docker.locked import target
from builders.repo2docker.locked.buildpack import FETCH, HASHED, REPOSITORIES, dockerfile
from builders.repo2docker.locked.plan import copy_of_uv
from builders.repo2docker.render import Context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builders.repo2docker.locked.plan import Plan, Wheel
    from builders.repo2docker.locked.wheels import Wheels

STEPS = Path(__file__).with_name("steps")
MISSING = "missing.txt"


def of_fetch(scratch: Path, plan: Plan, wheels: Sequence[Wheel]) -> Context:
    """To fetch wheels: sees their names, versions and hashes, nothing of the repository."""
    folder, given = _folder(scratch, "fetch", FETCH)
    shutil.copyfile(STEPS / "fetch.py", given / "fetch.py")
    _write(given / "wanted.txt", [wheel.line for wheel in wheels])
    _write(given / "indexes.txt", plan.indexes)
    made = Context(folder, folder / "Dockerfile", {}, scratch, _secrets(scratch), bases=(target.IMAGE,))
    readable(made)
    return made


def of_image(directory: Path, scratch: Path, plan: Plan) -> tuple[Context, Path]:
    """To install, and where the wheels go. Changes the process's directory meanwhile. Raises EnvironmentBroken."""
    folder, given = _folder(scratch, "install", dockerfile(directory, plan))
    shutil.copyfile(STEPS / "install.py", given / "install.py")
    copy_of_uv(given)
    (given / "wheels").mkdir()
    _write(given / HASHED, [line for line in plan.sources if "--hash=" in line])
    _write(given / REPOSITORIES, [line for line in plan.sources if "--hash=" not in line])
    if plan.lock.whole_tree:
        ignored = shutil.ignore_patterns(".git")
        shutil.copytree(directory, folder / "repository", symlinks=True, ignore=ignored, copy_function=_linked)
    network = _network(plan)
    secrets = {} if network else _secrets(scratch)
    return Context(folder, folder / "Dockerfile", {}, scratch, secrets, network, (target.IMAGE,)), given / "wheels"


def fill(given: Path, plan: Plan, kept: Wheels) -> list[Wheel]:
    """Give an install its wheels; those that are not kept. Blocks."""
    lines, lacking = [], []
    for wheel in plan.wheels:
        file = kept.copy(wheel, given)
        if file is None:
            lacking.append(wheel)
        lines.append(f"{wheel.name}=={wheel.version or _version(file)} {_hashes(wheel)}")
    _write(given.with_name("wheels.txt"), lines)
    return lacking


def missing(archive: Path) -> set[str]:
    """The lines for which the fetch found no wheel. Raises TarError."""
    with tarfile.open(archive) as members:
        for member in members:
            if member.name.removeprefix("./") == MISSING and (file := members.extractfile(member)):
                return set(file.read().decode().splitlines())
    return set()


def _version(file: Path | None) -> str:
    return file.name.split("-")[1] if file else "0"


def _hashes(wheel: Wheel) -> str:
    return " ".join(f"--hash=sha256:{one}" for one in wheel.hashes)


def _network(plan: Plan) -> str:
    """`none` where nothing but wheels is installed: they are there."""
    wants = {"apt.txt", "postBuild"} & {name.rpartition("/")[2] for name in plan.lock.evidence}
    return "" if wants or plan.sources or plan.local else "none"


def readable(context: Context) -> None:
    """Steps run as another user: what we are strict with elsewhere (umask) is no secret here."""
    for folder, folders, names in os.walk(context.source / "given"):
        for path in (*(Path(folder, name) for name in names), *(Path(folder, name) for name in folders), Path(folder)):
            path.chmod(0o755 if path.is_dir() or path.name == "uv" else 0o644)


def _folder(scratch: Path, name: str, text: str) -> tuple[Path, Path]:
    folder = scratch / name
    (folder / "given").mkdir(parents=True)
    (folder / "Dockerfile").write_text(text)
    return folder, folder / "given"


def _secrets(scratch: Path) -> Mapping[str, Path]:
    """What this machine trusts, and its index: steps see it, images never have it. Empty where there is nothing."""
    certificates, settings = scratch / "certificates", scratch / "pip.conf"
    if not settings.exists():
        certificates.write_text(machine.extra_certificates())
        settings.touch(mode=0o600)
        settings.write_text(machine.pip_settings())
    return {"certificates": certificates, "pip.conf": settings}


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def _linked(source: str, to: str) -> None:
    """A second name rather than a second file, where that can be."""
    with contextlib.suppress(OSError):
        os.link(source, to, follow_symlinks=False)
        return
    shutil.copy2(source, to, follow_symlinks=False)
