"""Nix environments and the notebook server from nothing: every file fetched by its digest, every path built.

Minutes, so all of them are long: `make test-closures`. A stand-in, as in `test_closure_environments.py`: the package
set is `deploy/closure`, for a closed network has no nixpkgs.
"""

from __future__ import annotations

import json
import secrets
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from builders.interface import Workshop
from builders.oci import record
from builders.oci.image import assemble
from builders.oci.table import Table
from builders.server import ABOUT, CURRENT, kept_folder
from deploy.closure import build
from tests.fixtures.authors import ANALYSIS, ANSWER, CELL, ROOT, built, layouts, publish, salted, write
from tests.fixtures.engine import BASE_IMAGE
from tests.fixtures.limited import image, run_cell
from tests.fixtures.service import phases, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker

    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service

pytestmark = [pytest.mark.engine, pytest.mark.long]


@pytest.fixture(scope="module")
def word() -> str:
    """No store has what depends on it."""
    return secrets.token_hex(8)


@pytest.fixture(scope="module")
def afresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workshop, Workshop]]:
    """Two empty stores, for the tests of this module."""
    folder = tmp_path_factory.mktemp("afresh")
    yield Workshop(folder / "one"), Workshop(folder / "two")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.usefixtures("whose_packages")
@pytest.mark.parametrize("layout", list(layouts(ANALYSIS)))
async def test_whichever_way_an_author_says_it_two_empty_stores_give_one_digest(
    afresh: tuple[Workshop, Workshop], word: str, engine: docker.DockerClient, tmp_path: Path, layout: str
) -> None:
    directory = write(tmp_path / "author", layouts(ANALYSIS)[layout] | salted(word))
    digests = []
    for number, workshop in enumerate(afresh):
        with image(engine, f"closure-{word}-{secrets.token_hex(4)}:1") as name:
            engine_id = await built(directory, workshop, name)
            if number == 0:
                assert run_cell(engine, workshop, name) == (0, ANSWER)
        recipe = record.find(workshop.stores, engine_id)
        assert recipe is not None
        with closing(Table(tmp_path / f"table-{number}")) as table:
            digests.append((engine_id, assemble(recipe, table).digest))
    assert digests[0] == digests[1]


async def test_the_notebook_server_built_again_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = kept_folder() / CURRENT
    lock = json.loads((kept / "lock.json").read_text())

    def same_files(*_: Any) -> dict[str, Any]:
        """What apt has today may be newer."""
        return dict(lock)

    monkeypatch.setattr(build, "lock", same_files)
    requirements = ROOT / "requirements"
    inputs = build.Inputs(BASE_IMAGE, "again", requirements / "singleuser.lock", requirements / "closure.lock")
    await build.build(inputs, tmp_path)
    assert json.loads((tmp_path / "again" / ABOUT).read_text()) == json.loads((kept / ABOUT).read_text())


@pytest.mark.usefixtures("whose_packages")
async def test_a_link_whose_environment_nobody_has_built_becomes_a_session(
    service: Service, git_daemon: GitHost
) -> None:
    repo = publish(git_daemon, layouts(ANALYSIS)["default.nix"] | salted(secrets.token_hex(8)))
    async with visiting(service) as visitor:
        await visitor.enter()
        events = await visitor.launch(repo.url, "main")
        assert phases(events)[-1] == "ready", events[-1]
        session = await visitor.session(events[-1]["url"])
        assert await session.run(CELL) == ANSWER
