"""How a builder process says its lines: as JSON for programs, or in words for people."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TextIO

from builders import errors
from builders.lines import FINAL, Built, Error, Found, Known, Log, Progress, Pushed, Step, Verified, format_line
from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builders.lines import Line


class Speaker:
    """Writes lines to the real stdout; what else writes to stdout, in this process or below it, goes to stderr.

    In words, the answer alone is on stdout; what leads to it, and what went wrong, is on stderr.
    """

    def __init__(self, *, as_json: bool) -> None:
        """Take stdout over."""
        self.step = ""
        self._as_json = as_json
        self._lock = threading.Lock()
        self._is_over = False
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
        os.dup2(2, 1)

    def __call__(self, line: Line) -> None:
        """Write one line. If nobody reads any more, nobody wants what we do: end."""
        self._write(line)

    def last(self, line: Line) -> None:
        """Write the last line: what threads still say after it is not written."""
        self._write(line, is_last=True)

    def _write(self, line: Line, *, is_last: bool = False) -> None:
        if isinstance(line, Step):
            self.step = line.text
        is_answer = isinstance(line, FINAL) and not isinstance(line, Error)
        out = self._out if self._as_json or is_answer else sys.stderr
        try:
            with self._lock:
                if self._is_over:
                    return
                self._is_over = is_last
                out.write((format_line(line) if self._as_json else in_words(line)) + "\n")
                out.flush()
        except OSError:
            os.kill(os.getpid(), signal.SIGTERM)


def in_words(line: Line) -> str:
    """The line for people: one or more lines of text."""
    match line:
        case Error():
            return "\n".join(_error(line))
        case Found():
            return _table(_found(line))
        case Log() | Step() | Progress() | Built() | Pushed() | Verified() | Known():
            return _sentence(line)
        case _:
            return _table((each.name, _text(getattr(line, each.name))) for each in fields(line))


def _sentence(line: Log | Step | Progress | Built | Pushed | Verified | Known) -> str:
    said = ""
    match line:
        case Log(text) | Step(text) | Progress(text, None):
            said = text
        case Progress(text, percent):
            said = f"{text} {percent} %"
        case Built(engine_id):
            said = f"built {engine_id}"
        case Pushed(digest):
            said = f"pushed {digest}" if digest else "nothing was kept: it is larger than it may be"
        case Verified(verdict, difference):
            said = f"{verdict}: {difference}" if difference else verdict
        case Known(digest):
            said = digest or "none"
    return said


def _found(line: Found) -> Iterator[tuple[str, str]]:
    yield "builder", f"{line.builder} {line.builder_version}"
    yield "declared by", ", ".join(line.evidence)
    yield "platform", line.platform
    yield "key", line.key
    yield "pinning", line.pinning
    for name, about in (("not pinned", line.loose), ("to pin it", line.advice), ("every file", line.tree)):
        yield from ((name, one) for one in about)


def _error(line: Error) -> Iterator[str]:
    """What the class of the error says it is, and the facts."""
    kind = getattr(errors, line.error, None)
    about = (kind.__doc__ or "").strip().splitlines()[0] if isinstance(kind, type) else line.error
    yield clean(about.partition(";")[0].rstrip(".")) + "."
    for name, fact in line.facts.items():
        for one in fact if isinstance(fact, (list, tuple)) else [fact]:
            yield clean(f"  {name}: {one}")


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name:<12} {clean(text)}".rstrip() for name, text in rows)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
