"""How much room there is, and what is done where there is too little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builders.text import says_full as builder_says_full
from launcher import disks
from launcher.disks import Disks, says_full
from launcher.errors import DiskLow
from launcher.web.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_disk_below_the_floor_is_named_with_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "free_bytes", lambda path: 80 * 2**20 if path.name == "small" else 5 * 2**30)
    places = {"data folder": tmp_path, "container engine": tmp_path / "small"}
    with pytest.raises(DiskLow) as refused:
        await Disks(places, 2**30).check()
    assert vars(refused.value) == {"place": "container engine", "free": "80 MiB", "floor": "1.0 GiB"}
    await Disks(places, 2**30).check_one("data folder")
    await Disks(places, 0).check()


async def test_a_place_that_cannot_be_looked_at_refuses_nobody(tmp_path: Path) -> None:
    room = Disks({"container engine": tmp_path / "in another machine"}, 2**60)
    await room.check()
    metrics = Metrics()
    await room.measure(metrics.disk_free)
    assert b"repolaunch_disk_free_bytes{" not in metrics.text()


async def test_what_is_free_is_a_metric(tmp_path: Path) -> None:
    metrics = Metrics()
    await Disks({"data folder": tmp_path}, 0).measure(metrics.disk_free)
    assert b'repolaunch_disk_free_bytes{place="data folder"} ' in metrics.text()


@pytest.mark.parametrize(
    "text,full",
    [
        ("write /var/lib/docker/x: no space left on device", True),
        ("dd: error writing 'x': No space left on device", True),
        ("fatal: write error: Disk quota exceeded", True),
        ("device or resource busy", False),
    ],
)
def test_words_that_say_that_a_disk_is_full(text: str, full: bool) -> None:
    assert says_full(text) is full
    assert builder_says_full(text) is full
