"""What `guix` prints with `print-extended-build-trace?` and `multiplexed-build-output?` (tests/recordings/guix/).

@ build-started /gnu/store/…-hello-1.drv - x86_64-linux /var/log/… 17     a build, and the number of its output
@ build-log 17 36                                                         the next 36 bytes are of that output
@ build-failed /gnu/store/…-hello-1.drv - 1 builder for … failed with exit code 3
@ download-progress /gnu/store/…-x.tar.gz https://… 1000 200              bytes in all, bytes so far
@repolaunch {"profile": …}                                                what our own programs answer

What a step wrote is counted, so no step can say that another one ended. All else is Guix's words to people; a line of
this kind that is damaged is shown as those are.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWER = b"@repolaunch "
MAX_LINE = 64 * 1024
"""Bytes: what is longer comes in pieces."""
_TRACE = b"@ "
_FRAME = re.compile(rb"@ build-log (\d{1,10}) (\d{1,10})")
_STORE = len("/gnu/store/") + 33


@dataclass(frozen=True, slots=True)
class Started:
    """A derivation is being built."""

    derivation: str


@dataclass(frozen=True, slots=True)
class Ended:
    """It was built, or not; `reason` in Guix's words."""

    derivation: str
    reason: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Fetching:
    """A file or a substitute is on its way; `percent` where its size is known."""

    item: str
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What was fetched has another hash than was declared."""

    item: str
    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class Written:
    """A line that a derivation's build wrote."""

    derivation: str
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A line of Guix's, or of the program that it evaluates."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program of ours found out."""

    body: dict[str, Any]
    size: int = field(default=0, compare=False)
    """Bytes of its line."""


Event = Started | Ended | Fetching | Mismatch | Written | Said | Answer


class Reader:
    """Bytes in, events out."""

    def __init__(self) -> None:
        """Of one run of `guix`."""
        self._rest = b""
        self._frame: tuple[str, int] | None = None
        self._builds: dict[str, str] = {}
        self._partial: dict[str, bytes] = {}

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """What this chunk completes."""
        self._rest += chunk
        while self._rest:
            if self._frame is not None:
                yield from self._output()
                continue
            line, end, rest = self._rest.partition(b"\n")
            if not end and len(line) < MAX_LINE:
                return
            self._rest = rest if end else self._rest[MAX_LINE:]
            yield from self._line(line if end else line[:MAX_LINE])

    def end(self) -> Iterator[Event]:
        """What is left when nothing more comes."""
        for number, text in self._partial.items():
            yield from _written(self._builds.get(number, ""), _text(text))
        if self._rest:
            yield Said(_text(self._rest))
        self._partial, self._rest = {}, b""

    def _output(self) -> Iterator[Event]:
        """Some or all of what is left of a step's output."""
        assert self._frame is not None  # noqa: S101  # `feed` looked
        number, left = self._frame
        taken, self._rest = self._rest[:left], self._rest[left:]
        self._frame = (number, left - len(taken)) if len(taken) < left else None
        *lines, rest = (self._partial.pop(number, b"") + taken).split(b"\n")
        while len(rest) >= MAX_LINE:
            lines.append(rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        if rest:
            self._partial[number] = rest
        for line in lines:
            yield from _written(self._builds.get(number, ""), _text(line))

    def _line(self, line: bytes) -> Iterator[Event]:
        if match := _FRAME.fullmatch(line):
            self._frame = (match[1].decode(), int(match[2])) if int(match[2]) else None
        elif line.startswith(ANSWER):
            yield _answer(line)
        elif line.startswith(_TRACE):
            yield from self._trace(_text(line).split(" ")[1:] or [""]) or (Said(_text(line)),)
        elif text := _text(line):
            yield Said(text)

    def _trace(self, words: list[str]) -> tuple[Event, ...]:
        """`()`: it is none that we know."""
        kind, *rest = words
        if kind == "build-started" and len(rest) >= 5:  # noqa: PLR2004  # as above
            self._builds[rest[-1]] = rest[0]
        found = _read(kind, rest)
        return (*self._cut_off(rest[0]), *found) if found and isinstance(found[0], Ended) else found

    def _cut_off(self, derivation: str) -> tuple[Event, ...]:
        """The last line of a build that ended without a line end."""
        numbers = [number for number in self._partial if self._builds.get(number) == derivation]
        return tuple(event for number in numbers for event in _written(derivation, _text(self._partial.pop(number))))


def _written(derivation: str, text: str) -> tuple[Event, ...]:
    """A line of a step's. Those that fetch tell of it as steps do; who pretends to only shows a name and a number."""
    kind, *words = text.removeprefix("@ ").split(" ")
    if text.startswith("@ download-") and (read := _read(kind, words)):
        return read
    return (Written(derivation, text),)


def _read(kind: str, words: list[str]) -> tuple[Event, ...]:
    """`()`: it is none that we know."""
    try:
        return _TRACES[kind](words)
    except (KeyError, IndexError, ValueError):
        return ()


def name_of(path: str) -> str:
    """A store path's name for people: no folder, no digest, no `.drv`."""
    return path[_STORE:].removesuffix(".drv") or path


def _answer(line: bytes) -> Event:
    try:
        body = json.loads(line.removeprefix(ANSWER))
    except (ValueError, RecursionError):
        body = None
    return Answer(body, len(line) + 1) if isinstance(body, dict) else Said(_text(line))


def _progress(words: list[str]) -> tuple[Event, ...]:
    item, _, size, done, *_ = words
    whole = int(size) if size.isdecimal() else 0
    return (Fetching(item, min(100, int(done) * 100 // whole) if whole else None),)


def _mismatch(words: list[str]) -> tuple[Event, ...]:
    item, _, expected, actual, *_ = words
    return (Mismatch(item, expected, actual),)


_TRACES: dict[str, Callable[[list[str]], tuple[Event, ...]]] = {
    "build-started": lambda words: (Started(words[0]),),
    "build-succeeded": lambda words: (Ended(words[0]),),
    "build-failed": lambda words: (Ended(words[0], " ".join(words[3:]), failed=True),),
    "download-started": lambda words: (Fetching(words[0]),),
    "download-progress": _progress,
    "download-succeeded": lambda words: (Fetching(words[0], 100),),
    "substituter-started": lambda words: (Fetching(words[0]),),
    "substituter-succeeded": lambda words: (Fetching(words[0], 100),),
    "hash-mismatch": _mismatch,
}


def _text(line: bytes) -> str:
    return clean(line.decode("utf-8", "replace"))
