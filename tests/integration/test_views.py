"""Views: an environment's part of the stores, mounted into a session, against the image that has all of it.

The store is made by hand, with what a real one may have at its worst; `test_closure_service.py` launches a real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import docker.errors
import pytest

from builders.collect import stores as collected
from builders.collect.clear import clear_stores
from builders.detect import find
from builders.guix.builder import Guix
from builders.guix.collect import collect as collect_guix
from builders.images import EngineImages
from builders.interface import Order
from builders.lines import Found, Known
from builders.nix.builder import NixBuilder
from builders.oci import held, record, view
from builders.oci.image import assemble
from builders.oci.load import load
from builders.oci.table import Table
from builders.sandbox_files import remove
from builders.variables import STORES, TLS, VIEWS
from builders.views import Views
from tests.conftest import ROOT
from tests.fixtures.closures import settle
from tests.fixtures.guix import repository
from tests.fixtures.nix import SET
from tests.fixtures.worker import running_worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from builders.guix.means import Means
    from builders.interface import Workshop
    from builders.lines import Line
    from builders.oci.image import Recipe
    from builders.server import Server
    from tests.fixtures.closures import Shelf
    from tests.fixtures.guix import StandInChannel
    from tests.fixtures.registry import RunningRegistry

PROGRAMS = ("sh", "env", "cat", "ls", "find", "xargs", "stat", "sha256sum", "sort", "touch", "chmod", "rm", "id")
HARD = (b"with\nline end", b"no text \xff\xfe", b"\xff" * 255)
LOOK = """
engine="-path /.dockerenv -o -path /etc/hosts -o -path /etc/hostname -o -path /etc/resolv.conf -o -path /etc/mtab"
seen() { find / \\( -path /proc -o -path /sys -o -path /dev -o $engine \\) -prune -o "$@" -print0 | sort -z; }
seen ! -type d | xargs -0 stat -c '%N %A %s %Y'
seen -type d | xargs -0 stat -c '%N %A'
seen -type f | xargs -0 sha256sum
env | sort
id
"""
WALLS = (
    *("--user=1000:1000", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none"),
    *("--hostname=session", "--pull=never", "--rm"),
)


def silent(_: Line) -> None:
    pass


def environment(shelf: Shelf, busybox: bytes) -> Recipe:
    """Paths of both stores: folders, one file, one link; files that no image has as they are."""
    word = secrets.token_hex(8)
    programs: dict[str | bytes, bytes | str] = {f"bin/{name}": "busybox" for name in PROGRAMS}
    server: dict[str | bytes, bytes | str] = {"bin/busybox": busybox, **programs}
    server["bin/repolaunch-singleuser"] = b"#!/bin/sh\n"
    tools = shelf.add("busybox", server, seed=word)
    library = shelf.add("library", {**{b"share/" + name: word.encode() for name in HARD}, "empty": b""}, seed=word)
    single = shelf.add("single.patch", {"": word.encode()}, seed=word, store="gnu")
    link = shelf.add("link", {"": f"{library}/share"}, seed=word)
    outside = shelf.add("outside", {"": "/etc/passwd"}, seed=word)
    odd = shelf.place(library) / "empty"
    own = shelf.add("profile", {"bin/tool": b"#!/bin/sh\n"}, [tools, library, single, link, outside], seed=word)
    settle(shelf.stores)
    odd.chmod(0o4755)  # what no store keeps
    made = shelf.recipe(first=[tools], root=[own], sh=f"{tools}/bin/sh")
    return replace(made, env={"HOME": "/home/jovyan", "PATH": f"{own}/bin:{tools}/bin", "WORD": word})


@dataclass
class Both:
    """An environment by its whole image, and by an image and a view."""

    recipe: Recipe
    whole: str
    small: str

    @property
    def view(self) -> view.View:
        found = view.find(self.recipe.stores, self.small)
        assert found is not None
        return found

    def run(self, installation: str, *command: str, seen: bool = True, walls: tuple[str, ...] = WALLS) -> str:
        """What a program in a container says on both streams; `seen`: by the view."""
        mounts = self.view.mounts.items() if seen else ()
        argv = ["docker", "run", *walls, f"--label=repolaunch.installation={installation}"]
        argv += [f"--mount=type=bind,source={source},target={target},readonly" for target, source in mounts]
        done = subprocess.run([*argv, self.small if seen else self.whole, *command], capture_output=True, check=False)
        return (done.stdout + done.stderr).decode("utf-8", "backslashreplace")


@pytest.fixture
def both(engine: docker.DockerClient, shelf: Shelf, busybox: bytes) -> Iterator[Both]:
    recipe = environment(shelf, busybox)
    neighbour = shelf.add("neighbour", {"secret": b"secret"})
    names = [f"repolaunch-test-view:{secrets.token_hex(8)}" for _ in range(2)]
    try:
        with closing(Table(record.table_of(shelf.stores))) as table:
            whole = load(recipe, names[0], table, silent).engine_id
            small = load(view.without_closure(recipe), names[1], table, silent).engine_id
        view.make(recipe, small)
        record.save(recipe, small)
        assert neighbour not in recipe.closure.paths
        yield Both(recipe, whole, small)
    finally:
        for name in names:
            with contextlib.suppress(docker.errors.ImageNotFound):
                engine.images.remove(name, force=True)


@pytest.mark.engine
def test_an_environment_is_the_same_from_inside_by_its_image_and_by_its_view(both: Both, installation: str) -> None:
    whole = both.run(installation, "sh", "-c", LOOK, seen=False)
    assert both.run(installation, "sh", "-c", LOOK) == whole
    for expected in ("library/share/with", "profile/bin/tool -r-xr-xr-x 10 1", "-link' -> '/nix/store", "WORD="):
        assert expected in whole
    assert "rws" not in whole, "a setuid bit"
    assert "neighbour" not in whole


@pytest.mark.engine
def test_nothing_else_is_seen_and_nothing_can_be_written(both: Both, installation: str) -> None:
    stores = both.recipe.stores
    (neighbour,) = (path.name for path in (stores / "nix/store").iterdir() if path.name.endswith("-neighbour"))
    assert "No such file" in both.run(installation, "cat", f"/nix/store/{neighbour}/secret")
    shown = both.run(installation, "sh", "-c", "ls -d /nix/store/* /gnu/store/*").split()
    assert set(shown) == both.recipe.closure.paths.keys()
    (own,) = both.recipe.root
    # Root may write whatever the modes are; and the files of a store belong to the user of sessions.
    as_root = ("--user=0", "--network=none", "--pull=never", "--rm")
    for walls in (WALLS, as_root):
        command = f"touch /nix/store/new; touch {own}/new; chmod 777 {own}/bin/tool; rm {own}/bin/tool"
        said = both.run(installation, "sh", "-c", command, walls=walls).splitlines()
        assert [line.rpartition(": ")[2] for line in said] == ["Read-only file system"] * 4, said


@pytest.mark.engine
def test_no_byte_is_copied_but_of_what_no_image_has_as_it_is(both: Both) -> None:
    copied = []
    for path in both.recipe.closure.paths:
        place = both.recipe.stores / path[1:]
        for file in [place] if not place.is_dir() or place.is_symlink() else place.rglob("*"):
            seen = both.view.folder / file.relative_to(both.recipe.stores)
            if file.is_file() and not file.is_symlink() and seen.stat().st_ino != file.stat().st_ino:
                copied.append(file.name)
    assert copied == ["empty"]


@pytest.mark.engine
def test_what_is_pushed_from_the_store_is_the_whole_image_and_the_view_is_found_by_its_digest(
    both: Both, registry: RunningRegistry, engine: docker.DockerClient, engine_environment: dict[str, str]
) -> None:
    target = f"{registry.host}/repolaunch/{secrets.token_hex(4)}:{secrets.token_hex(8)}"
    env = engine_environment | {STORES: str(both.recipe.stores), VIEWS: "1", TLS: "0"}
    with closing(Table(record.table_of(both.recipe.stores))) as table:
        digest = assemble(both.recipe, table).digest
    assert builder(env, "push", both.small, target) == {"type": "pushed", "digest": digest}
    assert not engine.images.get(both.small).attrs["RepoDigests"], "the engine was given what it does not need"
    repository = target.rpartition(":")[0]
    assert view.find(both.recipe.stores, f"{repository}@{digest}") == both.view
    assert view.find(both.recipe.stores, f"{repository}@sha256:{'0' * 64}") is None


@pytest.mark.engine
def test_what_a_session_must_know_is_the_same_by_both_ways(both: Both, engine_environment: dict[str, str]) -> None:
    env = engine_environment | {STORES: str(both.recipe.stores), VIEWS: "1"}
    by_image, by_view = (builder(env, "inspect", each) for each in (both.whole, both.small))
    assert by_view == by_image | {"engine_id": both.small}
    assert by_view["server"][0].endswith("-busybox/bin/repolaunch-singleuser")
    # Where sessions are given no views, an image that has nothing of the store is no environment.
    assert builder(env | {VIEWS: ""}, "inspect", both.small)["error"] == "ServerMissing"


@pytest.mark.engine
async def test_a_worker_that_starts_removes_what_ended_sessions_left_and_answers_for_views(
    both: Both, installation: str, engine_environment: dict[str, str], tmp_path: Path
) -> None:
    """However hub, launcher, `up` or the machine ended: no container has this id."""
    stores = both.recipe.stores
    assert held.hold(both.view, "f" * 64, installation)
    env = engine_environment | {STORES: str(stores), VIEWS: "1"}
    (tmp_path / "worker").mkdir()
    with running_worker(tmp_path / "worker", installation, env, registry="127.0.0.1:9") as running:
        while held.held(stores):  # another process removes it
            await asyncio.sleep(0.1)
        for image in (both.whole, both.small):
            assert await running.worker.ask(Known, "has", {"engine_id": image}) == Known(image)
        remove(both.view.folder)
        assert await running.worker.ask(Known, "has", {"engine_id": both.small}) == Known("")
        view.make(both.recipe, both.small)
    with running_worker(tmp_path / "worker", installation, env | {VIEWS: ""}, registry="127.0.0.1:9") as running:
        assert await running.worker.ask(Known, "has", {"engine_id": both.small}) == Known("")


@pytest.mark.engine
@pytest.mark.long
@pytest.mark.timeout(900)
async def test_what_a_session_runs_on_outlives_a_collection_and_goes_with_the_next(
    workshop: Workshop, nix_author: Path, small_server: Server, engine: docker.DockerClient, installation: str
) -> None:
    """Of a real store, by Nix's own collector, when the environment was let go."""
    assert small_server.closure.paths
    (nix_author / "default.nix").write_text(SET + '[ (program "used" "echo used") kernel ]')
    views, key, name = replace(workshop, views=True), "a" * 64, f"repolaunch-{installation}-env:a"
    try:
        nix = NixBuilder()
        declared = nix.detect(nix_author)
        assert declared is not None
        inputs = await nix.inputs(nix_author, declared, "linux/amd64", views, silent)
        found = Found("nix", nix.version, (), key, "linux/amd64")
        small = await nix.build(Order(nix_author, found, inputs, name, {}, 0, views), silent)
        recipe, seen = record.find(views.stores, small), view.find(views.stores, small)
        assert recipe is not None
        assert seen is not None
        assert held.hold(seen, "f" * 64, installation)
        collected.forget(views.stores, "environment", key)
        await clear_stores(views, silent)
        assert all((views.stores / path[1:]).exists() for path in recipe.closure.paths)
        mounts = [f"--mount=type=bind,source={source},target={at},readonly" for at, source in seen.mounts.items()]
        argv = ["docker", "run", *WALLS, f"--label=repolaunch.installation={installation}", *mounts, small, "used"]
        done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
        assert done.stdout == "used\n", done.stderr

        # No container has that id, so whoever looks finds that it has ended.
        await Views(EngineImages(os.environ), views.stores, installation).look()
        await clear_stores(views, silent)
        assert not any((views.stores / path[1:]).exists() for path in recipe.root)
        assert view.find(views.stores, small) is None
    finally:
        if engine.images.list(name):
            engine.images.remove(name, force=True)


@pytest.mark.engine
@pytest.mark.long
@pytest.mark.timeout(900)
async def test_an_environment_of_guix_is_seen_with_the_server_from_the_other_store(
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
    guix, views = Guix(guix_means), replace(guix_workshop, views=True)
    name = f"repolaunch-{installation}-env:guix"
    found, inputs = await find(directory, (guix,), "linux/amd64", views, silent)
    try:
        small = await guix.build(Order(directory, found, inputs, name, {}, 0, views), silent)
        recipe, seen = record.find(views.stores, small), view.find(views.stores, small)
        assert recipe is not None
        assert seen is not None
        assert seen.mounts.keys() == {"/nix", "/gnu"}
        both = Both(recipe, "", small)
        shown = await asyncio.to_thread(both.run, installation, "sh", "-c", "ls -d /nix/store/* /gnu/store/*; hello")
        *paths, last = shown.splitlines()
        assert set(paths) == recipe.closure.paths.keys()
        assert last == "hello, one"
        assert held.hold(seen, "f" * 64, installation)
        collected.forget(views.stores, "environment", found.key)
        await collect_guix(views, silent, guix_means)
        assert all((views.stores / path[1:]).exists() for path in recipe.closure.paths)
    finally:
        if engine.images.list(name):
            engine.images.remove(name, force=True)


def builder(env: Mapping[str, str], *argv: str) -> dict[str, Any]:
    """The last line of a builder process."""
    command = [sys.executable, "-m", "builders", argv[0], "--json", *argv[1:]]
    done = subprocess.run(command, env=dict(env), cwd=ROOT, capture_output=True, text=True, check=False)
    last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return last
