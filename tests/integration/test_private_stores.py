"""A private repository's environment is in a store of its own: who names exactly what is there gets nothing.

On a real Nix; the Guix is the stand-in of tests/fixtures/guix.py.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders.catalogue import BUILDERS, KEEPERS
from builders.collect import stores as collected
from builders.collect.clear import clear_stores
from builders.detect import find
from builders.errors import BuilderError
from builders.guix.builder import Guix
from builders.interface import Order
from builders.keep import keep
from builders.lines import Held
from builders.nix.builder import NixBuilder
from builders.nix.tool import NIX
from builders.oci import held, record, view
from builders.oci.provenance import about
from builders.oci.provenance import save as save_papers
from builders.oci.push import publish, push_recorded
from builders.sandbox import daemon
from builders.site_cache import Place
from builders.spaces import opened, spaces
from builders.verify import verify
from tests.fixtures.guix import repository
from tests.fixtures.nix import SET, say

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from builders.guix.means import Means
    from builders.interface import Workshop
    from builders.lines import Line
    from builders.oci.image import Recipe
    from builders.server import Server
    from tests.fixtures.guix import StandInChannel
    from tests.fixtures.registry import RunningRegistry

pytestmark = pytest.mark.engine
PLATFORM = "linux/amd64"
SPACE, OTHER = "a" * 32, "b" * 32
SECRET = f"between-us-{secrets.token_hex(8)}"
HERS = SET + f'[ (program "tool" "echo {SECRET}") kernel ]'
EVALUATED = (
    'builtins.storePath "{path}"',
    'import "{path}/bin/tool"',
    'builtins.throw (builtins.readFile "{path}/bin/tool")',
    "builtins.throw (builtins.readFile {path}/bin/tool)",
    'run "x" "cat ${{builtins.storePath {path}}}/bin/tool >$out"',
    'run "x" "cat ${{builtins.appendContext "{path}" {{ "{path}".path = true; }} }}/bin/tool >$out"',
    'run "x" "cat ${{builtins.appendContext "{path}" {{ "{derivation}".outputs = [ "out" ]; }} }}/bin/tool >$out"',
)
"""What somebody else's default.nix says who was told the exact names."""
TYPED = """
cat {path}/bin/tool; cat {derivation}; ls -R {path}; nix-store --realise {path}; nix-store --realise {derivation}
nix-store --query --references {path}; nix-store --export {path}; nix-store --dump {path}; nix path-info {path}
nix-store --add-root /tmp/root --realise {path}; nix store cat {path}/bin/tool; nix copy --to file:///tmp/c {path}
cat /nix/store/.links/* /nix/var/nix/db/db.sqlite
"""


def hush(_: Line) -> None:
    """Nobody listens."""


def within(workshop: Workshop, space: str) -> Workshop:
    """The workshop of a private repository, as a builder process makes it."""
    site = workshop.stores
    return replace(workshop, stores=opened(site, space), space=space, site=site)


async def built(workshop: Workshop, folder: Path, name: str, said: list[Line] | None = None) -> tuple[Order, str]:
    tell = hush if said is None else said.append
    found, inputs = await find(folder, BUILDERS, PLATFORM, workshop, tell)
    order = Order(folder, found, inputs, name, {}, 0, workshop)
    return order, await NixBuilder().build(order, tell)


async def attacked(workshop: Workshop, author: Path, names: dict[str, str], said_by: tuple[str, ...]) -> None:
    """Somebody who was told the names, in another store."""
    for text in (one.format(**names) for one in said_by):
        (author / "default.nix").write_text(SET + text)
        said: list[Line] = []
        with pytest.raises(BuilderError) as caught:
            await built(workshop, author, "repolaunch-test-env:attack", said)
        assert SECRET not in repr([said, vars(caught.value)]), text
    async with daemon(NIX, workshop, network=False) as of:
        _, seen = await say(of, "sh", "-c", TYPED.format(**names))
    assert seen.count("No such file") > 1, seen
    assert SECRET not in seen


@pytest.mark.timeout(600)
async def test_who_names_what_is_in_a_private_store_gets_nothing_and_it_goes_as_a_whole(
    workshop: Workshop, nix_author: Path, small_server: Server, engine: docker.DockerClient, installation: str
) -> None:
    assert small_server.closure.paths
    site = replace(workshop, views=True)
    hers, name = within(site, SPACE), f"repolaunch-{installation}-env:hers"
    (nix_author / "default.nix").write_text(HERS)
    try:
        order, engine_id = await built(hers, nix_author, name)
        recipe = record.find(hers.stores, engine_id)
        assert recipe is not None
        names = named(recipe, order)
        assert SECRET in (hers.stores / names["path"][1:] / "bin/tool").read_text()
        seen = view.anywhere(site.stores, engine_id)
        assert seen is not None
        assert seen.stores == hers.stores
        assert view.find(site.stores, engine_id) is None
        assert not (site.stores / "nix").exists(), "the site's own store was not even begun"

        await attacked(site, nix_author, names, EVALUATED[-3:-1])
        assert await kept(site) == 0, "nothing of it goes to the site's cache"

        things = {(one.kind, one.name, one.about.get("space")) for one in holdings(site)}
        assert things == {("environment", order.found.key, SPACE)}
        assert held.hold(seen, "f" * 64, installation)
        collected.forget(hers.stores, "environment", order.found.key, SPACE)
        await clear_stores(site, hush)
        assert (hers.stores / names["path"][1:]).exists(), "a session runs on it"
        held.release(hers.stores, "f" * 64)
        await clear_stores(site, hush)
        assert spaces(site.stores) == []
        assert list((site.stores / "private").iterdir()) == []
        assert not held.hold(seen, "f" * 64, installation)
    finally:
        if engine.images.list(name):
            engine.images.remove(name, force=True)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_another_private_repository_gets_nothing_either_and_does_not_learn_what_was_built(
    workshop: Workshop, nix_author: Path, small_server: Server, engine: docker.DockerClient, installation: str
) -> None:
    assert small_server.closure.paths
    images = [f"repolaunch-{installation}-env:{one}" for one in ("hers", "his", "everybodys")]
    (nix_author / "default.nix").write_text(HERS)
    try:
        order, engine_id = await built(within(workshop, SPACE), nix_author, images[0])
        recipe = record.find(order.workshop.stores, engine_id)
        assert recipe is not None
        keys = {order.found.key}
        for space, name in zip((OTHER, ""), images[1:], strict=True):
            (nix_author / "default.nix").write_text(HERS)
            said: list[Line] = []
            theirs, _ = await built(within(workshop, space) if space else workshop, nix_author, name, said)
            assert theirs.inputs == order.inputs, "the same declaration"
            keys.add(theirs.found.key)
            assert any("tool" in getattr(one, "text", "") for one in said), "it is built for them"
        assert len(keys) == len(images)
        (nix_author / "default.nix").write_text(HERS.replace(SECRET, "nothing"))
        third = within(workshop, "c" * 32)
        await built(third, nix_author, images[1])
        await attacked(third, nix_author, named(recipe, order), EVALUATED)
    finally:
        for name in images:
            if engine.images.list(name):
                engine.images.remove(name, force=True)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_it_is_verified_like_any_other(
    workshop: Workshop, nix_author: Path, small_server: Server, registry: RunningRegistry, engine: docker.DockerClient
) -> None:
    assert small_server.closure.paths
    hers, name = within(workshop, SPACE), f"repolaunch-test-env:{secrets.token_hex(6)}"
    (nix_author / "default.nix").write_text(HERS)
    order, engine_id = await built(hers, nix_author, name)
    engine.images.remove(name)
    save_papers(hers.stores, engine_id, about(order))
    repository = f"{registry.host}/t{secrets.token_hex(6)}/private/{SPACE}/env"
    digest = push_recorded(engine_id, f"{repository}:{order.found.key}", hers.stores, hush)
    assert digest is not None
    publish(hers.stores, engine_id, f"{repository}:{order.found.key}", digest)
    verified = await verify(nix_author, f"{repository}@{digest}", PLATFORM, workshop, hush)
    assert (verified.verdict, verified.difference) == ("identical", "")


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_guix_has_a_store_for_each_namespace_too(
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
    guix, site, name = Guix(guix_means), guix_workshop, f"repolaunch-{installation}-env:guix"
    hers = replace(within(site, SPACE), views=True)
    before = set((site.stores / "gnu/store").glob("*"))
    try:
        found, inputs = await find(directory, (guix,), PLATFORM, hers, hush)
        engine_id = await guix.build(Order(directory, found, inputs, name, {}, 0, hers), hush)
        recipe = record.find(hers.stores, engine_id)
        assert recipe is not None
        (profile,) = recipe.root
        assert (hers.stores / profile[1:]).exists()
        assert set((site.stores / "gnu/store").glob("*")) == before
        read = f'(use-modules (ice-9 rdelim))\n(error (call-with-input-file "{profile}/manifest" read-string))\n'
        his = repository(tmp_path / "s", channels_scm=channel.scheme(channel.commits[0]), manifest_scm=read)
        said: list[Line] = []
        with pytest.raises(BuilderError) as caught:
            await find(his, (guix,), PLATFORM, within(site, OTHER), said.append)
        assert "No such file" in repr([said, vars(caught.value)])
        things = {(one.kind, one.about.get("space")) for one in holdings(site)}
        assert {("environment", SPACE), ("channels", SPACE), ("channels", OTHER)} <= things
        names = [one for one in holdings(site) if one.about.get("space") == SPACE]
        for one in names:
            collected.forget(hers.stores, one.kind, one.name, SPACE)
        assert not [one for one in holdings(site) if one.about.get("space") == SPACE]
        assert await asyncio.to_thread(collected.leave, hers.stores)
        assert spaces(site.stores) == [OTHER]
    finally:
        if engine.images.list(name):
            engine.images.remove(name, force=True)


def named(recipe: Recipe, order: Order) -> dict[str, str]:
    (path,) = (one for one in recipe.root if one.endswith("-tool"))
    derivation = next(one for one in order.inputs.digest.split()[1:] if one.partition("^")[0].endswith("-tool.drv"))
    return {"path": path, "derivation": derivation.partition("^")[0]}


def holdings(site: Workshop) -> list[Held]:
    from builders.spaces import all_stores  # noqa: PLC0415  # here alone

    lines = (line for space, folder in all_stores(site.stores) for line in collected.held(folder, space))
    return [line for line in lines if isinstance(line, Held)]


async def kept(site: Workshop) -> int:
    count = await keep(site, KEEPERS, Place(folder="own"), hush)
    assert json.dumps(sorted(str(one) for one in (site.stores / "own").rglob("*.narinfo"))) == "[]"
    return count
