"""What the build worker gives a process that reads a repository. The builder process is a script of the test's."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

import pytest

from builders import verbs
from builders.errors import BuildTimeout
from builders.requests import Request
from builders.verbs import Site, Verbs

if TYPE_CHECKING:
    from pathlib import Path

    from builders.images import EngineImages
    from builders.registry import Registry


class Engine:
    """One that has no container."""

    async def containers(self, _: str) -> list[object]:
        return []


async def looked_at(folder: Path, program: str) -> list[str]:
    """The lines of `detect`, by a builder that is this program."""
    script = folder / "python"
    script.write_text(program)
    script.chmod(0o755)
    for name in ("checkouts", "scratch"):
        (folder / name).mkdir()
    (folder / "checkouts" / "one").mkdir()
    site = Site("x", folder / "checkouts", folder, folder / "scratch", {"PATH": "/usr/bin:/bin"}, {}, 60, 1)
    made = Verbs(site, cast("EngineImages", Engine()), cast("Registry", None), lambda _: None, python=str(script))
    said: list[str] = []

    async def send(text: str) -> None:
        said.append(text)

    await made.run(Request("detect", {"checkout": "one"}), send)
    return said


async def test_reading_that_takes_for_ever_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "READ_CPU_S", 1)
    with pytest.raises(BuildTimeout) as caught:
        await looked_at(tmp_path, "#!/bin/sh\nwhile :; do :; done\n")
    assert vars(caught.value) == {"seconds": 1, "step": "reading the repository"}


async def test_reading_that_takes_all_memory_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's own way of saying it, with a memory that it cannot have."""
    monkeypatch.setattr(verbs, "READ_BYTES", 256 << 20)
    program = (
        f"#!{sys.executable}\n"
        "import asyncio, types\n"
        "from builders import __main__ as builders\n"
        "async def verb(asked, speaker):\n"
        "    speaker.step = 'looking'\n"
        "    return b'x' * (1 << 30)\n"
        "asked = types.SimpleNamespace(time_limit=None, verb=verb)\n"
        "speaker = builders.Speaker()\n"
        "speaker(asyncio.run(builders._final(asked, speaker)))\n"
    )
    [said] = await looked_at(tmp_path, program)
    assert said.strip() == ('{"type":"error","error":"BuildOutOfMemory","facts":{"bytes":268435456,"step":"looking"}}')
