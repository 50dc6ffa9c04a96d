"""Nix's events as a builder's lines; afterwards knows what went wrong."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from typing import TYPE_CHECKING

from builders.engine import DISK
from builders.errors import BuildFailed, BuildLogTooLong, DiskFull
from builders.lines import Line, Log, Step
from builders.nix.events import (
    BUILD,
    FETCH,
    NO_NETWORK,
    SUBSTITUTE,
    WARNING,
    Began,
    Ended,
    Message,
    Plain,
    Wrote,
    parse,
)
from builders.site_cache import CopyFailed
from builders.text import says_full

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builders.errors import BuilderError
    from builders.nix.events import Event

TAIL = 20
"""Lines of the failed step that an error carries."""
NAME = "nix"
_STORED = re.compile(r"/nix/store/[0-9a-z]{32}-([^/'\s]+)")
_CACHES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"ignoring substitute for '(?P<what>[^']+)' from '(?P<where>[^']+)', as it's not signed by any .*"),
        "{what} in the cache {where} is not signed with a key that this site trusts: it is not copied.",
    ),
    (
        re.compile(r"unable to download '(?P<where>[^']+)/nix-cache-info': (?P<what>.*)(?<!ms)"),
        "The cache {where} does not answer as one ({what}): it is not asked again.",
    ),
    (re.compile(r"error: unable to download '.*; retrying in \d+ ms.*"), ""),
)
"""What Nix says of a cache, and how people are told."""
_PLACE = re.compile(r"[a-z]+://([^/'\s]*)[^'\s]*")
_AWAY = "unable to download"
_GONE = re.compile(rf"error: ({_AWAY} '(?![^']*/nix-cache-info')(?!.*; retrying in ).*)")
_DERIVATION = re.compile(r"builder for '(/nix/store/[0-9a-z]{32}-\S+?\.drv)' failed with exit code (\d+)")


def is_away(error: CopyFailed) -> bool:
    """Whether it was not to be had in time, or at all; else what was had was wrong."""
    return any(_AWAY in line for line in error.tail)


class Output:
    """Reads the output of one run of Nix."""

    def __init__(self, most: int) -> None:
        """`most`: how many bytes of output there may be."""
        self.step = ""
        """The last build or download that began."""
        self.plain: list[str] = []
        """Lines that are no events: what Nix was asked to print."""
        self._most, self._bytes = most, 0
        self._steps: dict[int, str] = {}
        self._tails: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=TAIL))
        self._errors: list[Message] = []
        self._failed: tuple[str, int] | None = None
        """The first derivation whose build failed, and its status."""
        self._touched: list[str] = []
        self._away: tuple[str, ...] = ()
        """What could not be downloaded, first: the daemon says it as a line, the error itself does not name it."""

    def read(self, raw: str) -> Iterator[Line]:
        """What a line says. Raises BuildLogTooLong for the one that is too much."""
        event = parse(raw)
        if isinstance(event, Plain | Wrote | Message):
            self._bytes += len(raw) + 1
            if self._bytes > self._most:
                raise BuildLogTooLong(self._most, self.step)
        return iter(self._lines(event))

    def touched(self) -> list[str]:
        """The store paths that were begun since this was asked last: derivations, and paths that are copied."""
        touched, self._touched = self._touched, []
        return touched

    def error(self, status: int) -> BuilderError:
        """What went wrong, after Nix ended with `status`."""
        reason = self._errors[0].reason if self._errors else ""
        failed, code = self._failed or ("", status)
        step = named(failed) if failed else self.step
        tail = tuple(self._tails[failed]) if failed else ()
        lines = tail or tuple(line.strip() for line in reason.splitlines() if line.strip())[:TAIL]
        if says_full("\n".join((*lines, reason))):
            return DiskFull(DISK, step, lines)
        if failed:
            return BuildFailed(NAME, step, lines, code)
        return CopyFailed(NAME, step, tuple(dict.fromkeys((*self._away, *lines)))[:TAIL], code)

    def _said(self, message: Message) -> list[str]:
        if message.reason:
            self._errors.append(message)
        elif not self._away and (found := _GONE.match(message.text)):
            self._away = (found[1],)
        # Of what another one needed, the daemon says so in a message of its own, before the error itself.
        if found := _DERIVATION.search(message.text):
            self._failed = self._failed or (found[1], int(found[2]))
            # What follows are the lines that were shown already, and advice for those who sit at the machine.
            return [f"{named(found[1])} failed with status {found[2]}"]
        text = _STORED.sub(lambda found: found[1].removesuffix(".drv"), message.text)
        if not message.reason and (told := _of_cache(text)) is not None:
            return [told] if told else []
        return [] if text.endswith(NO_NETWORK) else text.splitlines()

    def _lines(self, event: Event) -> list[Line]:
        match event:
            case Began(number, kind, text, fields) if kind in {BUILD, SUBSTITUTE, FETCH}:
                what = fields[0] if fields else text
                self._steps[number] = what
                # A step may print such a line too: only what cannot lead out of the store is looked at.
                self._touched += [what] if kind != FETCH and _STORED.fullmatch(what) else []
                self.step = named(what)
                return [Step(self.step)]
            case Wrote(number, text, phase):
                what = self._steps.get(number, "")
                if phase:
                    return [Log(f"{named(what)}: {text}")]
                self._tails[what].append(text)
                return [Log(text)]
            case Message(level):
                return [Log(line) for line in self._said(event)] if level <= WARNING else []
            case Plain(text) if not text.endswith(NO_NETWORK):
                self.plain.append(text)
            case Ended(number):
                self._steps.pop(number, None)
            case _:
                pass
        return []


def _of_cache(text: str) -> str | None:
    """How people are told of what Nix says of a cache; `""`: not at all; None: it says something else."""
    for form, words in _CACHES:
        if found := form.fullmatch(text.removeprefix("warning: ")):
            where = _PLACE.sub(lambda place: place[1] or "of this site", found.groupdict().get("where", ""))
            return words.format(**{**found.groupdict(), "where": where})
    return None


def named(path: str) -> str:
    """A store path as people know it: its name without digest; an address as it is."""
    found = _STORED.fullmatch(path)
    return found[1].removesuffix(".drv") if found else path
