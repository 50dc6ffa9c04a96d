"""Environments go from a store with all that only they have; what another one or a build has stays."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from builders.collect import stores as collected
from builders.detect import find
from builders.errors import BuildBroken
from builders.guix.builder import Guix
from builders.guix.collect import collect as collect_guix
from builders.interface import Order
from builders.labels import KEY_LABEL
from builders.lines import Found, Held, Line, Progress, Share
from builders.nix.build import ROOTS
from builders.nix.builder import NixBuilder
from builders.nix.collect import collect
from builders.oci import record
from builders.oci.image import layers_of
from builders.turns import alone, building
from tests.fixtures.guix import repository
from tests.fixtures.nix import SET, unwrapped

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from builders.guix.means import Means
    from builders.interface import Workshop
    from builders.server import Server
    from tests.fixtures.guix import StandInChannel

PLATFORM = "linux/amd64"
KEYS = ("a" * 64, "b" * 64)


async def image(workshop: Workshop, folder: Path, key: str, name: str, text: str) -> str:
    """Build and load what a folder declares; the engine's id."""
    (folder / "default.nix").write_text(SET + text)
    builder = NixBuilder()
    declared = builder.detect(folder)
    assert declared is not None
    of = await builder.inputs(folder, declared, PLATFORM, workshop, lambda _: None)
    order = Order(folder, Found("nix", builder.version, (), key, PLATFORM), of, name, {}, 0, workshop)
    return await builder.build(order, lambda _: None)


def paths(stores: Path) -> set[str]:
    return {unwrapped(f"/nix/store/{one.name}") for one in (stores / "nix/store").iterdir() if one.suffix != ".drv"}


@pytest.mark.engine
async def test_an_environment_goes_and_another_one_stays(
    workshop: Workshop, nix_author: Path, small_server: Server, engine: docker.DockerClient, installation: str
) -> None:
    assert small_server.closure.paths
    names = [f"repolaunch-{installation}-env:{key}" for key in KEYS]
    try:
        gone = await image(workshop, nix_author, KEYS[0], names[0], '[ (program "first" "echo 1") kernel ]')
        stays = await image(workshop, nix_author, KEYS[1], names[1], '[ (program "second" "echo 2") kernel ]')
        told = list(collected.held(workshop.stores))
        assert {(one.kind, one.name) for one in told if isinstance(one, Held)} == {("environment", key) for key in KEYS}
        sizes = {one.of: one.size for one in told if isinstance(one, Share)}
        assert set(sizes) == {(KEYS[0],), (KEYS[1],), KEYS}
        assert all(sizes.values())
        before = paths(workshop.stores)
        await collect(workshop, lambda _: None)
        assert {"first", "second", "kernel", "tools", "repolaunch-singleuser"} <= paths(workshop.stores) <= before

        collected.forget(workshop.stores, "environment", KEYS[0])
        collected.forget(workshop.stores, "environment", KEYS[0])
        await collect(workshop, lambda _: None)
        left = paths(workshop.stores)
        assert "first" not in left
        assert {"second", "kernel", "tools", "repolaunch-singleuser"} <= left
        assert record.find(workshop.stores, gone) is None
        recipe = record.find(workshop.stores, stays)
        assert recipe is not None
        blobs = await asyncio.to_thread(lambda: [b"".join(layer.chunks()) for layer in layers_of(recipe)])
        assert all(blobs)  # it can be pushed from the store still

        # The environment that went is simply built again, the same.
        assert await image(workshop, nix_author, KEYS[0], names[0], '[ (program "first" "echo 1") kernel ]') == gone
        assert "first" in paths(workshop.stores)
    finally:
        for name in names:
            if engine.images.list(name):
                engine.images.remove(name, force=True)


@pytest.mark.engine
async def test_a_derivation_that_went_before_its_build_is_found_again(
    workshop: Workshop, nix_author: Path, small_server: Server, engine: docker.DockerClient, installation: str
) -> None:
    assert small_server.closure.paths
    (nix_author / "default.nix").write_text(SET + '[ (program "later" "echo 1") kernel ]')
    builder, name = NixBuilder(), f"repolaunch-{installation}-env:{KEYS[0]}"
    declared = builder.detect(nix_author)
    assert declared is not None
    of = await builder.inputs(nix_author, declared, PLATFORM, workshop, lambda _: None)
    await collect(workshop, lambda _: None)
    derivation = of.digest.split()[1].partition("^")[0]
    assert not (workshop.stores / derivation[1:]).exists()
    order = Order(nix_author, Found("nix", builder.version, (), KEYS[0], PLATFORM), of, name, {}, 0, workshop)
    try:
        assert await builder.build(order, lambda _: None)
    finally:
        if engine.images.list(name):
            engine.images.remove(name, force=True)


@pytest.mark.engine
@pytest.mark.long
@pytest.mark.timeout(900)
async def test_an_environment_goes_from_the_store_of_guix(
    tmp_path: Path,
    guix_means: Means,
    guix_workshop: Workshop,
    channel: StandInChannel,
    engine: docker.DockerClient,
    installation: str,
) -> None:
    """Stand-ins, as tests/fixtures/guix.py has them: the seeds, and the channel `guix`."""
    text = '(specifications->manifest \'("hello" "stand-in-busybox"))\n'
    directory = repository(tmp_path / "r", channels_scm=channel.scheme(channel.commits[0]), manifest_scm=text)
    builder, stores = Guix(guix_means), guix_workshop.stores
    name = f"repolaunch-{installation}-env:guix"
    found, inputs = await find(directory, (builder,), PLATFORM, guix_workshop, lambda _: None)
    order = Order(directory, found, inputs, name, {}, 0, guix_workshop)
    try:
        engine_id = await builder.build(order, lambda _: None)
        recipe = record.find(stores, engine_id)
        assert recipe is not None
        own = [path for path in recipe.closure.paths if path not in recipe.first]
        things = {(one.kind, one.name) for one in collected.held(stores) if isinstance(one, Held)}
        assert ("environment", found.key) in things
        (channels,) = (name for kind, name in things if kind == "channels")
        await collect_guix(guix_workshop, lambda _: None, guix_means)
        assert all((stores / path[1:]).exists() for path in own)
        collected.forget(stores, "environment", found.key)
        collected.forget(stores, "channels", channels)
        await collect_guix(guix_workshop, lambda _: None, guix_means)
        assert not any((stores / path[1:]).exists() for path in own if path in recipe.root)
        assert await builder.build(order, lambda _: None) == engine_id
    finally:
        if engine.images.list(name):
            engine.images.remove(name, force=True)


# --------------------------------------------------------------------------- turns
async def test_clearing_up_waits_for_builds_and_builds_for_clearing_up(tmp_path: Path) -> None:
    said: list[Line] = []
    order: list[str] = []
    began, cleared = asyncio.Event(), asyncio.Event()

    async def clear() -> None:
        began.set()
        async with alone(tmp_path / "collect", 60):
            order.append("cleared")
            cleared.set()
            await asyncio.sleep(0.5)
            order.append("clearing ended")

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        await stack.enter_async_context(building(tmp_path, said.append))
        tasks.create_task(clear())
        await began.wait()
        async with building(tmp_path, said.append):  # a second one does not wait for who waits for the first
            order.append("built")
        assert said == []
        await asyncio.sleep(0.5)
        assert not cleared.is_set()
        await stack.aclose()
        await cleared.wait()
        async with building(tmp_path, said.append):
            order.append("built again")
    assert order == ["built", "cleared", "clearing ended", "built again"]
    assert said == [Progress("Waiting until the store is cleared up")]


async def test_who_has_waited_long_enough_is_next(tmp_path: Path) -> None:
    order: list[str] = []

    async def build(name: str) -> None:
        async with building(tmp_path, lambda _: None):
            order.append(name)

    async def clear() -> None:
        async with alone(tmp_path / "collect", 0):
            order.append("cleared")

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        await stack.enter_async_context(building(tmp_path, lambda _: None))
        tasks.create_task(clear())
        await asyncio.sleep(0.5)
        tasks.create_task(build("came later"))
        await asyncio.sleep(0.5)
        assert order == []
        await stack.aclose()
    assert order == ["cleared", "came later"]


async def test_who_uses_it_for_long_does_not_make_others_wait_as_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build of hours, a collector whose turn it is, and somebody else's build: that one waits for a moment only."""
    monkeypatch.setattr("builders.turns.HELD_S", 0.5)
    async with building(tmp_path, lambda _: None):
        clearing = asyncio.create_task(_cleared(tmp_path))
        await asyncio.sleep(0.2)
        async with asyncio.timeout(30), building(tmp_path, lambda _: None):
            assert not clearing.done()
    async with asyncio.timeout(30):
        await clearing


async def _cleared(stores: Path) -> None:
    async with alone(stores / "collect", 1):
        pass


# --------------------------------------------------------------------------- what killed ones leave
def kept(stores: Path, key: str, name: str) -> Path:
    """A record and a root, as a build leaves them; no path of it need be there."""
    place = stores / record.IMAGES / f"{name}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    path = f"/nix/store/{'0' * 32}-{name}"
    closure = {path: {"references": [], "narSize": 10, "narHash": "sha256-" + "A" * 43 + "="}}
    place.write_text(json.dumps({"labels": {KEY_LABEL: key}, "closure": closure, "first": [], "root": [path]}))
    place.with_name(f"{name}.about.json").write_text("{}")
    root = stores / ROOTS / key
    root.mkdir(parents=True)
    (root / "0").symlink_to(path)
    (stores / path[1:]).mkdir(parents=True)
    return stores / path[1:]


def test_a_record_always_has_its_paths_and_a_root_its_record(tmp_path: Path) -> None:
    whole, vanished = kept(tmp_path, KEYS[0], "whole"), kept(tmp_path, KEYS[1], "vanished")
    lone = kept(tmp_path, "c" * 64, "lone")
    (tmp_path / record.IMAGES / "lone.json").unlink()
    vanished.rmdir()
    linked = kept(tmp_path, "d" * 64, "linked")  # a path may be a link to another one, which leads nowhere from here
    linked.rmdir()
    linked.symlink_to("/nix/store/whole")
    others = tmp_path / ROOTS / "session-1"
    others.mkdir()
    (others / "0").symlink_to("/nix/store/x")
    (tmp_path / record.IMAGES / "damaged.json").write_text("{")
    theirs = tmp_path / collected.NIX_AUTO / "asked-for"  # by an expression that was evaluated
    theirs.parent.mkdir()
    theirs.symlink_to("/tmp/anything")  # noqa: S108 - it leads nowhere
    collected.tidy(tmp_path)
    assert not theirs.is_symlink()
    assert sorted(path.name for path in (tmp_path / ROOTS).iterdir()) == [KEYS[0], "d" * 64, "session-1"]
    assert (others / "0").is_symlink()
    left = {path.name for path in (tmp_path / record.IMAGES).iterdir()}
    whole_ones = {f"{name}.{kind}" for name in ("whole", "linked") for kind in ("json", "about.json")}
    assert left == whole_ones | {"damaged.json", "lone.about.json"}
    assert whole.exists()
    assert lone.exists()  # what has no root is for the store's own collector


@pytest.mark.parametrize("kind", ["environment", "channels", "wheels"])
@pytest.mark.parametrize("name", ["", "..", "../wheels", "a/b", "/etc", "channels-../x", "\n"])
def test_only_names_are_forgotten(tmp_path: Path, kind: str, name: str) -> None:
    kept(tmp_path, KEYS[0], "whole")
    with pytest.raises(BuildBroken, match="is not the name of a thing that the stores have"):
        collected.forget(tmp_path, kind, name)
    assert (tmp_path / record.IMAGES / "whole.json").exists()


def test_wheels_go_one_by_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / "wheels" / name
        folder.mkdir(parents=True)
        (folder / "a.whl").write_bytes(b"x" * 5000)
    (tmp_path / "wheels" / ".new-1").mkdir()
    told = list(collected.held(tmp_path))
    assert [one.name for one in told if isinstance(one, Held)] == ["one", "two"]
    assert all(one.size == 8192 for one in told if isinstance(one, Share))
    collected.forget(tmp_path, "wheels", "one")
    assert sorted(path.name for path in (tmp_path / "wheels").iterdir()) == [".new-1", "two"]
