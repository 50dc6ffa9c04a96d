"""A tree is looked at once, however many wait, and whoever leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.builds.remembered import Remembered
from launcher.errors import EnvironmentMissing
from launcher.events import Event, Log, Stage
from launcher.model import Checkout, Environment, RepoRef, ResolvedRepo

if TYPE_CHECKING:
    from launcher.stages import Tell

REPO = ResolvedRepo(RepoRef("git", "a/b", "https://git.example/a.git", "main"), "c" * 40, "refs/heads/main")
CHECKOUT = Checkout(REPO, Path("/checkouts/one"), "git:1")
FOUND = Environment("nix", "1", ("flake.nix",), "k" * 64, "linux/amd64", "reproducible")
FIRST, SECOND = Log(Stage.DETECT, "evaluating"), Log(Stage.DETECT, "fetching")


class Rows:
    """What was found, in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Environment] = {}

    async def get(self, tree: str, fingerprint: str) -> Environment | None:
        return self.kept.get((tree, fingerprint))

    async def put(self, tree: str, fingerprint: str, environment: Environment) -> None:
        self.kept[tree, fingerprint] = environment


class Slow:
    """A detector that says a line, waits, says another one, and answers."""

    def __init__(self) -> None:
        self.looks = 0
        self.stopped = 0
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.error: Exception | None = None

    async def fingerprint(self) -> str:
        return "f"

    async def detect(self, _: Checkout, tell: Tell) -> Environment:
        self.looks += 1
        tell(FIRST)
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        tell(SECOND)
        if self.error:
            raise self.error
        return FOUND


async def test_many_who_wait_are_one_look_and_a_latecomer_is_told_what_it_missed() -> None:
    slow, rows = Slow(), Rows()
    remembered = Remembered(slow, rows)
    told: list[list[Event]] = [[], [], []]
    tasks = [asyncio.create_task(remembered.detect(CHECKOUT, told[0].append))]
    await slow.begun.wait()
    tasks += [asyncio.create_task(remembered.detect(CHECKOUT, one.append)) for one in told[1:]]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    slow.go_on.set()
    assert await asyncio.gather(*tasks) == [FOUND] * 3
    assert told == [[FIRST, SECOND]] * 3
    assert (slow.looks, rows.kept) == (1, {("git:1", "f"): FOUND})
    assert await remembered.detect(CHECKOUT, told[0].append) == FOUND
    assert slow.looks == 1
    assert await remembered.detect(CHECKOUT, told[0].append, afresh=True) == FOUND
    assert slow.looks == 2


async def test_who_leaves_stops_nothing_until_the_last_one_has_left() -> None:
    slow = Slow()
    remembered = Remembered(slow, Rows())
    one, two = (asyncio.create_task(remembered.detect(CHECKOUT, lambda _: None)) for _ in range(2))
    await slow.begun.wait()
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.wait([one])
    assert slow.stopped == 0
    two.cancel()
    await asyncio.wait([two])
    await remembered.close()
    assert (slow.looks, slow.stopped) == (1, 1)
    slow.go_on.set()
    assert await remembered.detect(CHECKOUT, lambda _: None) == FOUND


async def test_what_went_wrong_is_told_to_all_and_not_remembered() -> None:
    slow, rows = Slow(), Rows()
    slow.error = EnvironmentMissing(("flake.nix",))
    slow.go_on.set()
    remembered = Remembered(slow, rows)
    for _ in range(2):
        with pytest.raises(EnvironmentMissing):
            await remembered.detect(CHECKOUT, lambda _: None)
    assert (slow.looks, rows.kept) == (2, {})
