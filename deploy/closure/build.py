"""Builds the single-user server of Nix and Guix images, and keeps it: what set-up does, once for each version of it.

    python build.py IMAGE KEY SERVER.lock MORE.lock

Asks apt (in IMAGE) and pip of this machine for the files, builds everything in a store of its own, behind the same
walls as strangers' environments, and leaves `<kept>/KEY/`: a cache of files that is signed with a key which is then
forgotten, `server.json`, and the lock. `<kept>/current` points there. See `builders/server.py` for who reads it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from builders.errors import BuilderError
from builders.interface import Limits, Workshop
from builders.oci.closure import parse_closure
from builders.process import Command, output
from builders.sandbox import Daemon, daemon, evaluator
from builders.sandbox_commands import SOURCE, WORK
from builders.server import ABOUT, CACHE, CURRENT, PUBLIC_KEY, Server, described, nix, own_folder
from deploy.closure.lock import Unfit, lock

ROOT = Path(__file__).parents[2]
PACKAGES = "packages"
"""All that environments of the package set are made from: the cache has them too, for the tests' authors."""
KEPT_VERSIONS = 3
"""Of other versions: a machine may have more than one checkout."""
BUILD_S = 3600
VARIABLES = {"LANG": "C.UTF-8"}
_NIX = ("nix", "--extra-experimental-features", "nix-command")


class Failed(Exception):
    """The text says why."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What set-up was told."""

    image: str
    key: str
    server: Path
    more: Path


async def build(inputs: Inputs, kept: Path) -> None:
    """Fill `kept/KEY`. Raises Failed, Unfit, BuilderError, SubprocessError."""
    work = kept / f"new-{secrets.token_hex(8)}"
    work.mkdir(parents=True)
    try:
        source, made = work / "source", work / "made"
        await asyncio.to_thread(_lay_out, inputs, source, made)
        workshop = Workshop(work / "stores", {"org.repolaunch.set-up": "closure"}, Limits(processes=8192))
        # Only fetching steps reach a network; all others are behind walls of their own.
        async with daemon(nix({"max-jobs": "auto", "cores": "1"}), workshop, network=True) as running:
            await asyncio.to_thread(shutil.copytree, source, running.folder / "source", dirs_exist_ok=True)
            program, tools = await _built(running, "program"), await _built(running, "tools")
            everything = await _built(running, "all")
            await _keep(running, made, everything + program)
            about = await _asked(running, *_NIX, "path-info", "--json", "--recursive", *program, *tools)
        server = Server(program[0], tools[0], VARIABLES, parse_closure(about))
        (made / PACKAGES).write_text("".join(f"{path}\n" for path in everything))
        (made / ABOUT).write_text(json.dumps(described(server), indent=1))
        made.rename(kept / inputs.key)
    finally:
        await asyncio.to_thread(_remove, work)


def _lay_out(inputs: Inputs, source: Path, made: Path) -> None:
    """The expressions with their lock and their seed; lock and seed again where they are kept."""
    made.mkdir()
    shutil.copytree(
        ROOT / "deploy/closure", source / "closure", ignore=shutil.ignore_patterns("__pycache__", "lock.py")
    )
    shutil.copytree(ROOT / "deploy/images/base", source / "images/base")
    (made / "lock.json").write_text(json.dumps(lock(inputs.image, inputs.server, inputs.more), indent=1))
    _seed(inputs.image, made / "seed/bin/busybox")
    for name in ("lock.json", "seed"):
        (shutil.copytree if (made / name).is_dir() else shutil.copyfile)(made / name, source / "closure" / name)


def _seed(image: str, program: Path) -> None:
    """Debian's static busybox, as apt gives it."""
    script = (
        "cd /tmp && apt-get update -qq >&2 && apt-get download -qq busybox-static >&2 && dpkg-deb --fsys-tarfile *.deb"
    )
    command = ["docker", "run", "--rm", "--user=0", "--entrypoint=sh", image, "-euc", script]
    archive = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300).stdout
    program.parent.mkdir(parents=True)
    unpack = ["tar", "--extract", "--to-stdout", "--wildcards", "*/bin/busybox"]
    program.write_bytes(subprocess.run(unpack, input=archive, stdout=subprocess.PIPE, check=True).stdout)
    program.chmod(0o755)


async def _built(of: Daemon, attribute: str) -> list[str]:
    """The paths of one attribute of server.nix."""
    argv = ("nix-build", "--no-out-link", f"{SOURCE}/closure/server.nix", "--attr", attribute)
    paths = []
    async with asyncio.timeout(BUILD_S), evaluator(of, argv) as running:
        async for line in running.child.lines():
            sys.stdout.write(f"{line}\n")
            if line.startswith("/nix/store/"):
                paths.append(line)
        ending = await running.ending()
    if ending.status or not paths:
        raise Failed(f"Nix could not build {attribute}")
    return paths


async def _keep(of: Daemon, made: Path, paths: list[str]) -> None:
    """Copy the paths and what they refer to into a signed cache; nobody has its key afterwards."""
    await _asked(of, "nix-store", "--generate-binary-cache-key", "repolaunch-closure", f"{WORK}/key", f"{WORK}/public")
    to = f"file://{WORK}/{CACHE}?compression=zstd&secret-key={WORK}/key"
    await _asked(of, *_NIX, "copy", "--to", to, *paths)
    work = of.folder / "work"
    await asyncio.to_thread(shutil.copytree, work / CACHE, made / CACHE)
    (made / PUBLIC_KEY).write_text((work / "public").read_text())


async def _asked(of: Daemon, *argv: str) -> str:
    """What a command of ours says in the daemon's container."""
    command = Command(("docker", "exec", of.container, *argv), of.env, stderr=False)
    status, said = await output(command, time_limit_s=BUILD_S)
    if status:
        raise Failed(f"{' '.join(argv[:6])} ended with {status}")
    return said


def _remove(work: Path) -> None:
    """Folders of a store are read-only."""
    subprocess.run(["chmod", "-R", "u+rwX", "--", work], check=False, capture_output=True)
    shutil.rmtree(work, ignore_errors=True)


def _point(kept: Path, key: str) -> None:
    """Make this version the current one, and drop the oldest others."""
    new = kept / f"current-{secrets.token_hex(4)}"
    new.symlink_to(key)
    new.replace(kept / CURRENT)
    (kept / key / ABOUT).touch()
    others = [path.parent for path in kept.glob(f"*/{ABOUT}") if path.parent.name not in {key, CURRENT}]
    for other in sorted(others, key=lambda path: (path / ABOUT).stat().st_mtime)[: -KEPT_VERSIONS + 1]:
        with suppress(OSError):
            shutil.rmtree(other)


def main(arguments: list[str]) -> int:
    """Build it if it is not kept already."""
    if len(arguments) != 4:  # noqa: PLR2004  # as the docstring says
        sys.stderr.write(__doc__ or "")
        return 2
    image, key, server, more = arguments
    kept = own_folder()
    began = time.monotonic()
    try:
        if not (kept / key / ABOUT).exists():
            asyncio.run(build(Inputs(image, key, Path(server), Path(more)), kept))
            sys.stdout.write(f"built in {time.monotonic() - began:.0f} s\n")
        _point(kept, key)
    except (Failed, Unfit, BuilderError, subprocess.SubprocessError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
