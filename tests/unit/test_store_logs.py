"""Logs: numbered, replayed and followed, spliced."""

from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.events import Cancelled, Declared, Ended, Event, Failed, Log, Numbered, Progress, Ready, Stage, Started
from launcher.store.codec import event_fields, event_text, parse_event
from launcher.store.database import Database
from launcher.store.logs import PAGE, TAIL, EventLog, EventLogs
from launcher.store.rows import Base

if TYPE_CHECKING:
    from collections.abc import Callable

READY = Ready("abc", "/user/project-abc/", "sha256:1", "Ready.")

TEXT = st.text()
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
FACTS = st.dictionaries(TEXT, TEXT | st.integers(), max_size=3).map(lambda facts: tuple(sorted(facts.items())))
STAGES = st.sampled_from(Stage)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Started, STAGES, TEXT, TEXT, FACTS),
    st.builds(Log, STAGES, TEXT),
    st.builds(Progress, STAGES, TEXT, st.none() | st.integers(0, 100), TEXT, FACTS),
    st.builds(Ended, STAGES, TEXT, st.floats(0, 1e9), TEXT, FACTS),
    st.builds(Declared, STAGES, TEXT, TEXT, TEXTS, TEXT, TEXTS, TEXTS),
    st.builds(Ready, TEXT, TEXT, TEXT, TEXT),
    st.builds(Failed, STAGES | st.none(), TEXT, st.integers(400, 599), TEXT, TEXT, TEXT, TEXT),
    st.builds(Cancelled, TEXT),
)


def line(text: str | int) -> Log:
    return Log(Stage.BUILD, str(text))


async def collect(log: EventLog, after: int = 0) -> list[Numbered]:
    return [numbered async for numbered in log.follow(after)]


async def first(log: EventLog, count: int, after: int = 0) -> list[Numbered]:
    """The next `count` events, and leave."""
    found: list[Numbered] = []
    events = log.follow(after)
    async with asyncio.timeout(10):
        while len(found) < count:
            found.append(await anext(events))
    await events.aclose()  # type: ignore[attr-defined] # an async generator's
    return found


def messages(numbered: list[Numbered]) -> list[str]:
    return [one.event.message for one in numbered if not isinstance(one.event, Failed)]


def numbers(numbered: list[Numbered]) -> list[int]:
    return [one.n for one in numbered]


# --------------------------------------------------------------------------- JSON
@given(EVENTS)
def test_events_survive_json(event: Event) -> None:
    assert parse_event(event_text(event)) == event
    assert event_text(event).isascii()


@pytest.mark.parametrize(
    "body",
    [
        '{"type":"exploded","stage":"build"}',
        '{"type":"log","stage":"teleport","message":"x"}',
        "not json",
        "[]",
        '{"type":"log"}',
    ],
)
def test_what_cannot_be_read_is_shown(body: str) -> None:
    assert parse_event(body) == Log(Stage.SESSION, body)


def test_fields_of_a_newer_version_are_left_out() -> None:
    assert parse_event('{"type":"log","stage":"build","message":"x","colour":"red"}') == line("x")


def test_json_names_the_type() -> None:
    assert event_fields(line("x")) == {"type": "log", "stage": "build", "message": "x"}


# --------------------------------------------------------------------------- one log
async def test_numbers_begin_at_one_and_have_no_gaps(logs: EventLogs) -> None:
    log = logs.create("a")
    for n in range(5):
        log.tell(line(n))
    log.tell(READY)
    found = await collect(log)
    assert numbers(found) == [1, 2, 3, 4, 5, 6]
    assert messages(found) == ["0", "1", "2", "3", "4", "Ready."]
    assert [one.at for one in found] == [1_000_000 + n for n in range(6)]


@pytest.mark.parametrize("after", [-3, 0, 1, 3, 4])
async def test_follow_begins_after_any_number(logs: EventLogs, after: int) -> None:
    log = logs.create("a")
    for event in (line(1), line(2), line(3), READY):
        log.tell(event)
    assert numbers(await collect(log, after)) == [n for n in (1, 2, 3, 4) if n > after]


async def test_a_follower_is_given_only_what_is_kept(logs: EventLogs, database: Database) -> None:
    log = logs.create("a")
    follower = asyncio.create_task(first(log, 3))
    for n in range(3):
        log.tell(line(n))
        assert log.shown < log.told
        await asyncio.sleep(0.03)
    await follower
    other = EventLogs(database, lambda: 0.0)
    kept = await other.open("a")
    assert numbers(await first(kept, 3)) == [1, 2, 3]
    assert kept.told == 3
    await other.close()


async def test_a_log_goes_on_after_a_restart(logs: EventLogs, database: Database) -> None:
    logs.create("a").tell(line(1))
    await logs.flush()
    other = EventLogs(database, lambda: 0.0)
    log = await other.open("a")
    log.tell(READY)
    assert numbers(await collect(log)) == [1, 2]
    await other.close()


async def test_fifty_followers_each_get_everything(logs: EventLogs) -> None:
    log = logs.create("a")
    log.tell(line("begin"))
    followers = [asyncio.create_task(collect(log)) for _ in range(50)]
    for n in range(3000):
        log.tell(line(n))
        if n % 100 == 0:
            await asyncio.sleep(0)
    log.tell(READY)
    found = await asyncio.gather(*followers)
    assert all(numbers(one) == list(range(1, 3003)) for one in found)
    assert messages(found[0])[1:4] == ["0", "1", "2"]


async def test_a_follower_who_leaves_harms_nobody(logs: EventLogs) -> None:
    log = logs.create("a")
    stays = asyncio.create_task(collect(log))
    leaves = [asyncio.create_task(collect(log)) for _ in range(10)]
    log.tell(line(1))
    await logs.flush()
    await asyncio.sleep(0)
    for task in leaves:
        task.cancel()
    await asyncio.gather(*leaves, return_exceptions=True)
    log.tell(READY)
    assert numbers(await stays) == [1, 2]


async def test_a_long_log_keeps_only_its_tail_in_memory(logs: EventLogs) -> None:
    log = logs.create("a")
    count = 2 * TAIL + 3 * PAGE
    for n in range(count):
        log.tell(line(n))
    log.tell(READY)
    await logs.flush()
    assert len(log._tail) < 2 * TAIL
    assert numbers(await collect(log)) == list(range(1, count + 2))
    assert numbers(await collect(log, count - 10)) == list(range(count - 9, count + 2))


async def test_logs_that_nobody_uses_are_forgotten(logs: EventLogs) -> None:
    for n in range(100):
        logs.create(f"log{n}").tell(READY)
    await logs.flush()
    assert len(logs._open) <= 10
    assert numbers(await collect(await logs.open("log0"))) == [1]


async def test_two_who_open_a_log_share_it(logs: EventLogs) -> None:
    one, two = await asyncio.gather(logs.open("a"), logs.open("a"))
    assert one is two


# --------------------------------------------------------------------------- splices
async def test_a_splice_shows_the_build_in_the_midst_of_the_launch(logs: EventLogs) -> None:
    build, launch = logs.create("build"), logs.create("launch")
    launch.tell(line("before"))
    follower = asyncio.create_task(collect(launch))
    build.tell(line("build 1"))
    launch.splice("build")
    build.tell(line("build 2"))
    await logs.flush()
    build.tell(line("build 3"))
    launch.resume(build.told)
    build.tell(line("push"))
    launch.tell(line("after"))
    launch.tell(READY)
    found = await follower
    assert messages(found) == ["before", "build 1", "build 2", "build 3", "after", "Ready."]
    assert numbers(found) == [1, 2, 3, 4, 5, 6]
    assert await collect(launch) == found
    assert await collect(launch, 3) == found[3:]


async def test_followers_see_the_build_while_it_runs(logs: EventLogs) -> None:
    build, launch = logs.create("build"), logs.create("launch")
    launch.tell(line("before"))
    launch.splice("build")
    follower = asyncio.create_task(first(launch, 3))
    for n in (1, 2):
        build.tell(line(f"build {n}"))
        await logs.flush()
    assert messages(await follower) == ["before", "build 1", "build 2"]


async def test_fifty_launches_splice_one_build_and_a_latecomer_sees_it_from_the_start(logs: EventLogs) -> None:
    build = logs.create("build")
    launches = [logs.create(f"launch{n}") for n in range(50)]
    for n, launch in enumerate(launches):
        launch.tell(line("mine"))
        launch.splice("build")
        build.tell(line(f"b{n}"))
    await logs.flush()
    followers = [asyncio.create_task(collect(launch)) for launch in launches]
    for launch in launches:
        launch.resume(50)
        launch.tell(READY)
    expected = ["mine", *(f"b{n}" for n in range(50)), "Ready."]
    assert all(messages(found) == expected for found in await asyncio.gather(*followers))


async def test_telling_ends_a_splice_where_the_build_is_now(logs: EventLogs) -> None:
    build, launch = logs.create("build"), logs.create("launch")
    launch.splice("build")
    build.tell(line("b1"))
    launch.tell(Cancelled("Stopped."))
    build.tell(line("b2"))
    found = await collect(launch)
    assert messages(found) == ["b1", "Stopped."]
    assert numbers(found) == [1, 2]


async def test_a_splice_of_nothing(logs: EventLogs) -> None:
    logs_build, launch = logs.create("build"), logs.create("launch")
    launch.splice("build")
    launch.resume(0)
    launch.splice("build")
    logs_build.tell(line("b1"))
    launch.resume(1)
    launch.tell(READY)
    assert messages(await collect(launch)) == ["b1", "Ready."]


async def test_after_a_restart_the_rest_of_the_build_is_shown_and_numbers_stay(
    logs: EventLogs, database: Database, tick: Callable[[], float]
) -> None:
    build, launch = logs.create("build"), logs.create("launch")
    launch.tell(line("before"))
    launch.splice("build")
    for n in range(3):
        build.tell(line(f"b{n}"))
    before = await first(launch, 4)
    await logs.flush()  # and then the process is killed

    other = EventLogs(database, tick)
    launch = await other.open("launch")
    assert await first(launch, 4) == before
    build = await other.open("build")
    launch.tell(line("again"))
    build.tell(line("restarted"))
    launch.splice("build")
    build.tell(line("b0"))
    launch.resume(build.told)
    launch.tell(READY)
    found = await collect(launch)
    assert found[:4] == before
    assert messages(found) == ["before", "b0", "b1", "b2", "again", "restarted", "b0", "Ready."]
    assert numbers(found) == list(range(1, 9))
    await other.flush()
    del launch, build
    third = EventLogs(database, tick)
    assert await collect(await third.open("launch")) == found
    await third.close()
    await other.close()


STEPS = ["own", "build", "splice", "resume", "flush", "reload"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=40))
def test_what_was_seen_stays_whatever_happens(steps: list[str]) -> None:
    """Any order of doings: a follower from the start sees what one with the database alone sees afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(steps, f"sqlite:///{folder}/play.sqlite"))


async def _play(steps: list[str], url: str) -> None:
    database = Database(url)
    async with database.writing() as session:
        await (await session.connection()).run_sync(Base.metadata.create_all)
    logs = EventLogs(database, lambda: 0.0, interval_s=0)
    build, launch = logs.create("build"), logs.create("launch")
    seen: list[Numbered] = []
    for count, step in enumerate(steps, 1):
        if step == "own":
            launch.tell(line(count))
        elif step == "build":
            build.tell(line(-count))
        elif step == "splice":
            launch.splice("build")
        elif step == "resume":
            launch.resume(build.told)
        else:
            await logs.flush()
            seen += await first(launch, launch.shown - len(seen), len(seen))
        if step == "reload":
            await logs.close()
            logs = EventLogs(database, lambda: 0.0, interval_s=0)
            build, launch = await logs.open("build"), await logs.open("launch")
    launch.tell(READY)
    found = await collect(launch)
    assert found[: len(seen)] == seen
    assert numbers(found) == list(range(1, len(found) + 1))
    mine = [int(text) for text in messages(found)[:-1]]
    assert [n for n in mine if n > 0] == [i for i, step in enumerate(steps, 1) if step == "own"]
    shown = [-n for n in mine if n < 0]
    assert shown == sorted(set(shown)), "each event of the build at most once, in order"
    await logs.close()
    await database.close()
