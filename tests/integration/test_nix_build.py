"""Environments built by a real Nix, each step in its sandbox, and assembled."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builders.errors import (
    BuildDiskFull,
    BuilderError,
    BuildFailed,
    BuildLogTooLong,
    BuildOutOfMemory,
    BuildTimeout,
    EnvironmentBroken,
    StoreUnfit,
)
from builders.interface import Order
from builders.lines import Found, Line, Log, Step
from builders.nix import evaluate as evaluation
from builders.nix.build import ROOTS, Made, build, keep
from builders.nix.builder import NixBuilder
from builders.nix.evaluate import evaluate
from builders.nix.files import look
from builders.nix.site import Cache
from builders.nix.tool import NIX, builds
from builders.oci import closure
from builders.sandbox import daemon
from builders.sandbox_commands import WORK
from builders.server import described
from tests.fixtures.nix import SET, _exec, unwrapped

if TYPE_CHECKING:
    import docker

    from builders.interface import Inputs, Workshop
    from builders.sandbox import Daemon
    from builders.server import Server

pytestmark = pytest.mark.engine
PLATFORM = "linux/amd64"
TOO_MANY = "is made of {:,} store paths, and an image has at most {:,}"
# Longer than an evaluation may take, in little memory and on a short stack.
LOOP = """
let
  many = builtins.genList (n: n) 20000;
in
builtins.seq (builtins.foldl' (_: one: builtins.foldl' (last: two: last + two) one many) 0 many) tools
"""


def write(folder: Path, name: str, text: str) -> None:
    """The one declaration of an author's folder."""
    for old in ("flake.nix", "default.nix", "shell.nix"):
        (folder / old).unlink(missing_ok=True)
    (folder / name).write_text(text)


async def made(of: Daemon, folder: Path, said: list[Line] | None = None) -> Made:
    tell = ([] if said is None else said).append
    files = look(folder)
    assert files is not None
    found = await evaluate(of, folder, files, PLATFORM, tell)
    return await build(of, found.kind, found.derivations, tell)


async def test_a_step_cannot_change_what_it_is_given(workshop: Workshop, nix_author: Path) -> None:
    """One uid owns the store and runs the steps: what others have built is in their sandboxes to be read."""
    async with daemon(NIX, workshop, network=False) as of:
        write(nix_author, "default.nix", SET + 'run "two" "mkdir $out; echo hi >$out/tool; chmod 444 $out/tool"')
        (folder,) = (await made(of, nix_author)).roots
        write(nix_author, "default.nix", SET + 'run "one" "echo hi >$out"')
        (file,) = (await made(of, nix_author)).roots
        paths = [folder, f"{folder}/tool", file]
        tries = "; ".join(
            f"(chmod 777 {path} || mount -o remount,bind,rw {path} || echo POISON >>{path} || touch {path}/new"
            f" || mv {path} {path}-other || rm -r {path}) && echo {path} >>$out"
            for path in paths
        )
        # What was built by others is named without being built, by its path alone.
        known = "".join(
            f"(builtins.appendContext {json.dumps(path)} {{ {json.dumps(path)} = {{ path = true; }}; }})"
            for path in (folder, file)
        )
        text = f'{SET}run "evil" "echo began >$out; : ${{toString [ {known} ]}}; {tries}; true"'
        write(nix_author, "default.nix", text)
        (said,) = (await made(of, nix_author)).roots
    stores = workshop.stores
    assert (stores / said[1:]).read_text() == "began\n"
    assert [(stores / path[1:]).stat().st_mode & 0o222 for path in paths] == [0, 0, 0]
    assert [(stores / path[1:]).read_text() for path in paths[1:]] == ["hi\n", "hi\n"]
    assert [one.name for one in (stores / folder[1:]).iterdir()] == ["tool"]


async def test_what_is_built_and_what_it_needs(
    workshop: Workshop, nix_author: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Line] = []
    async with daemon(NIX, workshop, network=False) as of:
        write(nix_author, "default.nix", SET + 'run "page" "echo made; echo ${program "tool" "echo hi"} >$out"')
        page = await made(of, nix_author, said)
        write(nix_author, "flake.nix", "{ outputs = { self }: { packages.x86_64-linux.binder = import ./set.nix; }; }")
        (nix_author / "set.nix").write_text(SET + 'program "tool" "echo hi"')
        tool = await made(of, nix_author)
        write(nix_author, "default.nix", SET + '[ (program "one" "echo 1") (program "two" "echo 2") ]')
        both = await made(of, nix_author)
        write(nix_author, "shell.nix", SET + 'mkShell { packages = [ (program "one" "echo 1") ]; GREETING = "hello"; }')
        shell = await made(of, nix_author)
        monkeypatch.setattr(closure, "MOST", len(shell.closure.paths) - 1)
        with pytest.raises(StoreUnfit) as caught:
            await made(of, nix_author)
    assert vars(caught.value) == {
        "path": shell.roots[0],
        "reason": TOO_MANY.format(len(shell.closure.paths), closure.MOST),
    }
    assert [unwrapped(root) for root in page.roots] == ["page"]
    assert {unwrapped(path) for path in page.closure.paths} == {"page", "tool", "tools", "busybox"}
    assert said == [
        Step("evaluating default.nix"),
        *(Step("tools"), Step("tool"), Step("page"), Log("made")),
    ]
    assert tool.roots[0] in page.closure.paths
    assert [unwrapped(root) for root in both.roots] == ["one", "two"]
    assert [unwrapped(root) for root in shell.roots] == ["shell-env"]
    assert shell.variables["GREETING"] == "hello"
    assert [unwrapped(path.removesuffix("/bin")) for path in shell.variables["PATH"].split(":")] == ["one", "tools"]
    assert both.roots[0] in shell.closure.paths
    assert not {"HOME", "TMPDIR", "builder", "stdenv", "NIX_BUILD_TOP"} & shell.variables.keys()
    assert all(set(one.references) <= shell.closure.paths.keys() for one in shell.closure.paths.values())


async def test_what_goes_wrong(workshop: Workshop, nix_author: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def error(text: str, **limits: int) -> BuilderError:
        write(nix_author, "default.nix", SET + text)
        limited = replace(workshop, limits=replace(workshop.limits, **limits))
        async with daemon(NIX, limited, network=False) as of:
            with pytest.raises(BuilderError) as caught:
                await made(of, nix_author)
        return caught.value

    failed = await error('run "broken" "echo begun; echo no such thing >&2; exit 3"')
    assert isinstance(failed, BuildFailed)
    assert (failed.step, failed.tail, failed.status) == ("broken", ("begun", "no such thing"), 3)

    # A file whose hash is known may be fetched, and only that; here no network is reached.
    fetched = await error('run "fetches" "wget http://example.invalid/"')
    assert isinstance(fetched, BuildFailed)
    assert "bad address" in fetched.tail[-1]

    memory = await error('run "eats" "head -c 1000000000 /dev/zero | tail -c 900000000 | wc -c"', memory=256 * 2**20)
    assert isinstance(memory, BuildOutOfMemory)
    assert (memory.bytes, memory.step) == (256 * 2**20, "eats")

    disk = await error('run "fills" "head -c 400000000 /dev/zero >$out; sleep 60"', disk=200 * 2**20)
    assert isinstance(disk, BuildDiskFull)
    assert (disk.bytes, disk.step) == (200 * 2**20, "fills")
    beside = await error('run "litters" "head -c 400000000 /dev/zero >x; sleep 60"', disk=200 * 2**20)
    assert isinstance(beside, BuildDiskFull)

    flood = await error('run "floods" "yes flood"', log=2**20)
    assert isinstance(flood, BuildLogTooLong)
    assert (flood.bytes, flood.step) == (2**20, "floods")

    eats = await error("builtins.seq (builtins.length (builtins.genList (n: n) 1000000000)) tools", memory=256 * 2**20)
    assert isinstance(eats, BuildOutOfMemory)
    assert eats.step == "evaluating default.nix"

    deep = await error("let deep = n: [ (deep (n + 1)) ]; in builtins.deepSeq (deep 0) tools")
    assert isinstance(deep, EnvironmentBroken)
    assert (deep.path, deep.reason) == (
        "default.nix",
        "its evaluation never ends: stack overflow (possible infinite recursion)",
    )

    monkeypatch.setattr(evaluation, "EVALUATION_S", 3)
    loops = await error(LOOP)
    assert isinstance(loops, BuildTimeout)
    assert (loops.seconds, loops.step) == (3, "evaluating default.nix")


async def test_what_is_kept_is_not_collected(workshop: Workshop, nix_author: Path) -> None:
    async with daemon(NIX, workshop, network=False) as of:
        write(nix_author, "default.nix", SET + 'run "page" "echo ${program "tool" "echo hi"} >$out"')
        kept = await made(of, nix_author)
        write(nix_author, "default.nix", SET + 'run "other" "echo >$out"')
        other = await made(of, nix_author)
        keep(workshop.stores, "key", kept.roots)
        keep(workshop.stores, "key", kept.roots)
        await _exec(of, "nix-store", "--gc")
    stored = {path.name for path in (workshop.stores / "nix/store").iterdir()}
    assert {Path(path).name for path in kept.closure.paths} <= stored
    assert Path(other.roots[0]).name not in stored
    assert [path.name for path in (workshop.stores / ROOTS / "key").iterdir()] == ["0"]


async def test_a_cache_that_is_signed_saves_the_build(workshop: Workshop, nix_author: Path, tmp_path: Path) -> None:
    write(nix_author, "default.nix", SET + 'run "page" "echo made; echo ${program "tool" "echo hi"} >$out"')
    async with daemon(NIX, workshop, network=False) as of:
        first = await made(of, nix_author)
        await _exec(of, "nix-store", "--generate-binary-cache-key", "site", f"{WORK}/key", f"{WORK}/public")
        to = f"file://{WORK}/cache?compression=zstd&secret-key={WORK}/key"
        await _exec(of, "nix", "--extra-experimental-features", "nix-command", "copy", "--to", to, *first.roots)
        key = (of.folder / "work/public").read_text().strip()
        shutil.copytree(of.folder / "work/cache", tmp_path / "cache")

    async def again(number: int, key: str) -> list[Line]:
        stores = tmp_path / str(number)
        shutil.copytree(tmp_path / "cache", stores / "cache")
        said: list[Line] = []
        async with daemon(builds((Cache(key, folder="cache"),)), replace(workshop, stores=stores), network=False) as of:
            assert await made(of, nix_author, said) == first
        return said

    assert Log("made") not in await again(1, key)
    # What others have signed is built.
    assert Log("made") in await again(2, "site:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")


# --------------------------------------------------------------------------- the builder
async def inputs(workshop: Workshop, folder: Path) -> Inputs:
    builder = NixBuilder()
    declared = builder.detect(folder)
    assert declared is not None
    return await builder.inputs(folder, declared, PLATFORM, workshop, lambda _: None)


async def image(workshop: Workshop, folder: Path, name: str, said: list[Line] | None = None) -> str:
    builder = NixBuilder()
    of = await inputs(workshop, folder)
    found = Found("nix", builder.version, (), "k" * 64, PLATFORM)
    order = Order(folder, found, of, name, {}, 0, workshop)
    return await builder.build(order, ([] if said is None else said).append)


async def test_the_key_is_what_the_environment_depends_on(
    workshop: Workshop, nix_author: Path, small_server: Server, tmp_path: Path
) -> None:
    write(nix_author, "default.nix", SET + 'run "page" "cp -r ${./words} $out"')
    words = nix_author / "words"
    words.mkdir()
    (words / "text").write_text("one")
    first = await inputs(workshop, nix_author)
    (nix_author / "notebook.ipynb").write_text("{}")
    (words / ".git").mkdir()  # as a submodule's, of older versions of git
    (words / ".git" / "HEAD").write_text("ref: refs/heads/main")
    os.utime(words / "text", (1, 1))
    (words / "text").chmod(0o600)
    assert await inputs(workshop, nix_author) == first
    assert first.pinning == "reproducible"
    assert NixBuilder().version.startswith("2.26-2-")
    other = NixBuilder().version
    (tmp_path / "kept/current/server.json").write_text(
        json.dumps(described(replace(small_server, tools=small_server.program)))
    )
    assert NixBuilder().version != other
    (words / "text").write_text("two")
    assert (await inputs(workshop, nix_author)).digest != first.digest


async def test_two_empty_stores_give_one_image(
    workshop: Workshop,
    nix_author: Path,
    small_server: Server,
    engine: docker.DockerClient,
    installation: str,
    tmp_path: Path,
) -> None:
    assert small_server.closure.paths
    write(nix_author, "default.nix", SET + '[ (program "tool" "echo hi") kernel ]')
    again = replace(workshop, stores=tmp_path / "again")
    said: list[Line] = []
    name = f"repolaunch-{installation}-env:test"
    try:
        made_of = await inputs(workshop, nix_author)
        first = await image(workshop, nix_author, name, said)
        await asyncio.to_thread(shutil.copytree, nix_author, tmp_path / "copy")
        assert await inputs(again, tmp_path / "copy") == made_of
        assert await image(again, tmp_path / "copy", name) == first
        config = engine.images.get(first).attrs["Config"]
        labels = {"repolaunch.installation": installation}
        ran = engine.containers.run(
            name, ["sh", "-c", "tool; id -u; repolaunch-singleuser"], labels=labels, remove=True, read_only=True
        )
    finally:
        engine.images.remove(name, force=True)
    assert ran == b"hi\n1000\nserver\n"
    variables = dict(one.split("=", 1) for one in config["Env"])
    path = [unwrapped(one.removesuffix("/bin")) for one in variables["PATH"].split(":")]
    assert path == ["tool", "kernel", "", "", "tools", "repolaunch-singleuser"]
    assert [unwrapped(one.removesuffix("/share/jupyter")) for one in variables["JUPYTER_PATH"].split(":")] == [
        "tool",
        "kernel",
    ]
    assert not [line for line in said if isinstance(line, Log) and "no Jupyter kernel" in line.text]
    assert Step("assembling the image") in said
