"""The policy file: read again when it changes; what cannot be read leaves the last good one in force, and is told."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Protocol

from launcher.errors import PolicyBroken
from launcher.gate.policy import CLOSED, Policy
from launcher.gate.reading import LONGEST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

log = logging.getLogger(__name__)
LOOK_S = 1.0
GONE = "it is not there any more; an empty one lifts what it said"

_Stamp = tuple[int, int, int] | None
_NEVER: _Stamp = (-1, -1, -1)


def _nobody() -> None:
    """Nobody wants to know."""


class Told(Protocol):
    """Hears how the file is (`launcher.web.metrics.Metrics`)."""

    def policy_read(self, *, well: bool) -> None: ...


class PolicyFile:
    """What is in force. Never less than the last file that was understood, over restarts too.

    Where there never was a file, everything is the default. Where the first one there is cannot be read, nobody may
    launch until it can.
    """

    def __init__(
        self,
        path: Path,
        kept: Path,
        parse: Callable[[str], Policy],
        told: Told,
        changed: Callable[[], None] = _nobody,
    ) -> None:
        """`kept` is where the last good version is kept, which no operator edits. Read by `look`, not here.

        `changed` is called when another policy is in force.
        """
        self._changed = changed
        self._path, self._kept = path, kept
        self._parse = parse
        self._told = told
        self._seen: _Stamp = _NEVER
        self.policy = CLOSED
        """In force now."""
        self.fault: PolicyBroken | None = None
        """Why the file is not what is in force; None: it is."""

    async def check(self) -> None:
        """Raises PolicyBroken where the file cannot be read: for `/health`."""
        if self.fault is not None:
            raise self.fault

    async def look(self) -> None:
        """Read the file if it has changed since the last look."""
        stamp = await asyncio.to_thread(self._stamp)
        if stamp == self._seen:
            return
        first, self._seen = self._seen == _NEVER, stamp
        try:
            self.policy, self.fault = await asyncio.to_thread(self._read), None
            log.info("the policy file %s is in force", self._path.name)
        except PolicyBroken as error:
            if first:
                self.policy = await asyncio.to_thread(self._last)
            self.fault = error
            where = f"{self._path}, {error.place}" if error.place else str(self._path)
            log.warning("%s: %s. The last version that was understood stays in force", where, error.reason)
        self._told.policy_read(well=self.fault is None)
        self._changed()

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look again and again; a file that is just being written is read when it stays as it is."""
        before = self._seen
        while True:
            await sleep(LOOK_S)
            now = await asyncio.to_thread(self._stamp)
            if now == before:
                await self.look()
            before = now

    def _stamp(self) -> _Stamp:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> Policy:
        text = read_text(self._path)
        if text is None:
            if self._kept.exists():
                raise PolicyBroken(GONE)
            return Policy()
        policy = self._parse(text)
        self._keep(text)
        return policy

    def _last(self) -> Policy:
        """The last version that was understood, from before a restart; none: nobody may launch."""
        try:
            return self._parse(self._kept.read_text("utf-8"))
        except (OSError, ValueError, PolicyBroken):
            return CLOSED

    def _keep(self, text: str) -> None:
        """For the next start. A disk without room must not keep a policy from being in force."""
        new = self._kept.with_name(f"{self._kept.name}.{secrets.token_hex(4)}.new")
        try:
            new.write_text(text, "utf-8")
            new.replace(self._kept)
        except OSError as error:
            log.warning("the policy in force could not be kept for the next start: %s", error.strerror)


def read_text(path: Path) -> str | None:
    """The file's text; None: there is none. Blocks. Raises PolicyBroken."""
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PolicyBroken(f"it cannot be read ({error.strerror})") from None
    if len(raw) > LONGEST:
        raise PolicyBroken(f"it has more than {LONGEST} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise PolicyBroken("it is not UTF-8", f"line {line}") from None
