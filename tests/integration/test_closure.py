"""The notebook server of assembled images, as set-up keeps it: given to a store, and what of it is where."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builders.errors import BuildBroken
from builders.server import CURRENT, PUBLIC_KEY, fill, kept_folder, kept_server, server_in
from tests.fixtures.limited import server_python

if TYPE_CHECKING:
    from builders.interface import Workshop

pytestmark = pytest.mark.engine


def test_the_server_is_the_one_program_of_its_folder_and_brings_no_kernel(filled: Workshop) -> None:
    server = kept_server()
    assert [path.name for path in (filled.stores / server.program[1:] / "bin").iterdir()] == ["repolaunch-singleuser"]
    environment = Path(server_python(filled.stores)).parents[1]
    assert not (filled.stores / str(environment)[1:] / "share/jupyter/kernels").exists()


async def test_a_cache_signed_by_somebody_else_fills_nothing(tmp_path: Path, workshop: Workshop) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(kept_folder() / CURRENT, kept)
    name, _ = (kept / PUBLIC_KEY).read_text().split(":")
    (kept / PUBLIC_KEY).write_text(f"{name}:{'A' * 43}=")
    with pytest.raises(BuildBroken, match="could not be copied into the store"):
        await fill(workshop, kept, (kept_server().tools,))
    assert not (workshop.stores / kept_server().tools[1:]).exists()


async def test_a_store_that_has_the_server_is_not_filled_again(filled: Workshop) -> None:
    lines: list[Any] = []
    before = (filled.stores / "server.json").stat()
    await server_in(filled, lines.append)
    assert lines == []
    assert (filled.stores / "server.json").stat().st_ino == before.st_ino
    assert json.loads((filled.stores / "server.json").read_text())["program"] == kept_server().program
