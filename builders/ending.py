"""How a builder process ends: within seconds of being told to, whatever its threads do.

A thread cannot be cancelled. Those that read stores and archives ask now and then whether they are `still_wanted`; one
that does not ask, or waits for somebody else, ends with the process. So whatever a thread makes gets its name when it
is whole, and not before.
"""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from builders.errors import BuildTimeout, Stopped
from builders.lines import IDENTICAL, Error, Verified

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from builders.errors import BuilderError
    from builders.lines import Line
    from builders.speaker import Speaker

UNWIND_S = 7.0
"""What a verb that is told to stop may take to end its children and to remove what is theirs: more than
`process.GRACE_S`. With those below it is less than a worker's patience (`verbs.GRACE_S`)."""
THREADS_S = 2.0
"""What its threads may take to notice it."""
SWEEP_S = 4.0
"""What removing may take that a thread would have removed itself."""
SAY_S = 1.0
_LEFT_S = 1.0
_BY = {b"s": "signal", b"p": "parent"}
_over = threading.Event()


class UnwantedError(Exception):
    """The process ends: nobody wants what this thread does."""


def still_wanted() -> None:
    """Raise UnwantedError when the process ends. For threads, wherever they may take long."""
    if _over.is_set():
        raise UnwantedError


def told(error: BuilderError) -> Error:
    """The error as a line."""
    return Error(type(error).__name__, dict(vars(error)))


@dataclass(frozen=True, slots=True)
class Process:
    """What a builder process has to do at its end."""

    speaker: Speaker
    sweep: Callable[[], object]
    """Removes what threads have left that did not end. Blocks."""
    limit: int | None = None
    """Seconds after which the verb ends itself."""

    def run(self, verb: Coroutine[None, None, Line]) -> NoReturn:
        """Run the verb until it ends or somebody wants us to stop; say its last line; end the process."""
        # Not `asyncio.run`, which waits for every thread.
        loop, pool = asyncio.new_event_loop(), ThreadPoolExecutor(thread_name_prefix="work")
        asyncio.set_event_loop(loop)
        loop.set_default_executor(pool)
        line = loop.run_until_complete(self._stoppable(verb))
        _over.set()
        self._end(line, whole=_has_ended(pool))

    async def _stoppable(self, verb: Coroutine[None, None, Line]) -> Line:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(verb)
        by = ""

        def stop(who: str) -> None:
            nonlocal by
            by = who
            task.cancel()

        def watch() -> None:
            """By a thread of its own: it ends the process too where nothing else goes on any more."""
            who = _BY[os.read(wanted, 1)]
            loop.call_soon_threadsafe(stop, who)
            time.sleep(UNWIND_S)
            self._end(told(Stopped(who)), whole=False)

        wanted, telling = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Nothing but this write: what was interrupted may hold any lock.
            signal.signal(number, lambda *_: os.write(telling, b"s"))
        if stat.S_ISFIFO(os.fstat(0).st_mode) or stat.S_ISSOCK(os.fstat(0).st_mode):
            threading.Thread(target=_leash, args=(telling,), daemon=True).start()
        threading.Thread(target=watch, daemon=True).start()
        if self.limit is not None:
            self._end_late(self.limit)
        try:
            line = await task
        except asyncio.CancelledError:
            line = told(Stopped(by))
        await _cancelled(asyncio.all_tasks() - {asyncio.current_task()})
        return line

    def _end_late(self, limit: int) -> None:
        def late() -> None:
            self._end(told(BuildTimeout(limit, self.speaker.step)), whole=False)

        timer = threading.Timer(limit + UNWIND_S, late)
        timer.daemon = True
        timer.start()

    def _end(self, line: Line, *, whole: bool) -> NoReturn:
        """End the process; `whole`: nothing goes on any more. Who comes second waits for the first."""
        if not _last.acquire(timeout=SWEEP_S + 2 * SAY_S):
            os._exit(1)
        _over.set()
        if whole:
            self.speaker.last(line)
        else:
            _within(SWEEP_S, self.sweep)
            _within(SAY_S, lambda: self.speaker.last(line))  # a thread may wait for who reads, and hold the turn
        sys.stderr.flush()
        os._exit(status(line))


def status(line: Line) -> int:
    """With which the process ends: 0 where it did what was asked and, asked to verify, found what it was to find."""
    differs = isinstance(line, Verified) and line.verdict != IDENTICAL
    return 1 if differs or isinstance(line, Error) else 0


_last = threading.Lock()


def _within(seconds: float, work: Callable[[], object]) -> None:
    """Let something be done, and wait for it so long."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)


def _leash(telling: int) -> None:
    """Wait for the end of stdin in a thread of its own."""
    while os.read(0, 4096):
        pass
    os.write(telling, b"p")


async def _cancelled(tasks: set[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_LEFT_S)


def _has_ended(pool: ThreadPoolExecutor) -> bool:
    """Whether all threads have ended that do something, its own and those that these have started."""
    pool.shutdown(wait=False, cancel_futures=True)
    until = time.monotonic() + THREADS_S
    working = [one for one in threading.enumerate() if not one.daemon and one is not threading.current_thread()]
    for thread in working:
        thread.join(max(0.0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in working)
