"""Whether an engine sees the stores: one of this machine, and one that sees other folders than we do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import docker
import pytest

from launcher.operate import stores
from launcher.operate.installation import open_installation
from launcher.settings import Settings
from tests import made
from tests.fixtures.build_engine import shared_build_engine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.engine
def test_an_engine_that_sees_other_folders_than_we_do_is_found_out(engine: docker.DockerClient, tmp_path: Path) -> None:
    installation = open_installation(tmp_path / "data")
    made.note(installation.id)
    running = shared_build_engine()
    here, there = (Settings(stores=str(folder)) for folder in (tmp_path / "stores", running.stores))
    with contextlib.closing(docker.DockerClient(base_url=f"unix://{running.folder / 'engine.sock'}")) as other:
        assert stores.are_seen(engine, installation, here)
        assert not stores.are_seen(other, installation, here)
        assert stores.are_seen(other, installation, there)
        for client in (engine, other):
            assert not client.containers.list(all=True, filters={"label": installation.label})
    assert not stores.are_seen(engine, installation, here.model_copy(update={"mount_stores": False}))
    assert not list((tmp_path / "stores").iterdir())
