"""What the build worker gives a process that reads a repository. The builder process is a script of the test's."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, cast

import pytest

from builders import site, verbs
from builders.errors import BuildTimeout
from builders.requests import Request
from builders.site import Site
from builders.verbs import Verbs

if TYPE_CHECKING:
    from pathlib import Path

    from builders.images import EngineImages
    from builders.registry import Registry


class Engine:
    """One that has no container."""

    async def containers(self, _: str) -> list[object]:
        return []


def worker(folder: Path, program: str, *checkouts: str) -> Verbs:
    """What a worker does, by a builder that is this program."""
    script = folder / "python"
    script.write_text(program)
    script.chmod(0o755)
    (folder / "scratch").mkdir()
    for name in checkouts:
        (folder / "checkouts" / name).mkdir(parents=True)
    told = Site("x", folder / "checkouts", folder, folder / "scratch", {"PATH": "/usr/bin:/bin"}, {}, 60, 1)
    return Verbs(told, cast("EngineImages", Engine()), cast("Registry", None), lambda _: None, python=str(script))


async def detected(made: Verbs, checkout: str, said: list[str] | None = None) -> list[str]:
    """The lines of `detect`."""
    said = [] if said is None else said

    async def send(text: str) -> None:
        said.append(text)

    await made.run(Request("detect", {"checkout": checkout, "space": ""}), send)
    return said


async def looked_at(folder: Path, program: str) -> list[str]:
    """The lines of `detect`, by a builder that is this program."""
    return await detected(worker(folder, program, "one"), "one")


async def test_reading_that_takes_for_ever_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cast("dict[str, int]", site.CPU_S), "read", 1)
    with pytest.raises(BuildTimeout) as caught:
        await looked_at(tmp_path, "#!/bin/sh\nwhile :; do :; done\n")
    assert vars(caught.value) == {"seconds": 1, "step": "reading the repository"}


async def test_reading_that_takes_all_memory_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's own way of saying it, with a memory that it cannot have."""
    monkeypatch.setattr(site, "READ_BYTES", 256 << 20)
    program = (
        f"#!{sys.executable}\n"
        "import asyncio, types\n"
        "from builders import __main__ as builders\n"
        "async def verb(asked, speaker):\n"
        "    speaker.step = 'looking'\n"
        "    return b'x' * (1 << 30)\n"
        "asked = types.SimpleNamespace(time_limit=None, verb=verb)\n"
        "speaker = builders.Speaker(as_json=True)\n"
        "speaker(asyncio.run(builders._final(asked, speaker)))\n"
    )
    [said] = await looked_at(tmp_path, program)
    assert said.strip() == ('{"type":"error","error":"BuildOutOfMemory","facts":{"bytes":268435456,"step":"looking"}}')


FOUND = '{"type":"environment","builder":"b","builder_version":"1","evidence":[],"key":"k","platform":"p"}'
SLOW = f"""#!/bin/sh
case "$3 $*" in
read*/checkouts/slow*) echo '{{"type":"unevaluated","builder":"nix"}}' ;;
detect*) until [ -e "$(dirname "$0")/go" ]; do sleep 0.05; done; echo '{FOUND}' ;;
*) echo '{FOUND}' ;;
esac
"""


async def test_slow_evaluations_keep_nobody_from_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "READS", 1)
    monkeypatch.setattr(verbs, "EVALUATIONS", 1)
    made = worker(tmp_path, SLOW, "slow", "quick")
    said: list[list[str]] = [[], []]
    slow = [asyncio.create_task(detected(made, "slow", lines)) for lines in said]
    async with asyncio.timeout(30):
        while not any(said):  # another process is waited for
            await asyncio.sleep(0.02)
        assert await detected(made, "quick") == [FOUND]
    assert not any(task.done() for task in slow)
    (tmp_path / "go").touch()
    waited = '{"type":"progress","text":"Waiting until other environments are evaluated","percent":null}'
    assert sorted(await asyncio.gather(*slow)) == [[FOUND], [waited, FOUND]]
