"""Builds derivations, says what they need, and keeps it from being collected."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders.errors import BuildBroken, BuildLogTooLong, BuildOutOfMemory
from builders.nix.output import Output
from builders.oci.closure import MOST_TOLD, check_count, checked_closure, is_store_path
from builders.sandbox import evaluator
from builders.written import watched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from builders.lines import Tell
    from builders.oci.closure import Closure
    from builders.sandbox import Daemon

ROOTS = "nix/var/nix/gcroots/repolaunch"
"""In the stores: a folder of links for each environment that was built."""
MAX_LINE = 4 * 2**20
_EVENTS = ("--log-format", "internal-json", "--verbose")
# Of a shell's variables: what only its making needs, and what a session has of its own.
_NOT_OURS = frozenset(
    [
        "HOME",
        "HOSTTYPE",
        "IFS",
        "LINENO",
        "MACHTYPE",
        "NIX_BUILD_CORES",
        "NIX_BUILD_TOP",
        "NIX_ENFORCE_PURITY",
        "NIX_LOG_FD",
        "NIX_STORE",
        "OLDPWD",
        "OPTERR",
        "OPTIND",
        "OSTYPE",
        "PWD",
        "SHELL",
        "SHELLOPTS",
        "SHLVL",
        "SSL_CERT_FILE",
        "NIX_SSL_CERT_FILE",
        "TEMP",
        "TEMPDIR",
        "TERM",
        "TMP",
        "TMPDIR",
        "TZ",
        "UID",
        "builder",
        "buildPhase",
        "depsBuildBuild",
        "name",
        "out",
        "outputs",
        "outputHash",
        "outputHashAlgo",
        "outputHashMode",
        "phases",
        "shell",
        "shellHook",
        "stdenv",
        "system",
        "dontAddDisableDepTrack",
        "doCheck",
        "doInstallCheck",
        "configureFlags",
        "cmakeFlags",
        "mesonFlags",
        "patches",
        "propagatedBuildInputs",
        "propagatedNativeBuildInputs",
        "strictDeps",
        "src",
    ]
)


@dataclass(frozen=True, slots=True)
class Made:
    """An environment in the store."""

    roots: tuple[str, ...]
    """Its own paths, in the author's order."""
    variables: Mapping[str, str]
    """What a shell sets; PATH is among them. Empty for packages."""
    closure: Closure


async def build(of: Daemon, kind: str, derivations: Sequence[str], tell: Tell) -> Made:
    """Raises BuildFailed, BuildLogTooLong, BuildOutOfMemory, BuildDiskFull, DiskFull, StoreUnfit, BuildBroken."""
    if kind == "shell":
        roots, variables = await _shell(of, derivations[0].partition("^")[0], tell)
    else:
        roots, variables = await _packages(of, derivations, tell), {}
    return Made(roots, variables, await _closure(of, roots))


def keep(stores: Path, key: str, roots: Sequence[str]) -> None:
    """Make them roots of the garbage collector, under the environment's key. Raises OSError."""
    folder = stores / ROOTS / key
    folder.mkdir(parents=True, exist_ok=True)
    for number, root in enumerate(roots):
        new = folder / f"new-{secrets.token_hex(4)}"
        new.symlink_to(root)
        new.replace(folder / str(number))


async def _packages(of: Daemon, derivations: Sequence[str], tell: Tell) -> tuple[str, ...]:
    said = await _run(of, ("nix", "build", "--json", "--no-link", *_EVENTS, *derivations), tell)
    built = {each["drvPath"]: each["outputs"] for each in _json(said, "[")}
    wanted = (one.split("^") for one in derivations)
    return tuple(dict.fromkeys(built[derivation][output] for derivation, output in wanted))


async def _shell(of: Daemon, derivation: str, tell: Tell) -> tuple[tuple[str, ...], dict[str, str]]:
    """What a shell's derivation is built with: Nix builds another one that tells of it."""
    script = 'nix print-dev-env --json --profile /tmp/environment "$@" && echo && readlink -f /tmp/environment'
    said = await _run(of, ("sh", "-c", script, "sh", *_EVENTS, derivation), tell)
    root = said[-1]
    if not is_store_path(root):
        raise BuildBroken(f"the environment of a shell is not in the store: {root[:200]!r}")
    whole = _json(said, "{")["variables"]
    exported = {name: about["value"] for name, about in whole.items() if about["type"] == "exported"}
    return (root,), {name: value for name, value in exported.items() if name not in _NOT_OURS and "\n" not in value}


async def _run(of: Daemon, argv: tuple[str, ...], tell: Tell) -> list[str]:
    """What it prints besides events."""
    limits = of.workshop.limits
    read = Output(limits.log)
    async with evaluator(of, argv, max_line=MAX_LINE) as running, watched(of, running) as disk:
        async for raw in running.child.lines():
            for line in read.read(raw):
                tell(line)
            for path in read.touched():
                disk.touch(path)
        ending = await running.ending()
    if (full := disk.passed(read.step)) is not None:
        raise full
    if ending.out_of_memory:
        raise BuildOutOfMemory(limits.memory, read.step)
    if ending.status:
        raise await of.passed(read.step) or read.error(ending.status)
    return read.plain


async def _closure(of: Daemon, roots: Sequence[str]) -> Closure:
    """What they need; it is told in one line, which is no line of a log."""
    step, told = "listing what the environment needs", bytearray()
    async with evaluator(of, ("nix", "path-info", "--json", "--recursive", *roots)) as running:
        async for chunk in running.child.chunks():
            told += chunk
            if len(told) > MOST_TOLD:
                raise BuildLogTooLong(MOST_TOLD, step)
        ending = await running.ending()
    if ending.out_of_memory:
        raise BuildOutOfMemory(of.workshop.limits.memory, step)
    body = _json(told.decode("utf-8", "replace").splitlines(), "{")
    check_count(roots[0], len(body))
    return checked_closure(body)


def _json(said: Sequence[str], begin: str) -> Any:
    try:
        first = next(at for at, line in enumerate(said) if line.startswith(begin))
        return json.JSONDecoder().raw_decode("\n".join(said[first:]))[0]
    except (StopIteration, ValueError):
        raise BuildBroken("Nix did not say what it built") from None
