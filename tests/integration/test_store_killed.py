"""`kill -9` in the middle of a log: what a follower has seen stays, with its numbers."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

from launcher.events import Log, Numbered, Ready, Stage
from launcher.store.logs import EventLogs
from tests.fixtures.store import ROOT

if TYPE_CHECKING:
    from launcher.store.database import Database

TELLER = """
import asyncio, itertools, json, sys
from launcher.events import Log, Stage
from launcher.store.database import Database
from launcher.store.logs import EventLogs

async def tell(build, launch):
    for n in itertools.count(1):
        build.tell(Log(Stage.BUILD, f"line {n}"))
        if n == 100:
            launch.tell(Log(Stage.IMAGE, "mine"))
            launch.splice("build")
        await asyncio.sleep(0.0002)

async def main(url):
    logs = EventLogs(Database(url), lambda: 1.0)
    build, launch = await logs.open("build"), await logs.open("launch")
    telling = asyncio.create_task(tell(build, launch))
    async for one in launch.follow():
        print(json.dumps([one.n, one.event.message]), flush=True)

asyncio.run(main(sys.argv[1]))
"""


async def seen_before_kill(url: str, lines: int) -> list[tuple[int, str]]:
    """What a follower was given until the process was killed."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", TELLER, url), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    seen = []
    async with asyncio.timeout(60):
        while raw := await child.stdout.readline():
            n, message = json.loads(raw)
            seen.append((n, message))
            if len(seen) == lines:
                child.send_signal(signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL
    return seen


def pairs(numbered: list[Numbered]) -> list[tuple[int, str]]:
    return [(one.n, getattr(one.event, "message", "")) for one in numbered]


async def test_after_kill_9_nothing_that_was_shown_is_lost_or_renumbered(
    any_database: Database, database_url: str
) -> None:
    seen = await seen_before_kill(database_url, 700)
    assert len(seen) >= 700

    logs = EventLogs(any_database, lambda: 2.0)
    launch = await logs.open("launch")
    build = await logs.open("build")
    launch.tell(Log(Stage.RESOLVE, "restarted"))
    build.tell(Log(Stage.BUILD, "restarted"))
    launch.splice("build")
    launch.tell(Ready("p", "/", "i", "ready"))
    after = pairs([one async for one in launch.follow()])
    assert after[: len(seen)] == seen
    assert [n for n, _ in after] == list(range(1, len(after) + 1))
    assert [text for _, text in after[-3:]] == ["restarted", "restarted", "ready"]
    told = [int(text.split()[1]) for _, text in after if text.startswith("line ")]
    assert told == list(range(1, len(told) + 1))
    await logs.close()
