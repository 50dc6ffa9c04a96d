"""How the launcher asks the build worker (`builders/worker.py`): one connection is one request and its answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from builders import lines
from builders.logs import LAUNCH
from builders.process import split
from builders.requests import RequestWrong, format_request
from builders.sockets import open_socket
from launcher import errors
from launcher.errors import BuildBroken, BuildTimeout, EngineDown, LauncherError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Again:
    """Told among the worker's lines: it ended in the midst of it and is asked again."""


Heard = lines.Line | Again
Told = Callable[[Heard], None]

_SLACK_S = 30
"""How much longer than its own time limit a verb may take: the builder process can say best what took so long."""
_PATIENCE_S = 15
"""For a worker that is being started again."""
_STOP_S = 20
"""How long the worker may take to stop what nobody wants any more."""
_ANSWER_S = 30
"""For what the worker answers by itself."""
_DEAF, _DEAF_S = 3, 0.2
"""How often, and after how many seconds, a worker of which nothing was heard is asked once more."""
_ASKED = 4
"""How often a worker that ends in the midst of it is asked: more often, and it may well be the build that ends it."""
_T = TypeVar("_T")


class _Gone(Exception):
    """The worker went away before it had answered."""


class Worker:
    """A client of the build worker."""

    def __init__(self, path: Path, *, patience_s: float = _PATIENCE_S) -> None:
        """`path` is the worker's socket."""
        self._path = path
        self._patience_s = patience_s

    async def ask(
        self,
        kind: type[_T],
        verb: str,
        fields: Mapping[str, str | int],
        *,
        told: Told = lambda _: None,
        limit_s: int = _ANSWER_S,
    ) -> _T:
        """The answer; `told` hears the lines before it. Where the worker ends in the midst of it, it is asked again.

        When it is cancelled, what the worker started for it is stopped first. Raises what the answer says,
        BuildTimeout, BuildBroken, and EngineDown where no worker answers.
        """
        try:
            line = format_request(verb, fields, LAUNCH.get())
        except RequestWrong as error:
            raise BuildBroken(f"the build worker would refuse: {error.reason}") from error
        step = _Step(told)
        try:
            async with asyncio.timeout(limit_s + _SLACK_S):
                final = await self._persistently(line, step)
        except TimeoutError:
            raise BuildTimeout(limit_s, step.last) from None
        if isinstance(final, lines.Error):
            raise translated(final)
        if not isinstance(final, kind):
            raise BuildBroken(f"the build worker answered with {type(final).__name__}")
        return final

    async def health(self) -> None:
        """Look whether it listens. Raises EngineDown."""
        _, writer = await self._connect(patience_s=0)
        writer.transport.abort()

    async def _persistently(self, line: bytes, told: Told) -> lines.Line:
        for _ in range(_ASKED - 1):
            with contextlib.suppress(_Gone):
                return await self._begun(line, told)
            told(Again())
        try:
            return await self._begun(line, told)
        except _Gone:
            raise BuildBroken(f"the build worker ended in the midst of it, {_ASKED} times") from None

    async def _begun(self, line: bytes, told: Told) -> lines.Line:
        """Ask; a worker that is just ending may still take a connection, of which nothing is ever heard."""
        heard = False

        def listen(one: Heard) -> None:
            nonlocal heard
            heard = True
            told(one)

        for _ in range(_DEAF):
            try:
                return await self._once(line, listen)
            except _Gone:
                if heard:
                    raise
            await asyncio.sleep(_DEAF_S)
        return await self._once(line, told)

    async def _once(self, line: bytes, told: Told) -> lines.Line:
        reader, writer = await self._connect(self._patience_s)
        try:
            writer.write(line)
            return await _heard(reader, told)
        except OSError as error:
            raise _Gone from error
        except asyncio.CancelledError:
            await _stopped(reader, writer)
            raise
        finally:
            writer.transport.abort()

    async def _connect(self, patience_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        until = asyncio.get_running_loop().time() + patience_s
        while True:
            try:
                return await open_socket(self._path)
            except OSError:
                if asyncio.get_running_loop().time() > until:
                    raise EngineDown("the build worker, which speaks to it, does not answer") from None
                await asyncio.sleep(0.1)


class _Step:
    """Passes lines on and remembers the last step."""

    def __init__(self, told: Told) -> None:
        self.last = ""
        self._told = told

    def __call__(self, line: Heard) -> None:
        if isinstance(line, lines.Step):
            self.last = line.text
        self._told(line)


async def _heard(reader: asyncio.StreamReader, told: Told) -> lines.Line:
    """The last line. Raises _Gone where there was none."""
    async for raw in split(_chunks(reader), lines.MAX_LINE):
        line = lines.parse_line(raw.decode("utf-8", "replace"))
        if isinstance(line, lines.FINAL):
            return line
        told(line)
    raise _Gone


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while chunk := await reader.read(2**16):
        yield chunk


async def _stopped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say that nobody wants the answer any more, and wait until what was started for it has ended."""
    with contextlib.suppress(OSError, TimeoutError):
        writer.write_eof()
        async with asyncio.timeout(_STOP_S):
            while await reader.read(2**16):
                pass


def translated(error: lines.Error) -> LauncherError:
    """The launcher's own error of what a builder process says."""
    kind = getattr(errors, error.error, None)
    if isinstance(kind, type) and issubclass(kind, LauncherError):
        try:
            return kind(**error.facts)
        except TypeError:
            pass
    return BuildBroken(f"the builder process reported {error.error[:80]}")
