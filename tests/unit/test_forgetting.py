"""A repository is forgotten: all that is its own goes, what others need stays, and it is said who they are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from launcher.builds.collecting import Turns
from launcher.builds.collection import Part, Room, Thing
from launcher.builds.forgetting import ELSEWHERE, Forgetting
from launcher.builds.holdings import Holdings
from launcher.builds.noted import Noted
from launcher.builds.uses import LAUNCHING, PINNED, PROJECT, PUSHING
from launcher.events import State
from launcher.model import Account, Checkout, Environment, Image, ImageRef, Kind, Project, RepoRef, ResolvedRepo
from launcher.operate.collection import told_forgotten
from launcher.store.images import EnvironmentRows, ImageRows
from launcher.store.launches import Launch, LaunchRows
from launcher.store.origins import OriginRows
from launcher.store.projects import ProjectRows
from launcher.store.uses import UseRows
from launcher.web.holdings import Forgotten
from tests.fakes.builds import REPO, facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.stages import Tell
    from launcher.store.database import Database

URL, OTHER = REPO.url, "https://git.example/other"
MINE, SHARED, USED = ("a" * 64, "b" * 64, "d" * 64)
COMMIT = "1" * 40


@dataclass
class Held:
    """A build worker that holds an image and an environment of each key, and a commit of each repository."""

    things: list[Thing] = field(
        default_factory=lambda: [
            *(Thing("registry", "image", key, 1.0, digest=f"sha256:{key}") for key in (MINE, SHARED, USED)),
            Thing("registry", "image", f"sha256:{'7' * 64}", 1.0, digest=f"sha256:{'7' * 64}", key=MINE),
            Thing("registry", "image", f"sha256:{'8' * 64}", 1.0, digest=f"sha256:{'8' * 64}"),
            Thing("stores", "environment", MINE, 1.0),
            *(
                Thing("registry", "source", f"commit-{url[-1]}", 1.0, source=url, commit=COMMIT, is_last=True)
                for url in (URL, OTHER)
            ),
        ]
    )
    asked: list[str] = field(default_factory=list)

    async def holdings(self, *, measure: bool) -> dict[str, Holdings]:
        assert not measure
        return {
            place: Holdings(
                tuple(one for one in self.things if one.place == place),
                tuple(Part(10, frozenset({one})) for one in self.things if one.place == place),
                Room(None),
            )
            for place in ("stores", "registry")
        }

    async def forget(self, thing: Thing) -> None:
        self.things = [one for one in self.things if one != thing]
        await asyncio.sleep(0)

    async def clear(self, place: str) -> Room:
        self.asked.append(place)
        return Room(None)


@dataclass
class Folders:
    """Two checkouts of the repository that nobody uses."""

    idle: int = 2

    def kept(self, url: str) -> int:
        return self.idle if url == URL else 0

    async def forget(self, url: str) -> None:
        assert url == URL
        self.idle = 0


class Declares:
    """Every tree declares the environment that it is named for."""

    async def detect(self, checkout: Checkout, tell: Tell, *, afresh: bool = False) -> Environment:
        del tell, afresh
        return Environment("fake", "1", (), checkout.tree, "linux/amd64")


@dataclass
class Scene:
    database: Database
    held: Held
    folders: Folders
    of: Forgetting
    gone: list[tuple[str, str]]

    async def trees(self, *keys: str) -> list[bool]:
        rows = EnvironmentRows(self.database)
        return [await rows.get(key, "f") is not None for key in keys]


def an_image(key: str) -> Image:
    return Image(key, facts(f"sha256:{key[:1]}"), ImageRef("127.0.0.1:5000", "env", f"sha256:{key}"))


@pytest.fixture
async def scene(database: Database, tick: Callable[[], float], tmp_path: Path) -> Scene:
    """Two repositories, of which both declare one environment, and a project in each."""
    held, folders, origins = Held(), Folders(), OriginRows(database)
    gone: list[tuple[str, str]] = []
    noted, looked = Noted(Declares(), origins), EnvironmentRows(database)
    for url, key in ((URL, MINE), (URL, SHARED), (URL, USED), (OTHER, SHARED)):
        repo = ResolvedRepo(RepoRef("git", "x/main", url, "main"), COMMIT, "")
        found = await noted.detect(Checkout(repo, tmp_path, key), lambda _: None)
        await looked.put(key, "f", found)
    images, projects = ImageRows(database, tick), ProjectRows(database, tick)
    for key in (MINE, SHARED, USED):
        await images.save(an_image(key))
    await projects.create(
        Project(
            id="abcdefghij",
            owner="ann",
            provider="git",
            spec="x/main",
            url=URL,
            ref="main",
            commit=COMMIT,
            image=an_image(USED),
            temporary=False,
            token_entry=False,
        )
    )
    of = Forgetting(
        held,
        (UseRows(database), origins),
        Turns(),
        folders,
        pins=tuple,
        forgotten=lambda url, commit: gone.append((url, commit)),
    )
    return Scene(database, held, folders, of, gone)


async def test_all_of_a_repository_goes_but_what_a_project_or_another_repository_needs(scene: Scene) -> None:
    before = list(scene.held.things)
    told = await scene.of.look(URL)
    assert {(one.thing.kind, one.thing.name[:8]) for one in told.plan.going} == {
        ("image", MINE[:8]), ("image", "sha256:7"), ("environment", MINE[:8]), ("source", "commit-x"),
    }  # fmt: skip
    assert {(one.thing.name, one.reason) for one in told.plan.kept} == {(USED, PROJECT), (SHARED, ELSEWHERE)}
    assert (told.projects, told.checkouts, told.trees, told.done) == (("abcdefghij",), 2, 2, False)
    assert (scene.held.things, scene.held.asked, scene.gone, scene.folders.idle) == (before, [], [], 2)
    assert await scene.trees(MINE, SHARED, USED) == [True, True, True]

    done = await scene.of.forget(URL)
    assert (done.plan, done.projects, done.checkouts, done.trees) == (told.plan, told.projects, 2, 2)
    assert {one.name[:8] for one in scene.held.things} == {SHARED[:8], USED[:8], "sha256:8", "commit-r"}
    assert (scene.held.asked, scene.gone, scene.folders.idle) == (["stores", "registry"], [(URL, COMMIT)], 0)
    # What the other repository declares is still known, and so is what the project uses.
    assert await scene.trees(MINE, SHARED, USED) == [False, True, True]
    rows = ImageRows(scene.database, lambda: 0.0)
    assert [await rows.get(key) is None for key in (MINE, SHARED, USED)] == [True, False, False]

    again = await scene.of.forget(URL)
    assert (again.plan.going, [one.thing.name for one in again.plan.kept]) == ((), [USED])
    assert [one.name for one in scene.held.things if one.kind == "source"] == ["commit-r"]
    assert (await scene.of.look(OTHER)).plan.frees == 20  # it alone declares it now


async def test_nothing_goes_while_the_repository_is_being_launched(scene: Scene) -> None:
    begun = Launch("l1", Account("ann", Kind.GUEST), RepoRef("git", "x", URL, "main"), "", State.RUNNING, 10.0)
    await LaunchRows(scene.database).add(begun)
    told = await scene.of.forget(URL)
    assert (told.plan.going, {one.reason for one in told.plan.kept}) == ((), {LAUNCHING})
    assert (told.checkouts, told.trees, scene.folders.idle, scene.held.asked) == (0, 0, 2, [])
    assert await scene.trees(MINE, SHARED, USED) == [True, True, True]


async def test_what_is_pinned_or_not_yet_pushed_stays_and_is_still_known_to_be_its(scene: Scene) -> None:
    scene.of._pins = lambda: {COMMIT}
    await ImageRows(scene.database, lambda: 1.0).lost(MINE)
    told = await scene.of.forget(URL)
    why = {(one.thing.kind, one.thing.name): one.reason for one in told.plan.kept}
    assert (why["source", "commit-x"], why["image", MINE], why["environment", MINE]) == (PINNED, PUSHING, PUSHING)
    assert await scene.trees(MINE) == [True]
    assert {one.reason for one in (await scene.of.look(URL)).plan.kept} == {PINNED, PUSHING, PROJECT}


async def test_what_a_project_uses_by_then_stays(
    scene: Scene, tick: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget = scene.held.forget

    async def then(thing: Thing) -> None:
        await forget(thing)
        if thing.name == MINE:  # the first that goes
            record = await ProjectRows(scene.database, tick).get("abcdefghij")
            assert record is not None
            await ProjectRows(scene.database, tick).set_image(record.project.id, an_image(MINE))

    monkeypatch.setattr(scene.held, "forget", then)
    told = await scene.of.forget(URL)
    stays = {(one.thing.kind, one.thing.name[:8], one.reason) for one in told.plan.kept}
    assert {("image", "sha256:7", PROJECT), ("environment", MINE[:8], PROJECT)} <= stays
    assert ("stores", MINE) in {(one.place, one.name) for one in scene.held.things}


async def test_what_the_operator_reads(scene: Scene) -> None:
    told = Forgotten.of(await scene.of.look(URL)).model_dump()
    lines = told_forgotten(told, dry_run=True)
    assert lines[0] == f"{URL}:"
    assert f"  would go  image {MINE[:19]}, launched 1970-01-01  10 B" in lines
    assert "  would go  2 checked out commit(s)" in lines
    assert f"  stays     image {SHARED[:19]}, launched 1970-01-01: {ELSEWHERE}" in lines
    assert lines[-1] == "  projects  abcdefghij: they keep their workspaces and can be opened"
    assert told_forgotten(Forgotten.of(await scene.of.look("https://x.example/y")).model_dump(), dry_run=False) == [
        "https://x.example/y:",
        "  nothing is held of it",
    ]
