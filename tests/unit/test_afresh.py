"""Builds afresh: who gets what, in which order, and what stays."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from builders.interface import Inputs, Limits, Order, Workshop
from builders.lease import Lease
from builders.lines import Found
from builders.repo2docker import run
from builders.repo2docker.render import Context
from launcher.errors import AfreshPinned
from launcher.launch import Launch, Stages
from launcher.model import Account, Checkout, Image, Kind, Project, Record, Session
from launcher.stages import Asked
from tests.fakes.builds import REPO, Told, environment
from tests.fakes.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from launcher.model import Environment, ImageRef, ResolvedRepo
    from launcher.stages import Tell
    from launcher.store.database import Database
    from launcher.store.logs import EventLogs
    from tests.fakes.builds import FakeRegistry

A = environment("a")
ADA = Account("ada", Kind.MEMBER)


@pytest.fixture
async def site(database: Database, logs: EventLogs, tick: Callable[[], float]) -> AsyncIterator[Site]:
    site = Site(database, logs, tick)
    yield site
    await site.close()


def afresh(site: Site) -> asyncio.Task[Image]:
    return asyncio.create_task(site.shared.get(REPO, A, Told(), afresh=True))


async def in_vain(true: Callable[[], bool]) -> None:
    """Give what must not happen the time to happen."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.7):
            while not true():
                await asyncio.sleep(0.005)


class Late:
    """A Push whose first one takes long."""

    def __init__(self, inner: FakeRegistry) -> None:
        self.inner, self.go, self.first = inner, asyncio.Event(), ""

    async def push(self, image: Image, tell: Tell) -> ImageRef:
        self.first = self.first or image.facts.engine_id
        if image.facts.engine_id == self.first:
            await self.go.wait()
        return await self.inner.push(image, tell)


# --------------------------------------------------------------------------- images
async def test_what_exists_is_built_again_and_is_the_keys_from_then_on(site: Site) -> None:
    site.engine.go.set()
    old = await site.get()
    await site.pushed()
    new = await afresh(site)
    assert new.facts.engine_id != old.facts.engine_id
    assert new.built > old.built > 0
    await site.pushed()
    assert await site.get() == replace(new, ref=site.registry.images[A.key])
    assert site.registry.configurations[site.registry.images[A.key]] == new.facts
    # The old one is where it was, for those who use its digest.
    assert old.facts.engine_id in site.engine.images
    assert old.facts in site.registry.configurations.values()


async def test_whoever_launches_meanwhile_gets_what_there_is(site: Site) -> None:
    site.engine.go.set()
    old = await site.get()
    await site.pushed()
    site.engine.go.clear()
    asked = afresh(site)
    await site.until(lambda: site.engine.now == 1)
    assert (await site.get()).facts == old.facts
    site.engine.go.set()
    assert (await asked).facts != old.facts


async def test_never_two_builds_of_one_key_at_a_time_and_two_who_ask_are_one(site: Site) -> None:
    first = asyncio.create_task(site.get())
    await site.until(lambda: site.engine.now == 1)
    both = [afresh(site), afresh(site)]
    await in_vain(lambda: site.engine.now == 2)
    site.engine.go.set()
    old, one, other = await asyncio.gather(first, *both)
    assert one == other != old
    assert (site.engine.builds, site.engine.most) == (2, 1)


async def test_who_waited_for_a_build_afresh_finds_it(site: Site) -> None:
    """The first build of a key ever is one afresh."""
    asked = afresh(site)
    await site.until(lambda: site.engine.now == 1)
    other = asyncio.create_task(site.get())
    await asyncio.sleep(0.02)
    site.engine.go.set()
    assert (await other).facts == (await asked).facts
    assert site.engine.builds == 1


async def test_pushes_end_in_the_order_of_their_builds(site: Site) -> None:
    site.engine.go.set()
    late = Late(site.registry)
    site.pushing._push = late
    await site.get()
    new = await afresh(site)
    await in_vain(lambda: bool(site.registry.images))
    late.go.set()
    await site.pushed()
    assert site.registry.configurations[site.registry.images[A.key]] == new.facts


async def test_until_the_new_one_is_pushed_the_older_one_in_the_registry_is_not_used(site: Site) -> None:
    site.engine.go.set()
    await site.get()
    await site.pushed()
    site.registry.error = RuntimeError("not now")
    new = await afresh(site)
    await site.pushed()
    assert (await site.get()).facts == new.facts


# --------------------------------------------------------------------------- the story
class Behind:
    """Every stage of a launch; there is a project already."""

    def __init__(self, found: Environment) -> None:
        self.found = found
        self.looked: list[bool] = []
        self.commits: list[str] = []
        self.got: list[bool] = []
        self.made: list[str] = []
        self.there = True
        self.repo = REPO

    async def check(self) -> None: ...

    async def resolve(self, *_: object) -> ResolvedRepo:
        return self.repo

    @asynccontextmanager
    async def open(self, repo: ResolvedRepo) -> AsyncIterator[Checkout]:
        self.commits.append(repo.commit)
        yield Checkout(REPO, None, "git:1")  # type: ignore[arg-type]  # nobody looks

    async def detect(self, _checkout: object, _tell: object, *, afresh: bool = False) -> Environment:
        self.looked.append(afresh)
        return self.found

    async def get(self, _repo: object, _environment: object, _tell: object, *, afresh: bool = False) -> Image:
        self.got.append(afresh)
        return replace(a_project().image, built=7.0)

    async def published(self, image: Image) -> Image:
        self.made.append("waited for its push")
        return image

    async def find(self, *_: object) -> Project | None:
        return a_project() if self.there else None

    async def create(self, _asked: object, _repo: object, image: Image) -> Project:
        self.made.append("new")
        return replace(a_project(), id="new", image=image)

    async def move(self, project: Project, image: Image) -> Project:
        self.made.append(f"moved {project.id}")
        return replace(project, image=image)

    async def stop(self, project: str) -> None:
        self.made.append(f"stopped {project}")

    async def use(self, project: Project) -> Project:
        return project

    @asynccontextmanager
    async def hold(self, *_: object) -> AsyncIterator[None]:
        yield

    async def start(self, project: Project, *_: object) -> Session:
        return Session(project, "/user/x/")


def a_project() -> Project:
    from tests.fakes.web import a_project as made  # noqa: PLC0415  # of the same name

    return made("old", "ada")


def told(behind: Behind, *, afresh: bool) -> Any:
    stages = Stages(*[behind] * 9)
    return Launch(stages)(Asked("l1", ADA, REPO.origin, "", afresh), Told())


async def test_the_project_of_who_asks_moves_to_what_was_built_of_its_commit() -> None:
    behind = Behind(replace(A, pinning="not-pinned"))
    assert (await told(behind, afresh=False)).project.id == "old"
    assert (behind.looked, behind.made) == ([], [])
    session = await told(behind, afresh=True)
    assert (session.project.id, behind.looked, behind.got) == ("old", [True], [True])
    assert (behind.commits, behind.made) == ([a_project().commit], ["moved old", "stopped old"])
    assert (session.project.image.built, session.project.image.pinning) == (7.0, "not-pinned")


async def test_who_wants_an_image_has_it_in_the_registry_and_makes_no_project() -> None:
    behind = Behind(replace(A, pinning="not-pinned"))
    image = await Launch(Stages(*[behind] * 9))(Asked("l1", ADA, REPO.origin, "", build_only=True), Told())
    assert isinstance(image, Image)
    assert (image.pinning, behind.got, behind.made) == ("not-pinned", [False], ["waited for its push"])


async def test_of_a_record_which_has_no_commits_the_version_that_there_is_is_built() -> None:
    behind = Behind(replace(A, pinning="not-pinned"))
    behind.repo = replace(REPO, commit="", record=Record("7", 0, ()))
    assert (await told(behind, afresh=True)).project.id == "old"
    assert (behind.commits, behind.made) == ([""], ["moved old", "stopped old"])


async def test_who_has_no_project_gets_one() -> None:
    behind = Behind(replace(A, pinning="not-pinned"))
    behind.there = False
    assert (await told(behind, afresh=True)).project.id == "new"
    assert (behind.commits, behind.got, behind.made) == ([REPO.commit], [True], ["new"])


async def test_a_project_that_another_launch_has_made_meanwhile_moves_too(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = Behind(replace(A, pinning="not-pinned"))
    behind.there = False
    older = replace(a_project().image, facts=replace(a_project().image.facts, engine_id="sha256:older"))

    async def create(*_: object) -> Project:
        return replace(a_project(), image=older)

    monkeypatch.setattr(behind, "create", create)
    assert (await told(behind, afresh=False)).project.image == older
    assert behind.made == []
    assert (await told(behind, afresh=True)).project.image.built == 7.0
    assert behind.made == ["moved old", "stopped old"]


@pytest.mark.parametrize("pinning", ["reproducible", "locked"])
async def test_what_is_pinned_is_not_built_again(pinning: str) -> None:
    behind = Behind(replace(A, pinning=pinning))
    with pytest.raises(AfreshPinned) as caught:
        await told(behind, afresh=True)
    assert (caught.value.evidence, behind.got) == (("Dockerfile",), [])


# --------------------------------------------------------------------------- the builder
@pytest.mark.parametrize(
    "again,local,expected",
    [(False, False, set()), (True, False, {"--no-cache", "--pull"}), (True, True, {"--no-cache"})],
)
async def test_nothing_of_an_earlier_build_is_used(
    tmp_path: Path, *, again: bool, local: bool, expected: set[str]
) -> None:
    """A base that only this machine has is not asked of a registry."""
    (tmp_path / "docker").write_text('#!/bin/sh\nfor one in "$@"; do echo "$one" >>said; done; printf x >image-id\n')
    (tmp_path / "docker").chmod(0o755)
    found = Found("repo2docker", "1", ("Dockerfile",), "0" * 64, "linux/amd64")
    order = Order(tmp_path, found, Inputs(""), "x:y", {}, 0, Workshop(tmp_path), afresh=again)
    one = run.Run("repo2docker", order, Lease(Limits()), {"PATH": f"{tmp_path}:/usr/bin:/bin"}, lambda _: None)
    assert await one.image(Context(tmp_path, tmp_path / "Dockerfile", {}, tmp_path), {}, local=local) == "x"
    said = set((tmp_path / "said").read_text().split("\n"))
    assert said & {"--no-cache", "--pull"} == expected
    # What a `--mount=type=cache` keeps is kept by the key, and nothing is kept of a build afresh.
    assert (f"--build-arg=BUILDKIT_CACHE_MOUNT_NS={found.key}" in said) is not again
    assert any(one.startswith(f"--build-arg=BUILDKIT_CACHE_MOUNT_NS={found.key}") for one in said)
