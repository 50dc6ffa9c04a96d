"""A site's own cache: what Nix has built is in it, signed, and another site copies it; a wrong one costs a build."""

from __future__ import annotations

import json
import stat
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders.lines import Line, Log, Step
from builders.nix.builder import LENIENT, WITHOUT, copied_or_built
from builders.nix.evaluate import evaluate
from builders.nix.files import look
from builders.nix.keeping import NixKeeper
from builders.nix.site import Cache, own_cache
from builders.nix.tool import NIX
from builders.sandbox import daemon
from builders.site_cache import Place, chosen
from builders.variables import NIX_CACHES, STORE_CACHE
from tests.fixtures.cache_host import CLOSED, URL
from tests.fixtures.nix import SET
from tests.integration.test_nix_build import PLATFORM, write

if TYPE_CHECKING:
    from pathlib import Path

    from builders.interface import Workshop
    from builders.nix.build import Made

pytestmark = pytest.mark.engine
PAGE = 'run "page" "echo made; echo ${program "tool" "echo hi"} >$out"'
SECRET = 0o600
HANGING_S = 120
"""Two tries of fifteen seconds and five to connect, a build, and a busy machine."""


class Author:
    """Somebody whose environment is built at sites with empty stores."""

    def __init__(self, workshop: Workshop, files: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.workshop, self.files, self._folder, self._patch = workshop, files, folder, monkeypatch
        self._count = 0

    async def at(self, workshop: Workshop) -> tuple[Made, list[Line]]:
        said: list[Line] = []
        files = look(self.files)
        assert files is not None
        async with daemon(NIX, workshop, network=False) as of:
            found = await evaluate(of, self.files, files, PLATFORM, lambda _: None)
        return await copied_or_built(workshop, found.kind, found.derivations, said.append), said

    async def elsewhere(self, *caches: Cache) -> tuple[Made, list[Line]]:
        """At another site, which has these caches."""
        self._count += 1
        self._patch.delenv(STORE_CACHE, raising=False)
        self._patch.setenv(NIX_CACHES, json.dumps([{"url": one.url, "key": one.key} for one in caches]))
        return await self.at(replace(self.workshop, stores=self._folder / f"site-{self._count}"))


@pytest.fixture
def author(workshop: Workshop, nix_author: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Author:
    write(nix_author, "default.nix", SET + PAGE)
    return Author(workshop, nix_author, tmp_path, monkeypatch)


async def kept(author: Author, monkeypatch: pytest.MonkeyPatch) -> tuple[Made, Cache]:
    """What the first site has built, and its cache as others name it."""
    monkeypatch.setenv(STORE_CACHE, f"{URL}/good")
    place = chosen()
    assert place is not None
    first, _ = await author.at(author.workshop)
    await NixKeeper().keep(author.workshop, first.roots, place, lambda _: None)
    (cache,) = own_cache(author.workshop.stores)
    return first, cache


async def test_what_one_site_built_another_downloads(
    author: Author, cache_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_cache(author.workshop.stores) == ()
    first, cache = await kept(author, monkeypatch)
    assert cache.url == f"{URL}/good/nix"
    private = author.workshop.stores / "site/keys/nix"
    assert stat.S_IMODE(private.stat().st_mode) == SECRET
    assert stat.S_IMODE(private.parent.stat().st_mode) == SECRET | stat.S_IXUSR
    assert cache.key.partition(":")[0] == private.read_text().partition(":")[0]
    everywhere = b"".join(contents(cache_host))
    assert private.read_text().partition(":")[2].encode() not in everywhere

    second, said = await author.elsewhere(cache)
    assert second == first
    assert Log("made") not in said
    assert {one.text for one in said if isinstance(one, Step)} >= {"page", "tool", "tools"}

    # A folder of the site, with the same key, and what it lacks is built.
    folder = Place(folder="own")
    await NixKeeper().keep(author.workshop, first.roots[:1], folder, lambda _: None)
    assert private.read_text().partition(":")[0] == cache.key.partition(":")[0]
    infos = (author.workshop.stores / "own/nix").glob("*.narinfo")
    assert all(f"Sig: {cache.key.partition(':')[0]}:" in info.read_text() for info in infos)


@pytest.mark.long
async def test_what_is_wrong_in_a_cache_is_refused_with_a_sentence_and_built(
    author: Author, cache_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, cache = await kept(author, monkeypatch)
    host = "cache.example.org:8000"

    async def told(wrong: Cache) -> list[str]:
        found, said = await author.elsewhere(wrong)
        assert found == first
        assert Log("made") in said
        return [line.text for line in said if isinstance(line, Log) and line.text != "made"]

    unsigned = f"page in the cache {host} is not signed with a key that this site trusts: it is not copied."
    assert unsigned in await told(replace(cache, key="site:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
    assert LENIENT in await told(replace(cache, url=f"{URL}/nonsense/nix"))
    (away,) = await told(replace(cache, url=f"{URL}/error/nix"))
    assert away == f"The cache {host} does not answer as one (HTTP error 500): it is not asked again."
    (closed,) = await told(replace(cache, url=CLOSED))
    assert closed.startswith("The cache cache.example.org:8001 does not answer as one (Could not connect to server")

    infos = {name: cache_host / "nix" / f"{path[11:43]}.narinfo" for name, path in named(first)}
    texts = {name: info.read_text() for name, info in infos.items()}
    nars = {name: cache_host / "nix" / text.split("URL: ")[1].split()[0] for name, text in texts.items()}
    good = nars["page"].read_bytes()
    # Signed, and another file than was signed: only that one is built.
    nars["page"].write_bytes(nars["tool"].read_bytes())
    said = await told(cache)
    assert LENIENT in said
    assert WITHOUT not in said
    nars["page"].write_bytes(good)
    infos["page"].write_text("".join(f"{line}\n" for line in texts["page"].splitlines() if not line.startswith("Sig:")))
    assert unsigned in await told(cache)
    infos["page"].write_text(texts["page"].replace("References: ", "References: ../../etc "))
    assert LENIENT in await told(cache)


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def named(made: Made) -> list[tuple[str, str]]:
    return [(path.partition("-")[2], path) for path in made.closure.paths]


@pytest.mark.long
@pytest.mark.usefixtures("cache_host")
@pytest.mark.parametrize("behaviour", ["silent", "drip"])
async def test_a_cache_that_hangs_is_waited_for_a_bounded_time(
    author: Author, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    first, cache = await kept(author, monkeypatch)
    began = time.monotonic()
    found, said = await author.elsewhere(replace(cache, url=f"{URL}/{behaviour}/nix"))
    assert found == first
    assert Log("made") in said
    if behaviour == "drip":
        assert Log(WITHOUT) in said
    assert time.monotonic() - began < HANGING_S
