"""Whose a project is, in which order it is made, and what is left when making it fails."""

from __future__ import annotations

import asyncio
import re
import secrets
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from launcher.errors import WorkspaceFailed
from launcher.model import Account, Checkout, Image, ImageFacts, ImageRef, Kind, RepoRef, ResolvedRepo
from launcher.projects.projects import WorkspaceProjects, title
from launcher.stages import Asked
from launcher.store.database import Database
from launcher.store.images import ImageRows
from launcher.store.projects import ProjectRows
from launcher.store.rows import Base
from launcher.store.shelf import Shelf
from tests.fakes.volumes import FakeVolumes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

REF = RepoRef(
    "git", "https%3A%2F%2Fgit.example%2Fpeople%2Frepo.git/main", "https://git.example/people/repo.git", "main"
)
REPO = ResolvedRepo(REF, "a" * 40, "refs/heads/main")
FACTS = ImageFacts("sha256:" + "b" * 64, "/home/jovyan", "", "/usr/bin", ("jupyterhub-singleuser",), (), "")
IMAGE = Image("c" * 64, FACTS, None)
PUSHED = ImageRef("127.0.0.1:5000", "repolaunch/env", "sha256:" + "d" * 64)
ALICE = Account("alice", Kind.MEMBER)
GUEST = Account("guest-1", Kind.GUEST)
PROGRAM = Account("", Kind.ANONYMOUS)


class OneCheckout:
    """Leases one folder, and counts the leases that are held."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = 0
        self.faults = 0
        """So many of the next leases fail."""

    @asynccontextmanager
    async def open(self, repo: ResolvedRepo) -> AsyncIterator[Checkout]:
        await asyncio.sleep(0)
        if self.faults:
            self.faults -= 1
            raise WorkspaceFailed("the files are not there")
        self.held += 1
        try:
            yield Checkout(repo, self.path, "e" * 40)
        finally:
            self.held -= 1


def asked(account: Account) -> Asked:
    """A launch of its own."""
    return Asked(secrets.token_hex(16), account, REF, "")


class Part:
    """The projects and everything that they stand on."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.rows = ProjectRows(database, lambda: self.now)
        self.shelf = Shelf(database, lambda: self.now)
        self.images = ImageRows(database, lambda: self.now)
        self.volumes = FakeVolumes()
        self.checkouts = OneCheckout(folder)
        self.now = 1000.0
        self.projects = WorkspaceProjects(self.rows, self.images, self.volumes, self.checkouts)


@pytest.fixture
async def part(tmp_path: Path) -> AsyncIterator[Part]:
    database = Database(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    async with database._writer.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield Part(database, tmp_path)
    await database.close()


@pytest.mark.parametrize(
    "account,owner,temporary,token_entry",
    [(ALICE, "alice", False, False), (GUEST, "guest-1", True, False), (PROGRAM, None, True, True)],
    ids=["member", "guest", "program"],
)
async def test_whose_it_is(
    part: Part, account: Account, owner: str | None, *, temporary: bool, token_entry: bool
) -> None:
    project = await part.projects.create(asked(account), REPO, IMAGE)
    assert re.fullmatch(r"[a-z][a-z0-9]{9}", project.id)
    assert project.owner == (owner or project.account)
    assert (project.temporary, project.token_entry) == (temporary, token_entry)
    assert part.volumes.seeds[project.id].commit == REPO.commit
    assert part.checkouts.held == 0


async def test_the_most_recently_used_one_is_found(part: Part) -> None:
    first = await part.projects.create(asked(ALICE), REPO, IMAGE)
    part.now += 1
    second = await part.rows.create(replace(first, id="z123456789"))  # as versions before this one have made some
    part.volumes.seeds[second.id] = part.volumes.seeds[first.id]
    assert await part.projects.find(ALICE, REF) == second
    part.now += 1
    await part.projects.use(first)
    assert await part.projects.find(ALICE, REF) == first


async def test_the_link_of_an_archived_project_makes_a_new_one(part: Part) -> None:
    first = await part.projects.create(asked(ALICE), REPO, IMAGE)
    assert await part.projects.create(asked(ALICE), REPO, IMAGE) == first
    await part.shelf.archive(first.id)
    assert await part.projects.find(ALICE, REF) is None
    second = await part.projects.create(asked(ALICE), REPO, IMAGE)
    assert second.id != first.id
    assert await part.projects.find(ALICE, REF) == second
    assert set(part.volumes.seeds) == {first.id, second.id}  # no file is gone


async def test_another_person_ref_or_program_finds_none(part: Part) -> None:
    await part.projects.create(asked(ALICE), REPO, IMAGE)
    await part.projects.create(asked(PROGRAM), REPO, IMAGE)
    assert await part.projects.find(GUEST, REF) is None
    assert await part.projects.find(PROGRAM, REF) is None
    assert await part.projects.find(ALICE, replace(REF, ref="")) is None


async def test_without_a_workspace_there_is_no_row(part: Part) -> None:
    part.volumes.fault = "the disk for workspaces is full"
    with pytest.raises(WorkspaceFailed, match="full"):
        await part.projects.create(asked(ALICE), REPO, IMAGE)
    assert await part.rows.list() == []
    assert part.checkouts.held == 0


async def kill_before_the_row(part: Part, launch: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    async def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(part.rows, "create", killed)
        with pytest.raises(KeyboardInterrupt):
            await part.projects.create(launch, REPO, IMAGE)


async def test_a_launch_that_runs_again_finds_what_it_has_made(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = asked(ALICE)
    await kill_before_the_row(part, launch, monkeypatch)
    (made,) = part.volumes.seeds
    assert await part.rows.list() == []
    project = await part.projects.create(launch, REPO, IMAGE)
    assert (project.id, list(part.volumes.seeds)) == (made, [made])
    assert await part.projects.create(launch, REPO, IMAGE) == project, "killed after the row: it is the same one"
    assert len(await part.rows.list()) == 1


@pytest.mark.parametrize("account", [ALICE, GUEST, Account("operator", Kind.OPERATOR)], ids=lambda one: one.kind.value)
async def test_launches_of_one_link_at_one_time_end_in_one_project(part: Part, account: Account) -> None:
    """None of them has found one; they differ in where to arrive, and in how the branch stood when they asked."""
    wanted = [replace(asked(account), urlpath=path) for path in ("lab/tree/a.ipynb", "lab/tree/b.ipynb", "rstudio")]
    repos = [REPO, replace(REPO, commit="e" * 40), REPO]
    made = await asyncio.gather(*(part.projects.create(*one, IMAGE) for one in zip(wanted, repos, strict=True)))
    assert made == [made[0]] * 3
    assert [one.project for one in await part.rows.list()] == [made[0]]
    assert list(part.volumes.seeds) == [made[0].id], "no workspace is left that no project has"
    assert not part.projects._making, "nothing is kept of launches that have ended"


async def test_of_launches_at_one_time_one_that_fails_leaves_it_to_the_next(part: Part) -> None:
    part.checkouts.faults = 1
    first, second = await asyncio.gather(
        *(part.projects.create(asked(ALICE), REPO, IMAGE) for _ in range(2)), return_exceptions=True
    )
    assert isinstance(first, WorkspaceFailed)
    assert await part.projects.find(ALICE, REF) == second


async def test_other_people_links_and_programs_have_projects_of_their_own(part: Part) -> None:
    other = Asked(secrets.token_hex(16), ALICE, replace(REF, ref="v1"), "")
    tagged = replace(REPO, origin=other.ref)
    made = await asyncio.gather(
        *(part.projects.create(asked(one), REPO, IMAGE) for one in (ALICE, GUEST, PROGRAM, PROGRAM)),
        part.projects.create(other, tagged, IMAGE),
    )
    assert len({one.id for one in made}) == 5


async def test_what_is_somebody_elses_is_never_taken(part: Part) -> None:
    launch = asked(ALICE)
    await part.projects.create(launch, REPO, IMAGE)
    with pytest.raises(WorkspaceFailed, match="was there already"):
        await part.projects.create(replace(launch, account=GUEST), REPO, IMAGE)


async def test_another_commit_is_another_workspace(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = asked(ALICE)
    await kill_before_the_row(part, launch, monkeypatch)
    project = await part.projects.create(launch, replace(REPO, commit="e" * 40), IMAGE)
    assert part.volumes.seeds[project.id].commit == "e" * 40


async def test_a_project_whose_workspace_is_gone_is_not_begun_again(part: Part) -> None:
    await part.projects.create(asked(ALICE), REPO, IMAGE)
    part.volumes.seeds.clear()
    with pytest.raises(WorkspaceFailed, match="not where it was left"):
        await part.projects.find(ALICE, REF)


async def test_use_fills_in_the_digest_when_the_push_has_ended(part: Part) -> None:
    await part.images.save(IMAGE)
    project = await part.projects.create(asked(ALICE), REPO, IMAGE)
    assert (await part.projects.use(project)).image.name == FACTS.engine_id
    await part.images.pushed(IMAGE.key, FACTS.engine_id, PUSHED)
    assert (await part.projects.use(project)).image.name == str(PUSHED)
    found = await part.projects.find(ALICE, REF)
    assert found is not None
    assert found.image.ref == PUSHED


async def test_use_never_takes_the_digest_of_another_image(part: Part) -> None:
    project = await part.projects.create(asked(ALICE), REPO, IMAGE)
    other = replace(IMAGE, facts=replace(FACTS, engine_id="sha256:" + "9" * 64), ref=PUSHED)
    await part.images.save(other)
    assert (await part.projects.use(project)).image.ref is None


async def test_the_image_s_own_files_are_asked_for(part: Part) -> None:
    image = replace(IMAGE, facts=replace(FACTS, content="/home/jovyan"))
    project = await part.projects.create(asked(ALICE), REPO, image)
    assert part.volumes.seeds[project.id].image_contents == "b" * 64


@pytest.mark.parametrize(
    "url,expected",
    [
        ("https://git.example/people/repo.git", "repo"),
        ("git://git.example/repo/", "repo"),
        ("ssh://git@git.example/~a/x.y", "x.y"),
        ("https://git.example", "https://git.example"),
    ],
)
def test_title(url: str, expected: str) -> None:
    assert title(url) == expected
