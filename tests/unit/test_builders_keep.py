"""A site's own cache: where it may be, its keys, what is still to be copied, and when that is tried."""

from __future__ import annotations

import asyncio
import stat
import sys
from typing import TYPE_CHECKING, cast

import pytest

from builders import verbs
from builders.errors import BuildBroken
from builders.interface import Workshop
from builders.keep import keep
from builders.nix.keeping import public
from builders.oci import record
from builders.site import Site
from builders.site_cache import KEYS, Place, chosen, private_key, public_key, save_keys
from builders.verbs import Verbs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builders.images import EngineImages
    from builders.lines import Tell
    from builders.oci.image import Recipe
    from builders.registry import Registry
    from tests.fixtures.closures import Shelf


def test_where_a_cache_may_be() -> None:
    assert chosen("") is None
    assert chosen("https://cache.example/x/") == Place(url="https://cache.example/x")
    assert chosen("shared/cache") == Place(folder="shared/cache")
    place = chosen("http://cache.example")
    assert place is not None
    assert (place.part("nix"), Place(folder="a").part("nix")) == (
        Place(url="http://cache.example/nix"),
        Place(folder="a/nix"),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "/srv/cache",
        "../cache",
        "a/../../b",
        "https://",
        "https://x/?secret-key=/etc/passwd",
        "https://x/ y",
        'a"b',
        ".",
        "./.",
        "nix",
        "nix/store",
        "./views",
        "site/keys",
        "images/",
    ],
)
def test_where_it_may_not_be(wrong: str) -> None:
    with pytest.raises(BuildBroken, match="neither an http address nor a folder in the stores"):
        chosen(wrong)


def test_a_private_key_is_the_builders_alone(tmp_path: Path) -> None:
    assert (private_key(tmp_path, "nix"), public_key(tmp_path, "nix")) == ("", "")
    save_keys(tmp_path, "nix", "secret", "open")
    save_keys(tmp_path, "nix", "secret", "open")
    assert (private_key(tmp_path, "nix"), public_key(tmp_path, "nix")) == ("secret", "open")
    assert stat.S_IMODE((tmp_path / KEYS).stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / KEYS).iterdir()] == [0o600]


def test_the_public_half_of_a_key_of_nix() -> None:
    key = "site-1:" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQg=="
    assert public(key) == "site-1:QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="
    for wrong in ("site-1:QUFB", "QUFB", "site-1:!"):
        with pytest.raises(BuildBroken):
            public(wrong)


class Copied:
    """A Keeper that notes what it was asked for."""

    store = "/nix/store/"

    def __init__(self, name: str = "nix", *, addresses: bool = True) -> None:
        self.name = name
        self.asked: list[tuple[Sequence[str], Place]] = []
        self._addresses = addresses

    def fills(self, place: Place) -> bool:
        return self._addresses or not place.url

    async def keep(self, workshop: Workshop, paths: Sequence[str], place: Place, tell: Tell) -> None:
        assert workshop.stores.is_dir()
        assert callable(tell)
        self.asked.append((paths, place))


def saved(shelf: Shelf, name: str) -> tuple[Recipe, str]:
    program = shelf.add(name, {"bin/x": b"x"})
    recipe = shelf.recipe(root=[program])
    engine_id = f"sha256:{name * 8}"
    record.save(recipe, engine_id)
    (shelf.stores / "images" / f"{name * 8}.about.json").write_text("{}")
    return recipe, engine_id


async def test_each_image_is_copied_once_to_each_cache(shelf: Shelf) -> None:
    workshop, keeper, place = Workshop(shelf.stores), Copied(), Place(folder="own")
    first, _ = saved(shelf, "aaaaaaaa")
    assert await keep(workshop, (keeper,), place, lambda _: None) == 1
    assert await keep(workshop, (keeper,), place, lambda _: None) == 0
    second, engine_id = saved(shelf, "bbbbbbbb")
    assert await keep(workshop, (keeper,), place, lambda _: None) == 1
    assert keeper.asked == [(sorted(one.root), place) for one in (first, second)]
    assert await keep(workshop, (keeper,), Place(folder="other"), lambda _: None) == 2
    # What the store has let go is not asked for, and what is forgotten leaves no note.
    record.remove(shelf.stores, engine_id)
    assert [path.name for path in (shelf.stores / "images").glob("*.kept")] == ["a" * 64 + ".kept"]
    for path in first.root:
        shelf.place(path).rename(shelf.stores / "gone")
    assert await keep(workshop, (keeper,), place, lambda _: None) == 0
    assert len(keeper.asked) == 4


async def test_what_a_keeper_cannot_fill_is_not_noted_as_kept_by_it(shelf: Shelf) -> None:
    """One that learns it with a later version copies what was built before."""
    workshop, place = Workshop(shelf.stores), Place(url="https://cache.example")
    able, unable = Copied(), Copied("guix", addresses=False)
    image, _ = saved(shelf, "aaaaaaaa")
    for copied in (1, 0):
        assert await keep(workshop, (able, unable), place, lambda _: None) == copied
    assert (len(able.asked), unable.asked) == (1, [])
    learnt = Copied("guix")
    for copied in (1, 0):
        assert await keep(workshop, (able, learnt), place, lambda _: None) == copied
    assert learnt.asked == [(sorted(image.root), place)]


async def test_it_is_filled_at_the_beginning_after_each_push_and_again_where_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The builder process is a script: it fails the first time."""
    script = tmp_path / "python"
    log = tmp_path / "log"
    failed = '{"type":"error","error":"BuildBroken","facts":{"reason":"away"}}'
    first = f'[ "$(wc -l <{log})" = 1 ]'
    known = '{"type":"known","digest":""}'
    script.write_text(f"#!/bin/sh\necho \"$*\" >>{log}\n{first} && echo '{failed}' && exit 1\necho '{known}'\n")
    script.chmod(0o755)
    monkeypatch.setattr(verbs, "KEEP_AGAIN_S", 0.1)
    site = Site("x", tmp_path, tmp_path, tmp_path / "scratch", {"PATH": "/usr/bin:/bin"}, {}, 60, 1)
    made = Verbs(site, cast("EngineImages", None), cast("Registry", None), lambda _: None, python=str(script))
    filling = asyncio.create_task(made.keep())

    async def asked(times: int) -> list[str]:
        async with asyncio.timeout(60):
            while not log.exists() or len(log.read_text().splitlines()) < times:
                await asyncio.sleep(0.02)
        return log.read_text().splitlines()

    try:
        await asked(2)
        await asyncio.sleep(0.5)
        assert len(await asked(2)) == 2, "it was filled: nobody asks again"
        made._pushed.set()
        said = await asked(3)
    finally:
        filling.cancel()
    assert all("builders keep --json --time-limit=21600 --mark=repolaunch.installation=x" in line for line in said), (
        said
    )
    assert sys.executable not in said[0]
