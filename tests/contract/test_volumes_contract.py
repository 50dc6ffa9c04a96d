"""What every `VolumeBackend` promises: the real helper (in its container, and as a process) and the fake."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from launcher.errors import WorkspaceFailed
from tests.fakes.volumes import FakeVolumes
from tests.fixtures.volumes import Author, helper, new_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.projects.volumes import Seed, VolumeBackend

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module", params=["fake", "process", "container"])
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[VolumeBackend, Path]]:
    root = tmp_path_factory.mktemp("contract")
    if request.param == "fake":
        yield FakeVolumes(), root
        return
    with helper(request.param, root) as running:
        yield running.volumes, running.folders.checkouts


@pytest.fixture
def volumes(backend: tuple[VolumeBackend, Path]) -> VolumeBackend:
    return backend[0]


@pytest.fixture
def seed(backend: tuple[VolumeBackend, Path], author: Author) -> Seed:
    author.write("analysis.py")
    author.commit()
    return author.checked_out(backend[1])


async def test_a_workspace_exists_when_it_has_been_made(volumes: VolumeBackend, seed: Seed) -> None:
    project = new_id()
    assert not await volumes.exists(project)
    assert await volumes.create(project, seed) == "clone"
    assert await volumes.exists(project)


async def test_making_it_again_changes_nothing_and_says_so(volumes: VolumeBackend, seed: Seed) -> None:
    project = new_id()
    await volumes.create(project, seed)
    assert await volumes.create(project, seed) == "before"


async def test_of_simultaneous_makers_one_wins(volumes: VolumeBackend, seed: Seed) -> None:
    project = new_id()
    answers = await asyncio.gather(*(volumes.create(project, seed) for _ in range(8)))
    assert sorted(answers) == ["before"] * 7 + ["clone"]


async def test_a_failure_leaves_none(volumes: VolumeBackend, seed: Seed) -> None:
    project = new_id()
    with pytest.raises(WorkspaceFailed):
        await volumes.create(project, replace(seed, checkout=seed.checkout.with_name("gone")))
    assert not await volumes.exists(project)
    assert await volumes.create(project, seed) == "clone"


async def test_usage_is_counted(volumes: VolumeBackend, seed: Seed) -> None:
    project = new_id()
    await volumes.create(project, seed)
    usage = await volumes.usage(project)
    assert usage.bytes > 0
    assert usage.entries >= 2
    assert usage.complete


async def test_usage_of_none_is_an_error(volumes: VolumeBackend) -> None:
    with pytest.raises(WorkspaceFailed):
        await volumes.usage(new_id())


async def test_the_list_is_sorted_and_whole(volumes: VolumeBackend, seed: Seed) -> None:
    made = [new_id() for _ in range(3)]
    for project in made:
        await volumes.create(project, seed)
    listed = await volumes.list()
    assert set(made) <= set(listed)
    assert listed == sorted(listed)


BAD = ["", "short", "UPPERCASE0", "0startnumb", "a/../../etc", "../etc/abc", "abcdefghi\n", "abcdefghij\n", "a" * 11]


@pytest.mark.parametrize("project", BAD)
async def test_a_bad_id_is_refused(volumes: VolumeBackend, seed: Seed, project: str) -> None:
    with pytest.raises(WorkspaceFailed):
        await volumes.create(project, seed)
    with pytest.raises(WorkspaceFailed):
        await volumes.exists(project)
    with pytest.raises(WorkspaceFailed):
        volumes.volume(project)


async def test_the_volume_is_mounted_once_at_one_place(volumes: VolumeBackend) -> None:
    one, other = new_id(), new_id()
    assert volumes.volume(one).target == "/workspace"
    assert volumes.volume(one).name.endswith(f"-{one}")
    assert volumes.volume(one).device.endswith(f"/{one}")
    assert volumes.volume(one).name != volumes.volume(other).name
