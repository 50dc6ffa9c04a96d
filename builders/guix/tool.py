"""Guix as it runs in a pair of containers (builders/sandbox.py), and one run of a program of ours in there."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builders.errors import BuilderError, BuildFailed, BuildLogTooLong, BuildOutOfMemory, DiskFull
from builders.guix.log import Answer, Ended, Event, Fetching, Mismatch, Reader, Said, Started, Written, name_of
from builders.guix.patience import SILENT
from builders.lines import Log, Progress, Step
from builders.oci.closure import MOST_TOLD, is_store_path
from builders.sandbox import Tool, evaluator
from builders.sandbox_commands import SOCKETS, SOURCE, WORK
from builders.sandbox_door import Reach, Rights
from builders.site_cache import CopyFailed
from builders.text import says_full
from builders.written import watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from builders.interface import Limits
    from builders.lines import Tell
    from builders.sandbox import Daemon

NAME = "guix"
IMAGE = "localhost/repolaunch/guix:1"
STORE, STATE = "gnu/store", "gnu/var"
"""In the stores; `/gnu/store` and `/var/guix` in the containers."""
CHECKOUTS = "gnu/checkouts"
"""In the stores: the git repositories of channels, which only our own program writes."""
PROGRAMS = Path(__file__).with_name("scheme")
REPOSITORY, SCHEME = "repository", "scheme"
"""In `sandbox_commands.SOURCE`: the author's files, and our own programs."""
SITE_CACHE = "/site-cache"
"""Where the containers see the site's own cache."""
TAIL = 20
QUIET_S = 60
"""How long a cache may give nothing."""
NO_SUBSTITUTES = "--no-substitutes"
BEHIND = Rights(reach=Reach.GATE)
"""What runs something of a stranger's may."""
_SUBSTITUTER = "guix substitute"
_INSIDES = re.compile(r"substitute:|.*looking for substitutes on ")
_WRONG = re.compile(r"@ substituter-failed (\S+) .*")
"""Lines that an error carries."""
_SOCKET = f"{SOCKETS}/socket"
_DISK = "store"
_CONFIGURATION = "/tmp/guix"  # noqa: S108  # a container's own
# What `guix archive --authorize` writes begins so too.
_ACL = f"""
mkdir {_CONFIGURATION}
{{ cat /etc/guix/acl 2>/dev/null || echo "(acl)"; }} | sed "0,/(acl/s//(acl $0/" >{_CONFIGURATION}/acl
exec "$@"
"""
_PLACE = f"{SOURCE}/{REPOSITORY}/"
# The daemon's, of an evaluator that is given no folder for profiles, and needs none.
_NOISE = re.compile(r"failed to change owner of directory '/var/guix/profiles/per-user/.*")
# One stream, so that Guix's lines and what steps wrote stay in their order.
_ONE_STREAM = ("sh", "-c", f'cd {SOURCE}/{REPOSITORY} && exec "$@" 2>&1', "sh")


def tool(
    substitutes: tuple[str, ...] = (), folders: Mapping[str, str] | None = None, keys: tuple[str, ...] = ()
) -> Tool:
    """The pair of containers; `substitutes` are the addresses that what is already built may come from.

    `folders`: as `Tool.shared`; `keys`: whose signatures count besides those of the image's `/etc/guix/acl`.
    """
    asked = ("--substitute-urls=" + " ".join(substitutes),) if substitutes else (NO_SUBSTITUTES,)
    return Tool(
        name=NAME,
        image=IMAGE,
        folders={STORE: "/gnu/store", STATE: "/var/guix"},
        shared=folders or {},
        # Without a namespace of its own for every step, this daemon refuses to build; only `--disable-chroot` lets it.
        daemon=(
            *_trusting(keys),
            "guix-daemon",
            f"--listen={_SOCKET}",
            "--lose-logs",
            "--no-offload",
            "--isolate-host-loopback",
            *asked,
        ),
        socket="socket",
        daemon_env={"TMPDIR": WORK, **({"GUIX_CONFIGURATION_DIRECTORY": _CONFIGURATION} if keys else {})},
        gate=("builders.guix.gate", str(QUIET_S if substitutes else 0)),
        # The database, the roots, the cache: each names all that anybody has.
        withheld=("/var/guix", SITE_CACHE),
        unlisted=(STORE, f"{STORE}/.links"),
        evaluator_env={"GUIX_DAEMON_SOCKET": _SOCKET, "XDG_CACHE_HOME": "/tmp/cache"},  # noqa: S108  # a container's
    )


def _trusting(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Before the daemon is started: the keys of the image, and these."""
    if not keys:
        return ()
    entries = "".join(f"(entry (public-key (ecc (curve Ed25519) (q #{key}#))) (tag (guix import)))" for key in keys)
    return ("sh", "-euc", _ACL, entries)


@dataclass(frozen=True, slots=True)
class Run:
    """Something of Guix's to run, and who hears of it."""

    argv: tuple[str, ...]
    step: str
    """What it does, in words for people."""
    rights: Rights = BEHIND
    waits: bool = False
    """It does nothing itself: the daemon copies and builds for it."""


async def answers(of: Daemon, run: Run, tell: Tell) -> list[dict[str, Any]]:
    """What the program answers.

    Raises BuildFailed, CopyFailed, BuildOutOfMemory, BuildLogTooLong, BuildDiskFull, DiskFull, EngineDown.
    """
    tell(Step(run.step))
    output = Output(run.step, of.workshop.limits, ours=run.rights.reach is Reach.DAEMON)
    argv = (*_ONE_STREAM, *run.argv)
    async with evaluator(of, argv, run.rights) as running, watched(of, running) as disk:
        patient = not run.waits or NO_SUBSTITUTES in of.tool.daemon
        async for chunk in running.child.chunks() if patient else _chunks(running.child.chunks(), output):
            output.read(chunk, tell)
            # A program may print such a line too: only what cannot lead out of the store is looked at.
            for path in filter(is_store_path, output.building):
                disk.touch(path)
        output.end(tell)
        ending = await running.ending()
    if (full := disk.passed(output.step)) is not None:
        raise full
    if ending.out_of_memory:
        raise BuildOutOfMemory(of.workshop.limits.memory, output.step)
    if ending.status:
        raise await of.passed(output.step) or output.error(ending.status)
    return output.answers


async def _chunks(chunks: AsyncIterator[bytes], output: Output) -> AsyncIterator[bytes]:
    """Raises CopyFailed where who only waits for the daemon hears nothing, though nothing is being built.

    It may wait for another one's build: then what it has not copied it builds, after that.
    """
    while True:
        quiet = asyncio.timeout(None if output.building else QUIET_S)
        try:
            async with quiet:
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            if not quiet.expired():
                raise
            raise CopyFailed(NAME, output.step, (SILENT,), 1) from None
        yield chunk


class Output:
    """Tells what Guix prints; afterwards knows what it answered, or what went wrong."""

    def __init__(self, step: str, limits: Limits, *, ours: bool = False) -> None:
        """Of a program that does `step`; `ours`: what it answers is no part of a log, for no stranger answers."""
        self.step = step
        self.answers: list[dict[str, Any]] = []
        self._asked = step
        self._reader = Reader()
        self._limit, self._bytes = limits.log, 0
        self._ours, self._answered = ours, 0
        self._tails: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=TAIL))
        self.building: set[str] = set()
        """Derivations that are being built."""
        self._failed: Ended | Mismatch | None = None
        self._shown: dict[str, int] = {}

    def read(self, chunk: bytes, tell: Tell) -> None:
        """Take some of the output. Raises BuildLogTooLong."""
        self._bytes += len(chunk)
        for event in self._reader.feed(chunk):
            self._take(event, tell)
        if self._bytes > self._limit:
            raise BuildLogTooLong(self._limit, self.step)
        if self._answered > MOST_TOLD:
            raise BuildLogTooLong(MOST_TOLD, self.step)

    def end(self, tell: Tell) -> None:
        """The program has ended."""
        for event in self._reader.end():
            self._take(event, tell)

    def error(self, status: int) -> BuilderError:
        """What went wrong."""
        failed, step = self._failed, self._asked
        lines = list(self._tails[""])
        if isinstance(failed, Ended):
            step, lines = _building(failed.derivation), [*self._tails[failed.derivation], failed.reason]
        elif isinstance(failed, Mismatch):
            step = f"fetching {name_of(failed.item)}"
            lines = [f"{name_of(failed.item)} has the hash {failed.actual}; {failed.expected} was declared"]
        tail = tuple(line for line in lines if line)[-TAIL:]
        if says_full("\n".join(tail)):
            return DiskFull(_DISK, step, tail)
        copied = failed is None and any(words in line for line in tail for words in (_SUBSTITUTER, SILENT))
        return (CopyFailed if copied else BuildFailed)(NAME, step, tail, status)

    def _take(self, event: Event, tell: Tell) -> None:
        match event:
            case Answer():
                self._answer(event)
            case Started(derivation):
                self.building.add(derivation)
                self.step = _building(derivation)
                tell(Step(self.step))
            case Written(derivation, text):
                self._tails[derivation].append(text)
                tell(Log(f"{name_of(derivation)}> {text}".rstrip()))
            case Said(text) if text and not _NOISE.fullmatch(text):
                text = text.replace(_PLACE, "")
                self._tails[""].append(text)
                # What a substituter says is of its own insides.
                if not _INSIDES.match(text):
                    tell(Log(_WRONG.sub(_told_wrong, text)))
            case Fetching(item, percent):
                self._fetching(item, percent, tell)
            case Ended(derivation, reason, failed):
                self.building.discard(derivation)
                if not failed:
                    return
                self._fail(event)
                tell(Log(f"{name_of(derivation)}: {reason or 'failed'}"))
            case Mismatch():
                self._fail(event)

    def _answer(self, answer: Answer) -> None:
        self.answers.append(answer.body)
        if self._ours:
            self._bytes -= answer.size
            self._answered += answer.size

    def _fail(self, event: Ended | Mismatch) -> None:
        """The first counts: what needs it fails because of it. A wrong hash says more than the failure after it."""
        if self._failed is None or (isinstance(event, Mismatch) and not isinstance(self._failed, Mismatch)):
            self._failed = event

    def _fetching(self, item: str, percent: int | None, tell: Tell) -> None:
        """Every tenth part of it."""
        tenth = (percent or 0) // 10
        if self._shown.get(item) != tenth:
            self._shown[item] = tenth
            tell(Progress(f"Fetching {name_of(item)}", percent))


def _told_wrong(found: re.Match[str]) -> str:
    return f"{name_of(found[1])} in a cache is not what was signed: it is not copied."


def _building(derivation: str) -> str:
    return f"building {name_of(derivation)}"
