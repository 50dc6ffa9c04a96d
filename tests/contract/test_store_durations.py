"""How long each stage took the last time: read from the logs that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select, text

from launcher.events import Ended, Log, Stage, State
from launcher.model import Account, Kind, RepoRef
from launcher.repos import urls
from launcher.store.durations import FRESH_S, Durations, newest_of
from launcher.store.launches import LAUNCHES, Launch, LaunchRows

if TYPE_CHECKING:
    from launcher.store.database import Database
    from launcher.store.logs import EventLogs

URL = "https://github.com/ada/nice"


async def launched(
    database: Database, logs: EventLogs, name: str, at: float, *, private: bool = False, **stages: float
) -> None:
    """A launch that went well; its build, if any, is another log that it shows."""
    ref = RepoRef("gh", "ada/nice/main", URL, "main")
    launch = Launch(name, Account("ada", Kind.MEMBER), ref, "", State.READY, at, private=private)
    await LaunchRows(database).add(launch)
    log = logs.create(name)
    if "build" in stages:
        build = logs.create(f"build-{name}")
        log.splice(build.stream)
        for n in range(50):
            build.tell(Log(Stage.BUILD, f'line {n} {{"type":"ended"\n'))
        build.tell(Ended(Stage.BUILD, "", stages.pop("build")))
        log.cut()
    for stage, seconds in stages.items():
        log.tell(Ended(Stage(stage), "", seconds))
    await logs.flush()


async def test_the_newest_that_had_the_stage(database: Database, logs: EventLogs) -> None:
    await launched(database, logs, "old", 1, resolve=9, build=200, session=9)
    await launched(database, logs, "new", 2, resolve=0.5, session=2)
    await launched(database, logs, "hidden", 3, private=True, resolve=7)
    assert await Durations(database, lambda: 0).of(URL) == {"resolve": 0.5, "session": 2, "build": 200}
    assert await Durations(database, lambda: 0).of("https://github.com/ada/other") == {}


async def test_of_very_many_launches_only_those_of_the_link_are_looked_at(any_database: Database) -> None:
    """Also of the longest address that a link may have, which an index must be able to hold."""
    longest = "https://git.example.org/" + "".join(f"{n:x}"[-1] for n in range(urls.LONGEST - 24))
    rows = [
        {
            "id": f"l{n}", "account": "ada", "kind": "member", "provider": "git", "spec": "", "ref": "", "urlpath": "",
            "url": f"https://git.example.org/{n % 50}" if n else longest, "state": "ready", "created": float(n),
        }
        for n in range(5000)
    ]  # fmt: skip
    async with any_database.writing() as session:
        await session.execute(insert(LAUNCHES), rows)
        await session.execute(text("ANALYZE"))
    queries = {
        "ix_launches_url_created": newest_of(longest),
        "ix_launches_created": select(LAUNCHES.c.id).order_by(LAUNCHES.c.created.desc()).limit(50),
    }
    for index, query in queries.items():
        async with any_database.reading() as session:
            dialect = session.get_bind().dialect
            asked = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})).replace(":", "\\:")
            how = "EXPLAIN QUERY PLAN " if dialect.name == "sqlite" else "EXPLAIN "
            plan = "\n".join(map(str, await session.execute(text(how + asked))))
        assert index in plan, plan


async def test_a_class_that_clicks_one_link_is_one_question(database: Database, logs: EventLogs) -> None:
    now = [0.0]
    durations = Durations(database, lambda: now[0])
    await launched(database, logs, "one", 1, resolve=1)
    assert await durations.of(URL) == {"resolve": 1}
    await launched(database, logs, "two", 2, resolve=2)
    assert await durations.of(URL) == {"resolve": 1}
    now[0] = FRESH_S
    assert await durations.of(URL) == {"resolve": 2}
