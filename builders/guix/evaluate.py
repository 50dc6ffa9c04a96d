"""From an author's files to the derivation that they stand for.

  channels.scm ──evaluator──▶ Channels ──fetch, with a network──▶ checkouts in the store
      ──evaluator: build──▶ the Guix of those channels ──evaluator: manifest.scm──▶ a profile's derivation

`guix time-machine -C channels.scm -- shell -m manifest.scm` does this in one process. Here what has a network runs
nothing of a stranger's, and what a stranger wrote, channels' own programs among it, has no network.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from builders.errors import BuildBroken, BuildFailed, BuildTimeout, EnvironmentBroken
from builders.guix.channels import CORE, MOST, Channel, is_commit, loose, parse
from builders.guix.source import prepare, put
from builders.guix.tool import CHECKOUTS, REPOSITORY, SCHEME, STATE, Run, answers
from builders.oci.closure import is_store_path
from builders.sandbox_commands import SOURCE
from builders.sandbox_door import Reach, Rights
from builders.variables import SITE_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builders.errors import BuilderError
    from builders.guix.files import GuixFiles
    from builders.guix.means import Means
    from builders.lines import Tell
    from builders.sandbox import Daemon

VERSION = "1.5.0"
"""Of the Guix in the image: it reads channels, fetches and builds; and it is the site's where nothing else is said."""
READ_S = 300
"""Seconds to read a channels.scm, which is a list."""
EVALUATION_S = 1200
"""Seconds to evaluate an environment: Guix may have to build a part of what it then evaluates."""
ROOTS = "gcroots/repolaunch"
"""In Guix's state: the roots that we make."""
_UNSIGNED = re.compile(r"error: (.*\bcommit [0-9a-f]{40}\b.*\b(?:sign|unsigned|key).*)")
_MISSING = re.compile(r"object not found[^\"]*|no match for id[^\"]*", re.IGNORECASE)
_QUIT = re.compile(r"Throw to key `quit'")
ENDED = "it ends the evaluation (`exit`) and gives nothing"
_SIGNALS = 128
_CACHE = "/keeps"
_ALONE = Rights(reach=Reach.NOTHING)
_ASKED = "channels.json"
_SITE_SEEN = "site.scm"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an author's files stand for."""

    derivation: str
    """Of the profile: equal path, same bytes."""
    loose: tuple[str, ...]
    advice: tuple[str, ...]
    """As `interface.Inputs` has them."""


@dataclass(frozen=True, slots=True)
class _Guix:
    """A Guix that evaluates, and what is not pinned of it."""

    program: str
    loose: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A channel's checkout in the store."""

    channel: Channel
    """As it was declared."""
    commit: str
    checkout: str
    dependencies: list[Any]


async def evaluate(of: Daemon, directory: Path, files: GuixFiles, means: Means, tell: Tell) -> Evaluated:
    """The derivation of a directory's environment.

    Raises EnvironmentBroken, BuildFailed, BuildTimeout, BuildOutOfMemory, BuildLogTooLong, BuildBroken, EngineDown.
    """
    await asyncio.to_thread(prepare, of, directory)
    guix = await _guix(of, files, means, tell)
    kind = "package" if files.is_package else "manifest"
    argv = (guix.program, "repl", "--", program("environment"), kind, f"{SOURCE}/{REPOSITORY}/{files.environment}")
    run = Run(argv, f"evaluating {files.environment}")
    found = await _within(EVALUATION_S, of, run, files.environment, tell)
    derivation = str(found.get("derivation"))
    if not is_store_path(derivation) or not derivation.endswith(".drv"):
        raise BuildBroken("what evaluating gave is no derivation")
    return Evaluated(derivation, guix.loose, guix.advice)


# --------------------------------------------------------------------------- which Guix
async def _guix(of: Daemon, files: GuixFiles, means: Means, tell: Tell) -> _Guix:
    """The Guix that the author's channels say, else the site's, else the image's."""
    site = of.workshop.common / SITE_CHANNELS
    if files.channels:
        channels = await _read(of, means, f"{REPOSITORY}/{files.channels}", files.channels, tell)
        return await _of_channels(of, channels, files.channels, means, tell)
    where = f"{files.environment}:1: no channels.scm beside it says which Guix it is for"
    if not site.is_file():
        advice = "guix describe --format=channels > channels.scm"
        return _Guix(means.command, (f"{where}; this site used Guix {VERSION}",), (advice,))
    text = await asyncio.to_thread(site.read_text, "utf-8")
    await asyncio.to_thread(put, of.source / _SITE_SEEN, text)
    channels = await _read(of, means, _SITE_SEEN, "the site's channels.scm", tell)
    guix = await _of_channels(of, channels, "the site's channels.scm", means, tell)
    used = ", ".join(f"{one.name} {(one.commit or one.branch)[:12]}" for one in channels)
    return _Guix(guix.program, (f"{where}; this site used {used}", *guix.loose), tuple(text.splitlines()))


async def _read(of: Daemon, means: Means, seen: str, path: str, tell: Tell) -> tuple[Channel, ...]:
    """What a channels.scm says; `path` is what people know it as."""
    run = Run((means.command, "repl", "--", program("channels"), f"{SOURCE}/{seen}"), f"reading {path}", _ALONE)
    found = await _within(READ_S, of, run, path, tell)
    return parse(found.get("channels"), path, means.schemes)


async def _within(seconds: int, of: Daemon, run: Run, path: str, tell: Tell) -> dict[str, Any]:
    """The last answer of a program that evaluates the author's file `path`."""
    try:
        async with asyncio.timeout(seconds):
            return await _last(of, run, EnvironmentBroken(path, ENDED), tell)
    except TimeoutError:
        raise BuildTimeout(seconds, run.step) from None
    except BuildFailed as error:
        if error.step == run.step and _has_quit(error):
            raise EnvironmentBroken(path, ENDED) from error
        raise


def _has_quit(error: BuildFailed) -> bool:
    """Whether the file itself ended the process: Guix says a word of all else, and ends so itself after one."""
    quits = any(_QUIT.search(line) for line in error.tail)
    said = any("error: " in line and "failed to load" not in line for line in error.tail)
    return (quits and not said) or (not error.tail and error.status < _SIGNALS)


async def _of_channels(of: Daemon, declared: Sequence[Channel], path: str, means: Means, tell: Tell) -> _Guix:
    """The Guix of channels: built once, then found by what they say."""
    unpinned = loose(declared, path, authenticate=means.authenticate)
    settled = all(channel.commit for channel in declared)
    if settled and (profile := await asyncio.to_thread(_rooted, of, declared)):
        return _Guix(f"{profile}/bin/guix", unpinned)
    fetched = await _fetch(of, declared, path, means, tell)
    whole = loose([one.channel for one in fetched], path, authenticate=means.authenticate)
    profile = await _instances(of, fetched, means, tell)
    if settled and whole == unpinned:
        await asyncio.to_thread(_keep, of, declared, profile)
    advice = (f'{path}:{one.channel.line}: (commit "{one.commit}")' for one in fetched if one.channel.commit is None)
    return _Guix(f"{profile}/bin/guix", whole, tuple(advice))


async def _fetch(of: Daemon, declared: Sequence[Channel], path: str, means: Means, tell: Tell) -> tuple[_Fetched, ...]:
    """The channels and those that they need, in the order in which Guix would have them."""
    found: dict[str, _Fetched] = {}
    wanted = {channel.name: channel for channel in declared}
    while wanted:
        if len(found) + len(wanted) > MOST:
            raise EnvironmentBroken(path, f"its channels need more than {MOST} others")
        said = await _fetched(of, list(wanted.values()), path, means, tell)
        found |= {one.channel.name: one for one in said}
        needed = [
            replace(each, line=one.channel.line)
            for one in said
            if one.dependencies
            for each in parse(one.dependencies, path, means.schemes)
        ]
        wanted = {each.name: each for each in needed if each.name not in found}
    return tuple(found.values())


async def _fetched(of: Daemon, wanted: Sequence[Channel], path: str, means: Means, tell: Tell) -> list[_Fetched]:
    await asyncio.to_thread(_ask, of, [channel.to_json() for channel in wanted])
    checked = "authenticate" if means.authenticate else "trust"
    argv = (
        "env",
        f"XDG_CACHE_HOME={_CACHE}",
        means.command,
        "repl",
        "--",
        program("fetch"),
        f"{SOURCE}/{_ASKED}",
        checked,
    )
    step = f"fetching the channels {', '.join(channel.name for channel in wanted)}"
    run = Run(argv, step, Rights(network=True, keeps={CHECKOUTS: _CACHE}))
    try:
        said = {str(body.get("name")): body for body in await answers(of, run, tell)}
    except BuildFailed as error:
        raise _refused(error, path) from error
    found = []
    for channel in wanted:
        body = said.get(channel.name, {})
        commit, checkout = str(body.get("commit")), str(body.get("checkout"))
        if not is_commit(commit) or channel.commit not in {None, commit} or not is_store_path(checkout):
            raise BuildBroken(f"the channel {channel.name} was not fetched as it was asked for")
        found.append(_Fetched(channel, commit, checkout, body.get("dependencies") or []))
    return found


def _refused(error: BuildFailed, path: str) -> EnvironmentBroken | BuildFailed:
    """Of commits that are not the maintainers', as authors are told; else what it was."""
    if found := next(filter(None, map(_UNSIGNED.search, error.tail)), None):
        return EnvironmentBroken(path, f"a channel's commits are not all its maintainers': {found[1]}")
    if missing := next(filter(None, map(_MISSING.search, error.tail)), None):
        return EnvironmentBroken(path, f"a channel has not the commit that it is pinned to ({missing[0]})")
    return error


async def _instances(of: Daemon, fetched: Sequence[_Fetched], means: Means, tell: Tell) -> str:
    """The profile that has the Guix of these checkouts."""
    settled = [replace(one.channel, commit=one.commit) for one in fetched]
    if profile := await asyncio.to_thread(_rooted, of, settled):
        return profile
    asked = [{**channel.to_json(), "checkout": one.checkout} for channel, one in zip(settled, fetched, strict=True)]
    await asyncio.to_thread(_ask, of, asked)
    argv = (means.command, "repl", "--", program("instances"), f"{SOURCE}/{_ASKED}")
    commit = next((channel.commit or "" for channel in settled if channel.name == CORE), "")
    run = Run(argv, f"building Guix {commit[:12]}")
    found = await _last(of, run, BuildBroken(f"{run.step} gave no answer"), tell)
    profile = str(found.get("profile"))
    if not is_store_path(profile):
        raise BuildBroken("building the channels gave no profile")
    await asyncio.to_thread(_keep, of, settled, profile)
    return profile


# --------------------------------------------------------------------------- what is kept
def _root(of: Daemon, channels: Sequence[Channel]) -> Path:
    """A garbage-collector root for the Guix of these channels, which is also how it is found again."""
    form = [{**channel.to_json(), "line": 0} for channel in channels]
    digest = hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()
    return of.workshop.stores / STATE / ROOTS / f"channels-{digest}"


def _rooted(of: Daemon, channels: Sequence[Channel]) -> str:
    """The profile that a root leads to; `""`: there is none."""
    root = _root(of, channels)
    try:
        target = os.readlink(root)  # noqa: PTH115  # the text as it is
        os.utime(root, follow_symlinks=False)  # those that are wanted stay longest
    except OSError:
        return ""
    return target if is_store_path(target) and (of.workshop.stores / target[1:]).exists() else ""


def _keep(of: Daemon, channels: Sequence[Channel], profile: str) -> None:
    keep(_root(of, channels), profile)


def keep(root: Path, target: str) -> None:
    """Make a garbage-collector root, or lead it elsewhere."""
    root.parent.mkdir(exist_ok=True)
    root.parent.chmod(0o755)  # whatever our umask is: the daemon looks at it
    making = root.with_name(f".{root.name}.{os.getpid()}")
    making.symlink_to(target)
    making.replace(root)


# --------------------------------------------------------------------------- programs
def program(name: str) -> str:
    """Where the containers see one of our programs."""
    return f"{SOURCE}/{SCHEME}/{name}.scm"


def _ask(of: Daemon, channels: list[dict[str, Any]]) -> None:
    put(of.source / _ASKED, json.dumps(channels))


async def _last(of: Daemon, run: Run, none: BuilderError, tell: Tell) -> dict[str, Any]:
    """The last answer: what a stranger's program prints in our name comes before it. Raises `none` without any."""
    said = await answers(of, run, tell)
    if not said:
        raise none
    return said[-1]
