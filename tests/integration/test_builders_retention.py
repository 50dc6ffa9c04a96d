"""What the engine gives up: only what is old or in the way, unused, ours, and in the registry."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from typing import TYPE_CHECKING

import docker
import docker.errors
import pytest

from builders.errors import RegistryDown
from builders.images import EngineImages
from builders.registry import Registry
from builders.retention import FRESH_S, Keep, Retention, let_go
from tests.fixtures.engine import BASE_IMAGE
from tests.fixtures.registry import running_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docker.models.containers import Container

    from tests.fixtures.registry import RunningRegistry

pytestmark = pytest.mark.engine
DAY_S = 86400
NEVER = Keep(log_days=0, image_days=0, room=0)
ALL_ROOM = 2**60
"""More than any disk has free."""


class Site:
    """One installation's images and sessions in the engine, and the one who looks after them, on a day of his own."""

    def __init__(self, engine: docker.DockerClient, host: str, installation: str) -> None:
        self.engine, self.installation = engine, installation
        self.registry = Registry(host, f"r{installation}", timeout_s=5)
        self.now = time.time()

    def image(self, *, pushed: bool = True) -> str:
        """The id of an environment's image, as a launch leaves it."""
        key = secrets.token_hex(32)
        made = self.engine.containers.create(BASE_IMAGE, ["true"], labels=self._labels("look"))
        changes = f"LABEL repolaunch.installation={self.installation} key={key}"
        engine_id = str(made.commit(f"repolaunch-{self.installation}-env", key, changes=changes).id)
        made.remove()
        if pushed:
            self.engine.images.get(engine_id).tag(self.registry.name(), key)
            said = self.engine.images.push(self.registry.name(), key)
            assert "error" not in said, said
        return engine_id

    def session(self, image: str, command: str = "true") -> Container:
        run: Container = self.engine.containers.run(
            image, ["sleep", "60"] if command == "sleep" else ["true"], labels=self._labels("session"), detach=True
        )
        if command != "sleep":
            run.wait()
        return run

    def has(self, image: str) -> bool:
        with contextlib.suppress(docker.errors.ImageNotFound):
            return bool(self.engine.images.get(image))
        return False

    def keeps(self, container: Container) -> bool:
        with contextlib.suppress(docker.errors.NotFound):
            container.reload()
            return True
        return False

    def retention(self, keep: Keep) -> Retention:
        engine = EngineImages(dict(os.environ))
        return Retention(engine, self.registry, self.installation, keep, lambda: self.now)

    def _labels(self, kind: str) -> dict[str, str]:
        return {"repolaunch.installation": self.installation, "repolaunch.kind": kind}


@pytest.fixture
def make(engine: docker.DockerClient, installation: str) -> Iterator[Callable[[str], Site]]:
    made: list[Site] = []

    def one(host: str) -> Site:
        made.append(Site(engine, host, installation))
        return made[-1]

    yield one
    for site in made:
        site.registry.close()


@pytest.fixture
def site(make: Callable[[str], Site], registry: RunningRegistry) -> Site:
    return make(registry.host)


async def test_an_image_goes_after_its_days(site: Site) -> None:
    """And the registry still has what the next launch fetches."""
    image = site.image()
    names = site.engine.images.get(image).attrs["RepoDigests"]
    retention = site.retention(Keep(log_days=0, image_days=30, room=0))
    site.now += 29 * DAY_S
    await retention.look()
    assert site.has(image)
    site.now += 2 * DAY_S
    await retention.look()
    assert not site.has(image)
    site.engine.images.pull(names[0])
    assert site.has(image)


async def test_nothing_goes_where_everything_is_kept(site: Site) -> None:
    image, session = site.image(), site.session(BASE_IMAGE)
    site.now += 3650 * DAY_S
    await site.retention(NEVER).look()
    assert site.has(image)
    assert site.keeps(session)


async def test_an_image_that_only_the_engine_has_stays(site: Site) -> None:
    """Not pushed; pushed, and another one under its key since; and when the registry cannot say."""
    only_here, replaced = site.image(pushed=False), site.image()
    key = site.engine.images.get(replaced).tags[0].rpartition(":")[2]
    other = site.image(pushed=False)
    site.engine.images.get(other).tag(site.registry.name(), key)
    site.engine.images.push(site.registry.name(), key)
    site.now += 365 * DAY_S
    await site.retention(Keep(0, 30, ALL_ROOM)).look()
    assert site.has(only_here)
    assert site.has(replaced)


async def test_without_the_registry_nothing_goes(make: Callable[[str], Site], tmp_path: Path) -> None:
    with running_registry(tmp_path) as running:
        site = make(running.host)
        image = site.image()
    site.now += 365 * DAY_S
    with pytest.raises(RegistryDown):
        await site.retention(Keep(0, 30, 0)).look()
    assert site.has(image)


async def test_what_a_session_has_stays_until_its_log_goes(site: Site) -> None:
    """Whatever the room; and the image's days begin when its last session's container is gone."""
    image = site.image()
    running, ended = site.session(image, "sleep"), site.session(image)
    retention = site.retention(Keep(log_days=7, image_days=30, room=ALL_ROOM))
    site.now += 8 * DAY_S
    await retention.look()
    assert site.keeps(running)
    assert not site.keeps(ended)
    assert site.has(image)
    running.remove(force=True)
    await retention.look()
    assert site.has(image), "it was in use at the last look"
    site.now += FRESH_S + 1
    await retention.look()
    assert not site.has(image)


async def test_a_full_disk_takes_the_longest_unused_first(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no more than are needed; one that a launch has just asked for stays."""
    first, second, third = site.image(), site.image(), site.image()
    asked: list[int] = []

    async def tight(_: Retention) -> bool:
        asked.append(1)
        return len(asked) == 1

    monkeypatch.setattr(Retention, "_is_tight", tight)
    retention = site.retention(Keep(0, 0, 1))
    site.now += 2 * FRESH_S
    retention.touch(first)
    site.now += FRESH_S / 2
    await retention.look()
    assert [site.has(one) for one in (first, second, third)] == [True, False, True]


async def test_room_is_that_of_the_engines_disk(site: Site) -> None:
    image = site.image()
    site.now += 2 * FRESH_S
    await site.retention(Keep(0, 0, 1)).look()
    assert site.has(image)
    await site.retention(Keep(0, 0, ALL_ROOM)).look()
    assert not site.has(image)


async def test_another_installations_image_stays(site: Site) -> None:
    """Though it is in the same registry and old; and so does one that somebody else gave a name."""
    named = site.image()
    name = f"somebody-{secrets.token_hex(4)}:1"
    site.engine.images.get(named).tag(name)
    stranger = Site(site.engine, site.registry.host, secrets.token_hex(4))
    theirs = stranger.image()
    site.now += 365 * DAY_S
    try:
        await site.retention(Keep(1, 1, ALL_ROOM)).look()
        assert site.has(named)
        assert site.has(theirs)
    finally:
        site.engine.images.remove(name)
        stranger.now = site.now
        await stranger.retention(Keep(0, 1, 0)).look()
        stranger.registry.close()
    assert not stranger.has(theirs)


async def test_what_the_registry_has_let_go_goes_as_soon_as_no_container_has_it(site: Site) -> None:
    engine = EngineImages(dict(os.environ))
    free, used, other = site.image(), site.image(), site.image()
    names = {name for one in (free, used) for name in _names_of(site, one)}
    session = site.session(used)
    await let_go(engine, site.installation, names)
    assert not site.has(free)
    assert site.has(used)
    assert not _names_of(site, used) & names
    retention = site.retention(NEVER)
    await retention.look()
    assert site.has(used)
    session.remove()
    await retention.look()  # of a worker that was started since, and knows of nothing but the engine
    assert not site.has(used)
    assert site.has(other)


def _names_of(site: Site, image: str) -> set[str]:
    attributes = site.engine.images.get(image).attrs
    return {*attributes["RepoTags"], *attributes["RepoDigests"]}
