"""Images and commits go from a real registry by its API and its own collector; no pull of another one ever fails."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from builders.collect import registry as collected
from builders.collect.clear import clear_registry
from builders.errors import RegistryDown
from builders.labels import KEY_LABEL
from builders.lines import Held, Line, Progress, Share
from builders.oci import archive
from builders.oci.access import Access
from builders.oci.image import LAYER_TYPE, MANIFEST_TYPE, Blob, canonical, digest_of
from builders.oci.referrers import Descriptor, Paper, attach, papers
from builders.oci.registry import INDEX_TYPE, Repository
from builders.oci.table import Table
from builders.turns import OWN_REGISTRY, Own, own_registry, uploading
from tests.fixtures.registry import running_registry
from tests.fixtures.service import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = tuple(letter * 64 for letter in "abc")
SHARED = os.urandom(300_000)
NAME = "repolaunch/env"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Own, Access]]:
    """A registry as `up` has it: ours, with a collector."""
    with running_registry(tmp_path) as running:
        config = str(tmp_path / "config.yml")
        ours = Own(tmp_path / "images", tmp_path / "turns", ("docker-registry", "garbage-collect", config))
        yield ours, Access(running.host, tls=False)


def pushed(repository: Repository, tag: str, *layers: bytes) -> str:
    """An image of these layers; its digest. It has a paper."""
    config = canonical({"architecture": "amd64", "os": "linux", "config": {"Labels": {KEY_LABEL: tag}}})
    for data in (config, *layers):
        repository.put(data)
    manifest = canonical({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": Descriptor("application/vnd.oci.image.config.v1+json", digest_of(config), len(config)).to_json(),
        "layers": [Descriptor(LAYER_TYPE, digest_of(data), len(data)).to_json() for data in layers],
    })  # fmt: skip
    repository.put_manifest(tag, manifest)
    image = Descriptor(MANIFEST_TYPE, digest_of(manifest), len(manifest))
    attach(repository, image, Paper("application/vnd.in-toto+json", b'{"tag": "%b"}' % tag.encode()))
    return digest_of(manifest)


def pull(repository: Repository, reference: str) -> None:
    """All of an image. Raises RegistryDown, AssertionError."""
    manifest = repository.manifest(reference, MANIFEST_TYPE)
    assert manifest is not None, reference
    body = json.loads(manifest)
    for one in (body["config"], *body["layers"]):
        repository.blob(one["digest"])


def told(of: Iterator[Held | Share]) -> tuple[dict[str, Held], dict[tuple[str, ...], int]]:
    lines = list(of)
    things = {one.name: one for one in lines if isinstance(one, Held)}
    return things, {one.of: one.size or 0 for one in lines if isinstance(one, Share)}


@contextmanager
def pulling(how: Access, *references: str) -> Iterator[list[str]]:
    """Pull these again and again while the block runs; what went wrong, and how often it went well at the end."""
    wrong: list[str] = []
    stop, went = threading.Event(), threading.Event()

    def again() -> None:
        repository = Repository(how, NAME)
        while not stop.is_set():
            for one in references:
                try:
                    pull(repository, one)
                except (RegistryDown, AssertionError) as error:
                    wrong.append(f"{one}: {error}")
            went.set()

    threads = [threading.Thread(target=again) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert went.wait(60)
        yield wrong
        went.clear()
        assert went.wait(60)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


async def test_a_registry_that_has_nothing_yet_is_collected(own: tuple[Own, Access]) -> None:
    ours, how = own
    await clear_registry(ours, [Repository(how, NAME)], lambda _: None)
    pushed(Repository(how, NAME), KEYS[0], SHARED)
    await clear_registry(ours, [Repository(how, NAME)], lambda _: None)
    pull(Repository(how, NAME), KEYS[0])


async def test_images_of_private_repositories_are_held_and_go_in_their_namespaces(own: tuple[Own, Access]) -> None:
    """What they share with others' is freed with the last of both."""
    ours, how = own
    prefix, spaces = NAME.removesuffix("/env"), ["a" * 32, "b" * 32]
    public = Repository(how, NAME)
    private = [Repository(how, f"{prefix}/private/{space}/env") for space in spaces]
    pushed(public, KEYS[0], SHARED)
    digests = [pushed(one, key, SHARED) for one, key in zip(private, KEYS[1:3], strict=True)]
    pushed(Repository(how, f"{prefix}/private/none/env"), KEYS[0], SHARED)
    assert collected.spaces(ours, prefix) == spaces
    assert collected.spaces(None, prefix) == []
    things, sizes = told(collected.images([public, *private], ours))
    assert {name: one.about.get("space", "") for name, one in things.items()} == dict(
        zip(KEYS[:3], ["", *spaces], strict=True)
    )
    assert sizes[tuple(sorted(KEYS[:3]))] == len(SHARED)
    collected.forget_image(private[0], KEYS[1])
    await clear_registry(ours, [public, *private], lambda _: None)
    assert private[0].manifest(digests[0], MANIFEST_TYPE) is None
    assert papers(private[0], digests[0]) == []
    for repository, key in ((public, KEYS[0]), (private[1], KEYS[2])):
        pull(repository, key)


async def test_an_image_goes_with_its_papers_and_layers_and_no_pull_fails(own: tuple[Own, Access]) -> None:
    ours, how = own
    repository = Repository(how, NAME)
    gone = pushed(repository, KEYS[0], SHARED, alone := os.urandom(200_000))
    stays = pushed(repository, KEYS[1], SHARED, os.urandom(100_000))
    things, sizes = told(collected.images([repository], ours))
    assert {name: one.about["digest"] for name, one in things.items()} == {KEYS[0]: gone, KEYS[1]: stays}
    assert sizes[KEYS[0], KEYS[1]] == len(SHARED)
    assert sizes[KEYS[0],] > len(alone)
    before = collected.room(ours)["held"]
    with pulling(how, KEYS[1], stays) as wrong:
        for _ in range(3):
            collected.forget_image(repository, KEYS[0])
            assert papers(repository, gone) == []
            await clear_registry(ours, [repository], lambda _: None)
    assert wrong == []
    assert repository.manifest(KEYS[0], MANIFEST_TYPE) is None
    assert repository.manifest(gone, MANIFEST_TYPE) is None
    assert papers(repository, gone) == []
    assert not repository.has(digest_of(alone))
    assert set(repository.tags()) == {KEYS[1], stays.replace(":", "-")}
    assert [paper.data for paper in papers(repository, stays)] == [b'{"tag": "%b"}' % KEYS[1].encode()]
    assert before - collected.room(ours)["held"] > len(alone)
    # What went is pushed again as if it had never been there.
    assert pushed(repository, KEYS[0], SHARED, alone) == gone
    pull(repository, gone)


async def test_who_pushes_meanwhile_waits_and_goes_on(
    own: tuple[Own, Access], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, how = own
    repository = Repository(how, NAME)
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\ntouch {slow}.began\nsleep 1\nexec {' '.join(ours.collect)}\n")
    slow.chmod(0o755)
    body = {"folder": str(ours.folder), "turns": str(ours.turns), "collect": [str(slow)]}
    monkeypatch.setenv(OWN_REGISTRY, json.dumps(body))
    given = own_registry()
    assert given is not None
    said: list[Line] = []
    order: list[str] = []
    layer = os.urandom(50_000)

    async def clear() -> None:
        await clear_registry(given, [repository], lambda _: None)
        order.append("cleared")

    async with asyncio.TaskGroup() as tasks:
        # A layer is there that no manifest names yet: a push is under way.
        async with uploading(said.append):
            await asyncio.to_thread(repository.put, layer)
            tasks.create_task(clear())
            await asyncio.sleep(0.5)
            assert not (tmp_path / "slow.began").exists()
            await asyncio.to_thread(pushed, repository, KEYS[0], layer)
            order.append("pushed")
        while not (tmp_path / "slow.began").exists():
            await asyncio.sleep(0.02)
        async with uploading(said.append):
            await asyncio.to_thread(pushed, repository, KEYS[1], layer)
            order.append("pushed again")
    assert order == ["pushed", "cleared", "pushed again"]
    assert said == [Progress("Waiting until the registry is cleared up")]
    for key in KEYS[:2]:
        await asyncio.to_thread(pull, repository, key)


async def test_who_is_killed_while_clearing_up_stops_nobody(
    own: tuple[Own, Access], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, how = own
    repository = Repository(how, NAME)
    stays = pushed(repository, KEYS[1], os.urandom(1000))
    gone = pushed(repository, KEYS[0], os.urandom(1000))
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho $$ >{slow}.pid\nexec sleep 600\n")
    slow.chmod(0o755)
    body = {"folder": str(ours.folder), "turns": str(ours.turns), "collect": [str(slow)]}
    monkeypatch.setenv(OWN_REGISTRY, json.dumps(body))
    collected.forget_image(repository, KEYS[0])
    argv = (sys.executable, "-m", "builders", "clear", "--json", "registry", f"{how.host}/repolaunch")
    env = {**os.environ, "REPOLAUNCH_STORES": str(tmp_path / "stores")}
    process = await asyncio.create_subprocess_exec(*argv, env=env, stdout=asyncio.subprocess.DEVNULL, cwd=ROOT)
    async with asyncio.timeout(60):
        while not (tmp_path / "slow.pid").exists() or not (tmp_path / "slow.pid").read_text().strip():
            await asyncio.sleep(0.02)
    collector = int((tmp_path / "slow.pid").read_text())
    process.kill()
    await process.wait()
    said: list[Line] = []
    async with asyncio.timeout(30):
        async with uploading(said.append):
            assert pushed(repository, KEYS[0], os.urandom(1000)) != gone
        while psutil.pid_exists(collector) and psutil.Process(collector).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)
        await clear_registry(ours, [repository], lambda _: None)
    for one in (KEYS[0], stays):
        pull(repository, one)


async def test_what_others_have_stays(own: tuple[Own, Access]) -> None:
    ours, how = own
    repository = Repository(how, NAME)
    layer = os.urandom(1000)
    image = pushed(repository, KEYS[0], layer)
    foreign = pushed(repository, "somebody-elses", layer)
    older = pushed(repository, KEYS[1], b"older")
    newer = pushed(repository, KEYS[1], b"newer", b"another build of the same key")
    manifest = repository.manifest(KEYS[0], MANIFEST_TYPE)
    assert manifest is not None
    repository.put_manifest(KEYS[2], manifest)  # two names of one image: to remove it would remove both
    things, sizes = told(collected.images([repository], ours))
    assert {name: (one.kind, one.about["digest"]) for name, one in things.items()} == {
        KEYS[0]: ("other", image),
        "somebody-elses": ("other", foreign),
        KEYS[1]: ("image", newer),
        older: ("image", older),
    }
    # Which environment's it was, an image says that its key leads to no more.
    assert {name for name, one in things.items() if one.about.get("key") == KEYS[1]} == {older}
    assert set(sizes) == {(KEYS[1],), (older,), (KEYS[1], older)}  # and nothing of what others have
    collected.forget_image(repository, KEYS[0])
    assert repository.manifest(KEYS[2], MANIFEST_TYPE) == manifest
    collected.forget_image(repository, older)
    await clear_registry(ours, [repository], lambda _: None)
    for one in (KEYS[0], KEYS[2], "somebody-elses", KEYS[1]):
        pull(repository, one)


async def test_papers_whose_image_went_before_a_kill_go_with_the_next(own: tuple[Own, Access]) -> None:
    ours, how = own
    repository = Repository(how, NAME)
    gone, stays = pushed(repository, KEYS[0], b"a"), pushed(repository, KEYS[1], b"b")
    repository.delete(gone)
    assert papers(repository, gone) != []
    await clear_registry(ours, [repository], lambda _: None)
    assert papers(repository, gone) == []
    assert repository.manifest(gone.replace(":", "-"), INDEX_TYPE) is None
    assert papers(repository, stays) != []


async def test_a_commit_goes_with_the_links_that_led_to_it(own: tuple[Own, Access], tmp_path: Path) -> None:
    ours, how = own
    repository = Repository(how, "repolaunch/source")
    checkout = tmp_path / "checkout"
    checkout.mkdir()

    def keep(ref: str, commit: str) -> None:
        (checkout / "text").write_text(commit)
        archive.keep(repository, checkout, archive.Origin("https://x.example/a", ref, commit, "", "t"), 10**6)

    old, new = "1" * 40, "2" * 40
    for ref, commit in (("main", old), ("v1", old), ("main", new), ("v1", new)):
        keep(ref, commit)
    things, sizes = told(collected.sources(repository, ours))
    names = {one.about["commit"]: name for name, one in things.items()}
    assert {commit: things[name].about["is_last"] for commit, name in names.items()} == {old: False, new: True}
    assert all(sizes[name,] > 0 for name in names.values())
    collected.forget_source(repository, ours, names[old])
    collected.forget_source(repository, ours, names[old])
    await clear_registry(ours, [repository], lambda _: None)
    assert list(told(collected.sources(repository, ours))[0]) == [names[new]]
    assert archive.find(repository, "https://x.example/a", old) is None
    for ref in ("main", "v1", new):
        found = archive.find(repository, "https://x.example/a", ref)
        assert found is not None
        assert found.commit == new
    assert archive.restore(repository, "https://x.example/a", new, tmp_path / "again", None) is not None
    assert (tmp_path / "again" / "text").read_text() == new
    collected.forget_source(repository, ours, names[new])
    assert list(collected.sources(repository, ours)) == []
    assert [archive.find(repository, "https://x.example/a", ref) for ref in ("main", "v1", new)] == [None] * 3


async def test_layers_that_were_collected_are_not_taken_over_from_there(
    own: tuple[Own, Access], tmp_path: Path
) -> None:
    ours, how = own
    repository = Repository(how, NAME)
    layers = os.urandom(1000), os.urandom(1000)
    pushed(repository, KEYS[0], layers[0])
    pushed(repository, KEYS[1], layers[1])
    table = Table(tmp_path / "layers.sqlite")
    for data in layers:
        table.learn(f"key of {digest_of(data)}", Blob(digest_of(data), len(data)))
        table.saw(how.host, digest_of(data), NAME)
    collected.forget_image(repository, KEYS[0])
    await clear_registry(ours, [repository], lambda _: None)
    collected.forget_places(table, how.host, ours)
    assert table.places(how.host) == [(digest_of(layers[1]), NAME)]
    table.close()


def test_of_a_registry_that_is_not_ours_nothing_is_known_but_its_tags(own: tuple[Own, Access]) -> None:
    _, how = own
    repository = Repository(how, NAME)
    older = pushed(repository, KEYS[0], b"a")
    newer = pushed(repository, KEYS[0], b"b")
    assert older != newer
    assert {one.about["digest"] for one in told(collected.images([repository], None))[0].values()} == {newer}
    assert collected.room(None)["reason"] == "the registry is not ours"
    assert told(collected.images([Repository(how, "repolaunch/none")], None)) == ({}, {})
