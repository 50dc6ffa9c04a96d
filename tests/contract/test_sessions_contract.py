"""What launches rely on of sessions, held by the hub's and by the fake ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from launcher.model import Account, Kind
from tests.fakes.sessions import FakeSessions
from tests.fakes.web import a_project

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.model import Project
    from tests.fixtures.hub import HubSite

NOBODY = Account("", Kind.ANONYMOUS)


@pytest.fixture(params=["fake", pytest.param("hub", marks=pytest.mark.engine)])
def sessions(request: pytest.FixtureRequest) -> tuple[Any, Callable[[], Project]]:
    """Sessions, and what makes a project for them."""
    if request.param == "fake":
        return FakeSessions(), lambda: a_project("aaaaaaaaaa", "ada")
    site: HubSite = request.getfixturevalue("hub_site")
    return site.sessions(), site.project


async def test_a_session_is_started_joined_listed_and_stopped(sessions: tuple[Any, Callable[[], Project]]) -> None:
    of, make = sessions
    project = make()
    told: list[object] = []

    async def states() -> list[str]:
        return [one.state for one in await of.list() if one.project == project.id]

    assert await states() == []
    session = await of.start(project, NOBODY, told.append)
    assert (session.project, session.path) == (project, f"/user/{project.account}/")
    assert await states() == ["running"]
    assert told
    again = await of.start(project, NOBODY, told.append)
    assert (again.path, await states()) == (session.path, ["running"])
    assert await of.token_for(project)
    await of.stop(project.id)
    assert await states() == []
    await of.stop(project.id)
