"""Guix as it runs in a pair of containers (builders/sandbox.py), and one run of a program of ours in there."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builders.errors import BuilderError, BuildFailed, BuildLogTooLong, BuildOutOfMemory, DiskFull
from builders.guix.log import Answer, Ended, Event, Fetching, Mismatch, Reader, Said, Started, Written, name_of
from builders.interface import Limits, Log, Progress, Step
from builders.sandbox import SOCKETS, SOURCE, WORK, Tool, evaluator
from builders.text import says_full

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builders.interface import Tell
    from builders.sandbox import Daemon

NAME = "guix"
IMAGE = "localhost/repolaunch/guix:1"
STORE, STATE = "gnu/store", "gnu/var"
"""In the stores; `/gnu/store` and `/var/guix` in the containers."""
CHECKOUTS = "gnu/checkouts"
"""In the stores: the git repositories of channels, which only our own program writes."""
PROGRAMS = Path(__file__).with_name("scheme")
REPOSITORY, SCHEME = "repository", "scheme"
"""In `sandbox.SOURCE`: the author's files, and our own programs."""
TAIL = 20
"""Lines that an error carries."""
_SOCKET = f"{SOCKETS}/socket"
_DISK = "store"
_PLACE = f"{SOURCE}/{REPOSITORY}/"
# The daemon's, of an evaluator that is given no folder for profiles, and needs none.
_NOISE = re.compile(r"failed to change owner of directory '/var/guix/profiles/per-user/.*")
# One stream, so that Guix's lines and what steps wrote stay in their order.
_ONE_STREAM = ("sh", "-c", f'cd {SOURCE}/{REPOSITORY} && exec "$@" 2>&1', "sh")


def tool(substitutes: tuple[str, ...] = (), folders: Mapping[str, str] | None = None) -> Tool:
    """The pair of containers; `substitutes` are the addresses that what is already built may come from."""
    asked = ("--substitute-urls=" + " ".join(substitutes),) if substitutes else ("--no-substitutes",)
    return Tool(
        name=NAME,
        image=IMAGE,
        folders={STORE: "/gnu/store", STATE: "/var/guix", **(folders or {})},
        # Without a namespace of its own for every step, this daemon refuses to build; only `--disable-chroot` lets it.
        daemon=("guix-daemon", f"--listen={_SOCKET}", "--lose-logs", "--no-offload", "--isolate-host-loopback", *asked),
        socket="socket",
        daemon_env={"TMPDIR": WORK},
        evaluator_env={"GUIX_DAEMON_SOCKET": _SOCKET, "XDG_CACHE_HOME": "/tmp/cache"},  # noqa: S108  # a container's
    )


@dataclass(frozen=True, slots=True)
class Run:
    """Something of Guix's to run, and who hears of it."""

    argv: tuple[str, ...]
    step: str
    """What it does, in words for people."""
    network: bool = False
    keeps: Mapping[str, str] = field(default_factory=dict)
    """As `sandbox.evaluator` has it."""


async def answers(of: Daemon, run: Run, tell: Tell) -> list[dict[str, Any]]:
    """What the program answers. Raises BuildFailed, BuildOutOfMemory, BuildLogTooLong, DiskFull, EngineDown."""
    tell(Step(run.step))
    output = Output(run.step, of.workshop.limits)
    argv = (*_ONE_STREAM, *run.argv)
    async with evaluator(of, argv, network=run.network, keeps=run.keeps) as running:
        async for chunk in running.child.chunks():
            output.read(chunk, tell)
        output.end(tell)
        ending = await running.ending()
    if ending.out_of_memory or (ending.status and await of.out_of_memory()):
        raise BuildOutOfMemory(of.workshop.limits.memory, output.step)
    if ending.status:
        raise output.error(ending.status)
    return output.answers


class Output:
    """Tells what Guix prints; afterwards knows what it answered, or what went wrong."""

    def __init__(self, step: str, limits: Limits) -> None:
        """Of a program that does `step`."""
        self.step = step
        self.answers: list[dict[str, Any]] = []
        self._asked = step
        self._reader = Reader()
        self._limit, self._bytes = limits.log, 0
        self._tails: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=TAIL))
        self._failed: Ended | Mismatch | None = None
        self._shown: dict[str, int] = {}

    def read(self, chunk: bytes, tell: Tell) -> None:
        """Take some of the output. Raises BuildLogTooLong."""
        self._bytes += len(chunk)
        if self._bytes > self._limit:
            raise BuildLogTooLong(self._limit, self.step)
        for event in self._reader.feed(chunk):
            self._take(event, tell)

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
        return BuildFailed(NAME, step, tail, status)

    def _take(self, event: Event, tell: Tell) -> None:
        match event:
            case Answer(body):
                self.answers.append(body)
            case Started(derivation):
                self.step = _building(derivation)
                tell(Step(self.step))
            case Written(derivation, text):
                self._tails[derivation].append(text)
                tell(Log(f"{name_of(derivation)}> {text}".rstrip()))
            case Said(text) if text and not _NOISE.fullmatch(text):
                text = text.replace(_PLACE, "")
                self._tails[""].append(text)
                tell(Log(text))
            case Fetching(item, percent):
                self._fetching(item, percent, tell)
            case Ended(derivation, reason, failed=True):
                self._fail(event)
                tell(Log(f"{name_of(derivation)}: {reason or 'failed'}"))
            case Mismatch():
                self._fail(event)

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


def _building(derivation: str) -> str:
    return f"building {name_of(derivation)}"
