"""A site's own cache of Guix: a real daemon, its real substituter. A stand-in: the seeds (tests/fixtures/guix.py)."""

from __future__ import annotations

import shutil
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders.guix import tool
from builders.guix.build import build
from builders.guix.caches import WITHOUT, copied_or_built, copying
from builders.guix.evaluate import evaluate
from builders.guix.files import look
from builders.guix.keeping import GuixKeeper, trusted
from builders.guix.source import prepare
from builders.lines import Line, Log, Step
from builders.site_cache import chosen
from builders.variables import STORE_CACHE
from tests.fixtures.cache_host import URL
from tests.fixtures.guix import repository

if TYPE_CHECKING:
    from pathlib import Path

    from builders.guix.build import Profile
    from builders.guix.evaluate import Evaluated
    from builders.guix.means import Means
    from builders.interface import Workshop
    from builders.sandbox import Daemon

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(1800)]
MANIFEST = """(use-modules (guix profiles) (stand-in seeds))
(packages->manifest
 (list (shell-package "mine" "1" "$BB mkdir -p $out/bin; $BB echo made; $BB echo hi >$out/bin/mine")))
"""
MADE = Log("mine-1> made")
SECRET = 0o600


class Site:
    """The first one, which has built something and filled its cache."""

    def __init__(self, workshop: Workshop, means: Means, folder: Path) -> None:
        self.workshop, self.means, self._folder = workshop, means, folder
        self.files = repository(folder / "author", manifest_scm=MANIFEST)
        self.key = ""

    async def fill(self) -> Profile:
        place = chosen()
        assert place is not None
        made, _ = await self.built(self.workshop, self.means)
        await GuixKeeper().keep(self.workshop, [made.path], place, lambda _: None)
        self.key = trusted(self.workshop.stores)
        return made

    async def built(self, workshop: Workshop, means: Means) -> tuple[Profile, list[Line]]:
        said: list[Line] = []
        files = look(self.files)
        assert files is not None

        async def evaluates(of: Daemon) -> Evaluated:
            return await evaluate(of, self.files, files, means, said.append)

        async def builds(of: Daemon) -> Profile:
            prepare(of, None)
            return await build(of, found.derivation, "test", means, said.append)

        found = await copied_or_built(means, workshop, evaluates, said.append)
        return await copied_or_built(means, workshop, builds, said.append), said

    def other(self, name: str) -> tuple[Workshop, Path]:
        """One with an empty store and the first one's cache, as its own; where that is."""
        stores = self._folder / name
        for folder in ("cache", "site"):
            shutil.copytree(self.workshop.stores / folder, stores / folder)
        return replace(self.workshop, stores=stores), stores / "cache/guix"


@pytest.fixture
def first_site(tmp_path: Path, guix_workshop: Workshop, guix_means: Means, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv(STORE_CACHE, "cache")
    return Site(guix_workshop, guix_means, tmp_path)


async def test_what_one_site_built_another_downloads(
    first_site: Site, tmp_path: Path, cache_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert copying(first_site.means, first_site.workshop.stores).daemon == tool.tool().daemon
    made = await first_site.fill()
    private = first_site.workshop.stores / "site/keys/guix"
    assert stat.S_IMODE(private.stat().st_mode) == SECRET
    workshop, _ = first_site.other("own")
    again, said = await first_site.built(workshop, first_site.means)
    assert again == made
    assert [line.text for line in said if isinstance(line, Step)] == ["evaluating manifest.scm", "building profile"]
    assert MADE not in said

    # Over http from a site that knows the key and has none of its own.
    shutil.copytree(first_site.workshop.stores / "cache", cache_host, dirs_exist_ok=True)
    monkeypatch.delenv(STORE_CACHE)
    means = replace(first_site.means, substitutes=(f"{URL}/good/guix",), keys=(first_site.key,))
    stores = replace(workshop, stores=tmp_path / "http")
    again, said = await first_site.built(stores, means)
    assert again == made
    assert MADE not in said


async def test_what_is_wrong_in_a_cache_is_refused_and_built(
    first_site: Site, tmp_path: Path, cache_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_host.name
    made = await first_site.fill()

    async def told(workshop: Workshop, means: Means = first_site.means) -> list[Line]:
        again, said = await first_site.built(workshop, means)
        assert again == made
        assert MADE in said
        assert not [line for line in said if isinstance(line, Log) and "Backtrace" in line.text]
        return said

    swapped, cache = first_site.other("swapped")
    nars = {path.name[33:]: path for path in (cache / "nar/gzip").iterdir()}
    nars["mine-1"].write_bytes(nars["profile"].read_bytes())
    assert Log("mine-1 in a cache is not what was signed: it is not copied.") in await told(swapped)
    other_key, _ = first_site.other("other-key")
    public = other_key.stores / "site/guix-key.pub"
    public.write_text(public.read_text().replace(first_site.key, f"{'0' * 8}{first_site.key[8:]}"))
    await told(other_key)
    unsigned, cache = first_site.other("unsigned")
    for info in cache.glob("*.narinfo"):
        lines = info.read_text().splitlines()
        info.write_text("".join(f"{line}\n" for line in lines if not line.startswith("Signature:")))
    await told(unsigned)
    garbage, cache = first_site.other("garbage")
    for info in cache.glob("*.narinfo"):
        info.write_text("garbage\n")
    assert Log(WITHOUT) in await told(garbage)
    monkeypatch.delenv(STORE_CACHE)
    for behaviour in ("error", "nonsense"):
        means = replace(first_site.means, substitutes=(f"{URL}/{behaviour}",))
        await told(replace(first_site.workshop, stores=tmp_path / behaviour), means)


async def test_a_cache_that_gives_nothing_is_waited_for_a_bounded_time(
    first_site: Site, tmp_path: Path, cache_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_host.name
    monkeypatch.setattr(tool, "QUIET_S", 20)
    monkeypatch.delenv(STORE_CACHE)
    means = replace(first_site.means, substitutes=(f"{URL}/silent",))
    _, said = await first_site.built(replace(first_site.workshop, stores=tmp_path / "silent"), means)
    assert Log(WITHOUT) in said
    assert MADE in said
