"""What a private repository leaves, stays in its namespace; and who comes back is asked for again."""

from __future__ import annotations

import asyncio
import os
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest

from builders.__main__ import VERBS, _workshop
from builders.arguments import parser
from builders.collect import commands as collecting
from builders.collect import stores as collected
from builders.collect.clear import clear_stores
from builders.interface import Workshop
from builders.key import environment_key
from builders.lines import Held
from builders.nix.site import Cache
from builders.nix.tool import builds
from builders.registry import Registry
from builders.sandbox import Daemon
from builders.sandbox_commands import stores_seen
from builders.spaces import opened, spaces
from builders.variables import STORES
from launcher.builds.archiving import Archiving
from launcher.builds.remembered import Remembered
from launcher.errors import CredentialRefused, HostUnreachable, RefMissing, RepositoryMissing
from launcher.launch import Launch, Stages
from launcher.model import Checkout, Private, Session
from launcher.stages import Asked
from tests.fakes.builds import REPO, Told, environment
from tests.fakes.site import Site
from tests.fakes.web import ADA
from tests.unit.test_afresh import Behind, a_project
from tests.unit.test_remembered import CHECKOUT, Rows, Slow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from launcher.errors import LauncherError
    from launcher.model import Image, Project, ResolvedRepo
    from launcher.store.database import Database
    from launcher.store.logs import EventLogs

SPACE, OTHER = "a" * 32, "b" * 32
HERS = replace(REPO, private=Private("ada", "c1", SPACE))
HIS = replace(REPO, private=Private("bob", "c2", SPACE))
A = replace(environment("a"), space=SPACE)


@pytest.fixture
async def site(database: Database, logs: EventLogs, tick: Callable[[], float]) -> AsyncIterator[Site]:
    site = Site(database, logs, tick)
    yield site
    await site.close()


def test_a_key_is_of_one_namespace() -> None:
    def key(space: str) -> str:
        return environment_key("i", builder="b", version="1", platform="linux/amd64", space=space)

    assert len({key(""), key(SPACE), key(OTHER)}) == 3
    assert key("") == environment_key("i", builder="b", version="1", platform="linux/amd64")


def test_names_of_images() -> None:
    registry = Registry("127.0.0.1:5000", "repolaunch")
    digest = "sha256:" + "d" * 64
    assert registry.target("k", SPACE) == f"127.0.0.1:5000/repolaunch/private/{SPACE}/env:k"
    assert registry.target("k") == "127.0.0.1:5000/repolaunch/env:k"
    for space in ("", SPACE):
        assert registry.space_of(registry.target("k", space)) == space
        assert registry.space_of(f"{registry.name(space)}@{digest}") == space
    for name in ("env", f"private/{SPACE[1:]}/env", f"private/{SPACE}/x/env", "private/../env"):
        assert registry.space_of(f"127.0.0.1:5000/other/{name}@{digest}") is None
        assert registry.space_of(f"127.0.0.1:5000/repolaunch/x{name}@{digest}") is None
    assert Registry("h", "").name(SPACE) == f"h/private/{SPACE}/env"


async def test_what_was_found_in_a_tree_is_remembered_for_its_namespace() -> None:
    """The same tree in a public repository, before and after."""
    slow, rows = Slow(), Rows()
    slow.go_on.set()
    remembered = Remembered(slow, rows)
    for repo in (REPO, HERS, replace(REPO, private=Private("ada", "c1", OTHER)), REPO, HIS):
        await remembered.detect(replace(CHECKOUT, repo=repo), lambda _: None)
    assert (slow.looks, len(rows.kept)) == (3, 3)
    assert all(len(tree) <= 64 for tree, _ in rows.kept)


async def test_two_people_build_each_with_their_own_and_once(site: Site) -> None:
    one = asyncio.create_task(site.shared.get(HERS, A, Told()))
    await site.until(lambda: site.engine.now == 1)
    told = Told()
    other = asyncio.create_task(site.shared.get(HIS, A, told))
    await asyncio.sleep(0.02)
    assert told.events == [], "nothing of hers is told to him"
    one.cancel()
    await site.until(lambda: site.engine.builds == 2)
    site.engine.go.set()
    image = await other
    assert (image.space, site.engine.most) == (SPACE, 1)
    known = await site.images.get(A.key)
    assert known is not None
    assert known.space == SPACE


async def test_nothing_of_it_is_archived() -> None:
    class Kept:
        async def archive(self, _: Checkout) -> str:
            raise AssertionError("it was archived")

    class Got:
        async def get(self, *_: object, **__: object) -> Image:
            return a_project().image

    archiving = Archiving(Got(), None, Kept())  # type: ignore[arg-type]  # opening one would fail
    await archiving.get(HERS, A, Told())
    assert archiving._tasks._tasks == set()
    await archiving.close()


async def test_a_builder_process_works_in_the_stores_of_its_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORES, str(tmp_path))
    parsed = parser(VERBS, "", collecting.add).parse_args
    for verb in (["detect", str(tmp_path)], ["read", str(tmp_path)], ["build", str(tmp_path)]):
        everybodys, hers = (_workshop(parsed([*verb, f"--space={space}"])) for space in ("", SPACE))
        assert (everybodys.stores, everybodys.common, everybodys.space) == (tmp_path, tmp_path, "")
        assert (hers.stores, hers.common, hers.space) == (tmp_path / "private" / SPACE, tmp_path, SPACE)
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o711
    for space in ("..", f"../{SPACE[3:]}", "a" * 31, f"{SPACE}/", "A" * 32, f"{SPACE}\n"):
        with pytest.raises(SystemExit):
            parsed(["build", str(tmp_path), f"--space={space}"])
    assert spaces(tmp_path) == [SPACE]


def test_what_a_site_keeps_for_all_is_seen_beside_stores_of_ones_own(tmp_path: Path) -> None:
    hers = Workshop(tmp_path / "private" / SPACE, space=SPACE, site=tmp_path)
    tool = builds([Cache("key", folder="cache/nix"), Cache("key", url="https://cache.example.org")])
    of = Daemon(tool, hers, tmp_path, {}, "", None)  # type: ignore[arg-type]  # no lease is asked for
    assert {target: source for source, target in stores_seen(of)} == {
        "/nix": tmp_path / "private" / SPACE / "nix",
        "/caches/0": tmp_path / "cache/nix",
    }


async def test_two_namespaces_hold_things_of_one_name(tmp_path: Path) -> None:
    folders = {space: opened(tmp_path, space) for space in ("", SPACE, OTHER)}
    for folder in folders.values():
        (folder / "wheels" / "numpy-1").mkdir(parents=True)
        roots = folder / "gnu/var/gcroots/repolaunch"
        roots.mkdir(parents=True)
        (roots / "channels-1").symlink_to("/gnu/store/x")
    lines = {space: list(collected.held(folder, space)) for space, folder in folders.items()}
    names = [one.name for said in lines.values() for one in said if isinstance(one, Held)]
    assert len(set(names)) == len(names) == 6
    assert not collected.leave(folders[OTHER])
    for one in lines[OTHER]:
        if isinstance(one, Held):
            assert one.about["space"] == OTHER
            collected.forget(folders[OTHER], one.kind, one.name, OTHER)
    assert collected.leave(folders[OTHER])
    assert spaces(tmp_path) == [SPACE]
    assert len(list(collected.held(folders[SPACE], SPACE))) == 3  # two things, and the bytes of one


async def test_stores_whose_image_is_still_to_be_pushed_stay_and_what_was_killed_is_swept(tmp_path: Path) -> None:
    hers = opened(tmp_path, SPACE)
    paper = hers / "images" / f"{'d' * 64}.about.json"
    paper.parent.mkdir()
    paper.write_text("{}")
    assert not collected.leave(hers)
    os.utime(paper, (0, 0))
    (tmp_path / "private/.gone-1/nix/store").mkdir(parents=True)
    await clear_stores(Workshop(tmp_path), print)
    assert list((tmp_path / "private").iterdir()) == []


# --------------------------------------------------------------------------- who comes back
class Asking(Behind):
    """A project of a private repository is there; its host answers so."""

    def __init__(self, answer: ResolvedRepo | LauncherError) -> None:
        super().__init__(A)
        self.answer = answer
        self.asked: list[object] = []

    async def find(self, *_: object) -> Project | None:
        return replace(a_project(), image=replace(a_project().image, space=SPACE))

    async def resolve(self, *asked: object) -> ResolvedRepo:
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def resumed(behind: Behind) -> Session:
    session = await Launch(Stages(*[behind] * len(fields(Stages))))(Asked("l1", ADA, REPO.origin, ""), Told())
    assert isinstance(session, Session)
    return session


URL = REPO.url


@pytest.mark.parametrize("answer", [HERS, REPO, HostUnreachable(URL, "x"), RefMissing(URL, "main")])
async def test_who_may_still_have_it_comes_back(answer: ResolvedRepo | LauncherError) -> None:
    behind = Asking(answer)
    assert (await resumed(behind)).project.id == "old"
    assert behind.asked == [(REPO.origin, ADA)]


@pytest.mark.parametrize("answer", [CredentialRefused(URL), RepositoryMissing(URL), replace(REPO, archived=True)])
async def test_who_may_no_longer_have_it_does_not(answer: ResolvedRepo | LauncherError) -> None:
    with pytest.raises((CredentialRefused, RepositoryMissing)):
        await resumed(Asking(answer))


async def test_of_what_is_everybodys_nobody_is_asked() -> None:
    behind = Behind(A)
    behind.repo = None  # type: ignore[assignment]  # nothing looks at it
    assert (await resumed(behind)).project.id == "old"
