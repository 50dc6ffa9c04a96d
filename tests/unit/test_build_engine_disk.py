"""How what a build wrote is counted (deploy/images/build-engine/disk.py)."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

MIB = 2**20
STEP = "a" * 25


@pytest.fixture(scope="module")
def disk() -> ModuleType:
    place = Path(__file__).parents[2] / "deploy" / "images" / "build-engine" / "disk.py"
    spec = importlib.util.spec_from_file_location("build_engine_disk", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Engine:
    """Its data root, and one build's notes."""

    def __init__(self, root: Path, disk: ModuleType) -> None:
        self.root, self.steps = root, root / "steps"
        (root / "overlay2" / "l").mkdir(parents=True)
        self.steps.mkdir()
        self.written: Any = disk.Written(root, self.steps, "build")

    def folder(self, name: str) -> Path:
        made = self.root / "overlay2" / name / "diff"
        made.mkdir(parents=True)
        return made

    def step(self, folder: Path, before: int = 0) -> Path:
        bundle = self.root / f"bundle-{folder.parent.name}"
        bundle.mkdir()
        one = {"path": str(folder), "device": folder.stat().st_dev, "before": before}
        note = {"bundle": str(bundle), "folders": [one]}
        (self.steps / f"build-{folder.parent.name}.json").write_text(json.dumps(note))
        return bundle

    def look(self, *, alone: bool = False) -> int:
        return int(self.written.look([os.getpid()], alone=alone))


@pytest.fixture
def engine(tmp_path: Path, disk: ModuleType) -> Engine:
    return Engine(tmp_path, disk)


def filled(path: Path, size: int = MIB) -> None:
    path.write_bytes(os.urandom(size))


def test_a_folder_deeper_than_paths_reach_is_counted(engine: Engine) -> None:
    top = engine.folder(STEP)
    engine.step(top)
    fd = os.open(top, os.O_RDONLY)
    for _ in range(22):
        os.mkdir("d" * 250, dir_fd=fd)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    with os.fdopen(os.open("big", os.O_CREAT | os.O_WRONLY, dir_fd=fd), "wb") as file:
        file.write(os.urandom(MIB))
    os.close(fd)
    assert engine.look() >= MIB


def test_many_empty_files_cost_something(engine: Engine) -> None:
    top = engine.folder(STEP)
    engine.step(top)
    for number in range(2048):
        (top / str(number)).touch()
    assert engine.look() >= MIB


def test_a_file_without_a_name_counts_while_it_is_open(engine: Engine) -> None:
    top = engine.folder(STEP)
    engine.step(top)
    with (top / "x").open("wb") as file:
        (top / "x").unlink()
        file.write(os.urandom(MIB))
        file.flush()
        assert engine.look() >= MIB
    with (top / "y").open("wb") as file:
        file.write(os.urandom(2 * MIB))
        file.flush()
        named = engine.look()
        (top / "y").unlink()
        assert engine.look() == named, "once, not twice"


def test_a_step_that_ended_between_two_looks_is_looked_at_once_more(engine: Engine) -> None:
    top = engine.folder(STEP)
    bundle = engine.step(top)
    engine.look()
    filled(top / "x")
    bundle.rmdir()
    assert engine.look() >= MIB


def test_what_was_there_before_does_not_count(engine: Engine) -> None:
    top = engine.folder(STEP)
    filled(top / "x")
    engine.step(top, before=2 * MIB)
    assert engine.look() == 0


def test_what_the_engine_writes_belongs_to_the_build_that_is_alone(engine: Engine) -> None:
    filled(engine.folder("b" * 64) / "a layer that was fetched")
    filled(engine.folder("c" * 25) / "x")
    assert engine.look(alone=False) == 0
    filled(engine.folder("d" * 25) / "x")
    assert MIB <= engine.look(alone=True) < 2 * MIB
