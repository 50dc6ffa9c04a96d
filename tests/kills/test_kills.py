"""`kill -9` at random while launches and saves go on. `make test-kills` is the long run; `make test` has 10 rounds.

A failing run is repeated with its seed: `make test-kills ROUNDS=10 SEED=…`. The order of victims and the moments of
their deaths follow from it; what the load does at that moment is the machine's own.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

import pytest

from launcher.operate.installation import free_port
from tests.fixtures.service import Service
from tests.kills.machine import Machine
from tests.kills.tally import Tally

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.repos import GitHost

pytestmark = pytest.mark.engine
ROUNDS = int(os.environ.get("KILL_ROUNDS") or 10)
SEED = int(os.environ.get("KILL_SEED") or secrets.randbelow(10**6))


@pytest.mark.timeout(600 + 120 * ROUNDS)
async def test_kills(tmp_path: Path, git_daemon: GitHost, capsys: pytest.CaptureFixture[str]) -> None:
    """No acknowledged work is lost, no launch lies, nothing is left, sessions answer."""
    service, tally = Service(tmp_path / "data", free_port()), Tally()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    # A build engine that is this service's alone, to be killed too.
    service.env |= {"TMPDIR": str(temporary), "REPOLAUNCH_BUILD_ENGINE": os.environ.get("KILL_BUILDS") or "own"}
    began = time.monotonic()
    with capsys.disabled():
        print(f"\nkills: {ROUNDS} rounds, SEED={SEED}", flush=True)
    try:
        service.start()
        machine = Machine(service, git_daemon, tally, SEED)
        async with machine.at_work():
            while sum(tally.victims.values()) < ROUNDS:
                await machine.round()
                with capsys.disabled():
                    print(_line(machine, time.monotonic() - began), flush=True)
        await machine.end()
        tally.wrong += [f"left in TMPDIR: {path.name}" for path in temporary.iterdir()]
    finally:
        with capsys.disabled():
            print(tally.summary(), flush=True)
        service.remove()
    assert tally.wrong == [], f"SEED={SEED}"


def _line(machine: Machine, seconds: float) -> str:
    tally = machine.tally
    ended = sum(tally.launches.values())
    counts = (
        f"{sum(tally.victims.values())} kills, {ended} launches ended, {tally.saves} saves, {len(tally.wrong)} wrong"
    )
    told = "".join(f"\n    wrong: {one}" for one in machine.news())
    return f"kills: {seconds:4.0f} s, {counts}; {machine.last}{told}"
