"""What the database says of what is used, on SQLite and on PostgreSQL; and why something therefore stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.builds import uses as why
from launcher.builds.collection import Thing
from launcher.events import State
from launcher.model import Account, Image, ImageRef, Kind, Project, RepoRef
from launcher.store.images import ImageRows
from launcher.store.launches import Launch, LaunchRows
from launcher.store.origins import OriginRows
from launcher.store.projects import ProjectRows
from launcher.store.shelf import Shelf
from launcher.store.uses import UseRows
from tests.fakes.builds import REPO, facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.store.database import Database

USED, OTHER, LOCAL, UNKNOWN = ("a" * 64, "b" * 64, "c" * 64, "e" * 64)
OLD, NEW = "1" * 40, "2" * 40
NOW = 2_000_000.0
ELSEWHERE = "https://example.org/other"


def pushed(key: str, digit: str) -> Image:
    return Image(key, facts("sha256:1"), ImageRef("127.0.0.1:5000", "repolaunch/env", "sha256:" + digit * 64))


def image(key: str, used: float = 0.0, digest: str = "") -> Thing:
    return Thing("registry", "image", key, used, digest=digest)


def source(commit: str, *, url: str = REPO.url, is_last: bool = False) -> Thing:
    return Thing("registry", "source", f"commit-{commit}", 0.0, source=url, commit=commit, is_last=is_last)


async def filled(database: Database, tick: Callable[[], float]) -> UseRows:
    """One project, three images of which one is in no registry, launches of three commits, one under way."""
    images, projects, launches = ImageRows(database, tick), ProjectRows(database, tick), LaunchRows(database)
    for one in (pushed(USED, "d"), pushed(OTHER, "f"), Image(LOCAL, facts("sha256:3"), None)):
        await images.save(one)
    await projects.create(
        Project(
            id="abcdefghij",
            owner="ann",
            provider="git",
            spec="x/main",
            url=REPO.url,
            ref="main",
            commit=NEW,
            image=pushed(USED, "d"),
            temporary=True,
            token_entry=False,
        )
    )
    begun = Launch("l1", Account("ann", Kind.GUEST), RepoRef("git", "x", REPO.url, "main"), "", State.READY, 10.0)
    await launches.add(replace(begun, commit=OLD, ended=11.0))
    await launches.add(replace(begun, id="l2", commit=OLD, created=20.0, ended=21.0))
    other = RepoRef("git", "y", ELSEWHERE, "")
    await launches.add(replace(begun, id="l3", ref=other, state=State.RUNNING, created=30.0))
    return UseRows(database)


async def test_it_is_known_who_uses_what(any_database: Database, tick: Callable[[], float]) -> None:
    uses = await (await filled(any_database, tick)).read()
    assert uses.projects == {USED, "sha256:" + "d" * 64}
    assert uses.commits == {(REPO.url, NEW)}
    assert uses.pushing == {LOCAL}
    assert set(uses.used) == {USED, OTHER, LOCAL}
    assert uses.launched == {(REPO.url, OLD): 20.0, (ELSEWHERE, ""): 30.0}


async def test_what_an_archived_project_uses_stays(any_database: Database, tick: Callable[[], float]) -> None:
    rows, shelf = await filled(any_database, tick), Shelf(any_database, tick)
    before = await rows.read()
    await shelf.archive("abcdefghij")
    assert await rows.read() == before
    assert await rows.has(USED, "", ("", ""), NOW)
    assert await rows.has("", "", (REPO.url, NEW), NOW)
    await OriginRows(any_database).note(REPO.url, "t", USED)
    assert set((await OriginRows(any_database).known(REPO.url)).projects) == {"abcdefghij"}


async def test_each_thing_stays_for_its_reason(any_database: Database, tick: Callable[[], float]) -> None:
    reason = why.reasons(await (await filled(any_database, tick)).read(), (UNKNOWN, "sha256:" + "9" * 64), NOW)
    told = {
        image(USED): why.PROJECT,
        image("an untagged one", digest="sha256:" + "d" * 64): why.PROJECT,
        image(OTHER): "",
        image(OTHER, used=NOW - 60): why.FRESH,
        image(LOCAL): why.PUSHING,
        image(UNKNOWN): why.PINNED,
        image("x", digest="sha256:" + "9" * 64): why.PINNED,
        Thing("stores", "environment", USED, 0.0): why.PROJECT,
        Thing("stores", "environment", LOCAL, 0.0): why.PUSHING,
        Thing("stores", "wheels", "requests", 0.0): "",
        source(NEW): why.PROJECT,
        source(OLD): "",
        source(OLD, url=ELSEWHERE): why.LAUNCHING,
    }
    assert {one: reason(one) for one in told} == told


async def test_a_thing_is_as_old_as_its_last_launch(any_database: Database, tick: Callable[[], float]) -> None:
    uses = await (await filled(any_database, tick)).read()
    assert why.dated(source(OLD), uses).used == 20.0
    assert why.dated(image(OTHER), uses).used == uses.used[OTHER] > 0
    assert why.dated(image(OTHER, used=NOW), uses).used == NOW
    assert why.dated(image(UNKNOWN), uses).used == 0.0


async def test_what_was_launched_since_a_plan_was_made_is_told_of(
    any_database: Database, tick: Callable[[], float]
) -> None:
    rows = await filled(any_database, tick)

    async def has(commit: str, since: float, url: str = REPO.url) -> bool:
        return await rows.has("commit-x", "", (url, commit), since)

    assert [await has(OLD, 19.0), await has(OLD, 20.0)] == [True, False]
    assert await has(NEW, NOW)  # a project's
    assert await has(OLD, NOW, ELSEWHERE)  # under way
    assert not await has("3" * 40, 0.0)


async def test_what_went_is_forgotten_and_is_not_pushed_again(
    any_database: Database, tick: Callable[[], float]
) -> None:
    rows = await filled(any_database, tick)
    await rows.forget(OTHER)
    await rows.forget(OTHER)
    uses = await rows.read()
    assert set(uses.used) == {USED, LOCAL}
    assert [one.key for one in await ImageRows(any_database, tick).unpushed()] == [LOCAL]
