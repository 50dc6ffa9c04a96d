"""What a session answers counts for that session alone, however long a browser keeps it (one address for all)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from launcher.model import Account, Kind
from tests.fixtures import hostile
from tests.fixtures.hub import Browser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from launcher.model import Project
    from tests.fixtures.hub import HubSite

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]
HOST = "127.0.0.1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(hub_site: HubSite) -> AsyncIterator[Project]:
    """One that means harm."""
    project = hub_site.with_facts(hub_site.project(), server=hostile.SERVER)
    sessions = hub_site.sessions()
    await sessions.start(project, Account("", Kind.ANONYMOUS), lambda _: None)
    yield project
    await sessions.stop(project.id)


async def test_nothing_that_a_session_answers_outlives_it(hub_site: HubSite, session: Project) -> None:
    assert list(hostile.outliving(hub_site.public, HOST, session)) == []


async def test_a_service_worker_rules_no_more_than_its_session(hub_site: HubSite, session: Project) -> None:
    """`/user/project-…` without a slash lies in `/user/`: a script there would rule all sessions, so none is."""
    own = f"/user/{session.account}"
    for spelt in (own, f"{own}?a=b", f"/%75ser/{session.account}/lab", own.replace("-", "%2D"), f"{own}%2Flab"):
        for headers in ({}, {"Service-Worker": "script"}):
            answer = hostile.asked(hub_site.public, HOST, "GET", spelt, headers)
            query = "?a=b" if "?" in spelt else ""
            assert (answer.status, answer.headers["Location"]) == (307, f"{own}/{query}"), spelt
            assert "Set-Cookie" not in answer.headers
    allowed = hostile.asked(hub_site.public, HOST, "GET", f"{own}/narrow", {}).headers.get_all("Service-Worker-Allowed")
    assert allowed == [f"{own}/static/"]


async def test_what_jupyters_own_server_sets_is_passed_on(hub_site: HubSite) -> None:
    project = hub_site.project()
    sessions = hub_site.sessions()
    own = f"/user/{project.account}/"
    with Browser(hub_site) as person:
        person.sign_in("bob")
        await sessions.start(project, Account("bob", Kind.MEMBER), lambda _: None)
        page = person.open(f"{own}lab")
        assert (page.status_code, page.url) == (200, f"{hub_site.public}{own}lab")
        assert "jupyter-config-data" in page.text
        assert {"_xsrf", f"jupyterhub-user-{project.account}"} == {
            one.name for one in person.cookies if one.path == own
        }
    await sessions.stop(project.id)
