"""What owners do with their projects, on every database and by the fake."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from launcher.store.projects import ProjectRows
from launcher.store.shelf import Shelf
from tests.fakes.web import FakeProjects, a_project

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.model import Project
    from launcher.store.database import Database

URL = "https://github.com/ada/nice"
FIRST, SECOND = a_project("aaaaaaaaaa", "ada"), a_project("bbbbbbbbbb", "ada")


@dataclass
class Kept:
    """Projects, and the shelf of them."""

    rows: Any
    shelf: Any

    async def add(self, project: Project) -> None:
        if isinstance(self.rows, FakeProjects):
            self.rows.add(project)
        else:
            await self.rows.create(project, "nice")

    async def archived(self, project: Project) -> float | None:
        found: float | None = (await self.rows.get(project.id)).project.archived
        return found


@pytest.fixture(params=["rows", "fake"])
def kept(request: pytest.FixtureRequest, any_database: Database, tick: Callable[[], float]) -> Kept:
    if request.param == "fake":
        both = FakeProjects()
        return Kept(both, both)
    return Kept(ProjectRows(any_database, tick), Shelf(any_database, tick))


async def test_a_project_gets_a_name(kept: Kept) -> None:
    for one in (FIRST, SECOND):
        await kept.add(one)
    await kept.shelf.rename(FIRST.id, "Ünïcode ’ “'; --")
    assert (await kept.rows.get(FIRST.id)).title == "Ünïcode ’ “'; --"
    assert (await kept.rows.get(SECOND.id)).title == "nice"
    await kept.shelf.rename("nobodys", "x")


async def test_an_archived_one_is_kept_but_its_link_leads_to_it_no_more(kept: Kept) -> None:
    await kept.add(FIRST)
    await kept.shelf.archive(FIRST.id)
    since = await kept.archived(FIRST)
    assert since is not None
    assert await kept.rows.find("ada", URL, "main") is None
    assert [one.project for one in await kept.rows.list("ada")] == [replace(FIRST, archived=since)]
    await kept.shelf.archive(FIRST.id)
    assert await kept.archived(FIRST) == since
    assert await kept.shelf.take_back(FIRST.id) is None
    assert await kept.rows.find("ada", URL, "main") == FIRST
    assert await kept.shelf.take_back(FIRST.id) is None
    await kept.shelf.archive("nobodys")
    assert await kept.shelf.take_back("nobodys") is None


async def test_a_link_leads_to_one_project(kept: Kept) -> None:
    await kept.add(FIRST)
    await kept.shelf.archive(FIRST.id)
    await kept.add(SECOND)
    assert await kept.rows.find("ada", URL, "main") == SECOND
    await kept.shelf.rename(SECOND.id, "the new one")
    assert await kept.shelf.take_back(FIRST.id) == "the new one"
    assert await kept.archived(FIRST) is not None
    await kept.shelf.archive(SECOND.id)
    assert await kept.shelf.take_back(FIRST.id) is None
    assert await kept.shelf.take_back(SECOND.id) == "nice"


@pytest.mark.parametrize("other", [{"owner": "bob"}, {"ref": "v1"}, {"url": "https://github.com/ada/other"}])
async def test_another_persons_or_anothers_link_is_in_nobodys_way(kept: Kept, other: dict[str, str]) -> None:
    await kept.add(FIRST)
    await kept.shelf.archive(FIRST.id)
    await kept.add(replace(SECOND, **other))  # type: ignore[arg-type]  # of these fields all are text
    assert await kept.shelf.take_back(FIRST.id) is None
    assert await kept.archived(FIRST) is None
