"""BuildKit's plain progress output, line by line (recorded in tests/recordings/buildkit/).

#7 [2/5] RUN pip install -r requirements.txt      a step begins (again after other steps' lines)
#7 0.512 Collecting numpy                          a line that the step wrote, after so many seconds
#7 ERROR: process "/bin/sh -c …" did not complete successfully: exit code: 3
#3 [internal] load metadata for docker.io/library/debian:trixie
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections import defaultdict, deque

from builders.engine import DISK
from builders.errors import (
    BaseImageMissing,
    BuildAddressClosed,
    BuilderError,
    BuildFailed,
    BuildLogTooLong,
    DiskFull,
    EngineDown,
)
from builders.interface import Limits
from builders.lines import Line, Log, Step
from builders.text import clean, says_full

TAIL = 20
"""Lines of the failed step that an error carries."""

DEFAULT = Limits()
_WRITTEN = re.compile(r"#(\d+) (\d+\.\d+) ?(.*)", re.DOTALL)
_STEP = re.compile(r"#(\d+) (\[(?:[^\]]+ )?\d+/\d+\] .+)")
_WANTED = re.compile(r"#(\d+) (?:\[internal\] load metadata for|resolve image config for|FROM) (\S+)")
_FAILED = re.compile(r"#(\d+) ERROR: (.+)")
_END = re.compile(r"(?:ERROR|error): (.+)")
_STATUS = re.compile(r"exit code: (\d+)\b")
_DIALLED = re.compile(
    r"\bdial tcp \[?([0-9a-fA-F.:]+?)\]?:\d+: connect: (?:connection refused|operation not permitted)"
)
_CANCELLED = re.compile(r"\bcancel+ed\b")
_ENGINE = re.compile(
    r"Cannot connect to the Docker daemon|error during connect|failed to receive status: rpc error: code = Unavailable"
    r"|no active session|error reading from server: EOF|failed to dial"
)
# What BuildKit puts in front of what a person wants to read.
_WRAPPING = re.compile(
    r"^(?:failed to solve: |failed to build: |rpc error: code = \w+ desc = |failed to solve with frontend [\w.]+: "
    r"|failed to create LLB definition: |dockerfile parse error (?=line))+"
)
# Where the engine keeps a build's files; nobody outside the machine needs to know.
_ENGINE_PATH = re.compile(r"/[\w./-]*/buildkit-mount\d+/?")
# Where the tool keeps its notes, and we the build's context.
_OUR_FOLDER = re.compile(r"/repolaunch-(?:docker|build)-")
OUR_DISK = "data folder"
_HUB = re.compile(r"^docker\.io/(?:library/)?")


class Output:
    """Reads the output; afterwards knows what went wrong."""

    def __init__(self, builder: str, most: int = DEFAULT.log) -> None:
        """Of a build by `builder`; `most` is how many bytes it may be."""
        self.step = ""
        """The last step that began."""
        self._builder = builder
        self._steps: dict[str, str] = {}
        self._wanted: dict[str, str] = {}
        self._tails: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=TAIL))
        self._failed: tuple[str, str] | None = None
        self._end = ""
        self._most, self._bytes = most, 0

    def read(self, raw: str) -> Line | None:
        """What a line says; None for a blank one, and for a step's name that was seen before.

        Raises BuildLogTooLong for the line that is too much.
        """
        self._bytes += len(raw) + 1
        if self._bytes > self._most:
            raise BuildLogTooLong(self._most, self.step)
        # First what a step wrote: a stranger chose that text, and it must not be taken for BuildKit's own words.
        if match := _WRITTEN.fullmatch(raw):
            number, after, text = match[1], match[2], clean(match[3])
            self._tails[number].append(text)
            return Log(f"#{number} {after} {text}".rstrip())
        line = _ENGINE_PATH.sub("", clean(raw))
        if "\r" in raw:
            return Log(line) if line else None
        if match := _STEP.fullmatch(line):
            return self._begin(match[1], match[2])
        self._note(line)
        return Log(line) if line else None

    def error(self, status: int, *, walled: bool = False) -> BuilderError:
        """What went wrong, after the tool ended with `status`; `walled`: some addresses are closed to the engine."""
        number, reason = self._failed or ("", "")
        closed = _closed(reason or self._end) if walled else ""
        # An image on `localhost` was meant to be this machine's, and no address is at fault.
        if closed and not (number in self._wanted and ipaddress.ip_address(closed).is_loopback):
            return BuildAddressClosed(closed, self._steps.get(number, self.step))
        if number in self._wanted:
            return BaseImageMissing(_HUB.sub("", self._wanted[number]))
        if not number and _ENGINE.search(self._end):
            return EngineDown(_WRAPPING.sub("", self._end))
        match = _STATUS.search(reason)
        tail = [*self._tails.get(number, ()), _WRAPPING.sub("", reason or self._end)]
        step, lines = self._steps.get(number, self.step), tuple(line for line in tail if line)
        if says_full("\n".join(lines)):
            # Often a program of the repository's says it: there is nothing that its author could correct.
            return DiskFull(OUR_DISK if _OUR_FOLDER.search(self._end) else DISK, step, lines)
        return BuildFailed(self._builder, step, lines, int(match[1]) if match else status)

    def _begin(self, number: str, name: str) -> Step | None:
        if number in self._steps:
            return None
        self._steps[number] = self.step = name
        return Step(name)

    def _note(self, line: str) -> None:
        if match := _WANTED.fullmatch(line):
            self._wanted[match[1]] = match[2]
        elif match := _FAILED.fullmatch(line):
            # The first that failed by itself; the others are stopped because of it.
            if self._failed is None and not _CANCELLED.search(match[2]):
                self._failed = (match[1], match[2])
        elif match := _END.fullmatch(line):
            self._end = match[1]


def _closed(reason: str) -> str:
    """The address that could not be reached, if it is one that nobody outside an institution has."""
    with contextlib.suppress(ValueError):
        if (found := _DIALLED.search(reason)) and not ipaddress.ip_address(found[1]).is_global:
            return found[1]
    return ""
