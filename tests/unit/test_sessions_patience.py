"""A launch waits for a hub that is being started again, and says so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from launcher.errors import HubDown
from launcher.events import Progress, Stage
from launcher.model import Account, Image, ImageFacts, Kind, Project
from launcher.sessions.hub import Asked, HubClient
from launcher.sessions.sessions import AWAY, HubSessions, Patience

if TYPE_CHECKING:
    from launcher.events import Event

SOMEBODY = Account("ann", Kind.MEMBER)
TOLD = Progress(Stage.SESSION, **AWAY)


def project() -> Project:
    facts = ImageFacts("sha256:" + "a" * 64, "/home/jovyan", "", "/usr/bin", ("server",), (), "")
    image = Image("0" * 64, facts, None)
    where = ("abcdefghij", "ann", "git", "s/HEAD", "https://h/r", "", "0" * 40)
    return Project(*where, image=image, temporary=False, token_entry=False)


class Hub:
    """Is away for its first `failures` questions; in mid-start once more when `forgets`."""

    def __init__(self, failures: int, *, slow_s: float = 0, forgets: bool = False) -> None:
        self.failures, self.slow_s, self.forgets = failures, slow_s, forgets
        self.asked: list[str] = []

    async def ensure_account(self, _account: str) -> None:
        self.asked.append("account")
        await asyncio.sleep(self.slow_s)
        if self.failures:
            self.failures -= 1
            raise HubDown("it is being started")

    async def start(self, _account: str, _options: dict[str, str]) -> Asked:
        self.asked.append("start")
        return Asked.STARTING

    async def follow(self, _account: str, _told: object, _answer_s: float) -> None:
        if self.forgets:
            self.forgets = False
            raise HubDown("it ended")

    async def share(self, _account: str, _person: str) -> None:
        self.asked.append("share")


async def started(hub: Hub, patience: Patience) -> list[Event]:
    told: list[Event] = []
    sessions = HubSessions(cast("HubClient", cast("Any", hub)), 10, 60, patience)
    await sessions.start(project(), SOMEBODY, told.append)
    return told


async def test_a_hub_that_is_away_is_waited_for_and_told_once() -> None:
    hub = Hub(failures=2)
    assert await started(hub, Patience(away=30)) == [TOLD]
    assert hub.asked == ["account", "account", "account", "start", "share"]


async def test_a_hub_that_ended_in_mid_start_is_asked_anew() -> None:
    """It may have forgotten the account's server, or the account itself."""
    hub = Hub(failures=0, forgets=True)
    assert await started(hub, Patience(away=30)) == [TOLD]
    assert [one for one in hub.asked if one != "share"] == ["account", "start", "account", "start"]


async def test_patience_ends() -> None:
    hub = Hub(failures=1000)
    with pytest.raises(HubDown):
        await started(hub, Patience(away=0.1))
    assert 1 < len(hub.asked) < 5


async def test_a_hub_that_takes_long_is_told() -> None:
    assert await started(Hub(failures=0, slow_s=0.3), Patience(quiet=0.05)) == [TOLD]
    assert await started(Hub(failures=0), Patience(quiet=5)) == []
