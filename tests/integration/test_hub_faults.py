"""The real hub when the launcher, the proxy or the hub itself is away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from launcher.errors import HubDown, SpawnRefused, SpawnTimeout
from launcher.model import Account, Kind
from launcher.sessions.hub import HubClient
from tests.fixtures.hub import Browser, Workspace, free_port

if TYPE_CHECKING:
    from tests.fixtures.hub import HubSite

pytestmark = pytest.mark.engine
NOBODY = Account("", Kind.ANONYMOUS)


async def refusal(site: HubSite) -> str:
    """Why a start was refused; no container was made."""
    project = site.project()
    with pytest.raises(SpawnRefused) as refused:
        await site.sessions().start(project, NOBODY, lambda _: None)
    mine: dict[str, Any] = {"label": f"repolaunch.project={project.id}"}
    assert site.engine.containers.list(all=True, filters=mine) == []
    return refused.value.reason


async def test_no_launcher_no_session(hub_site: HubSite) -> None:
    hub_site.stand_in.down()
    try:
        assert await refusal(hub_site) == "The launcher cannot be reached; try again shortly."
    finally:
        hub_site.stand_in.up()


@pytest.mark.parametrize(
    "status, body, sentence",
    [
        (403, b'{"message": "This project is closed."}', "This project is closed."),
        (404, b'{"message": "There is no such project any more."}', "There is no such project any more."),
        (500, b"<html>", "The launcher could not say what this session may have (status 500)."),
        (200, b"", "The launcher's answer could not be understood."),
        (200, b"{}", "The launcher's answer could not be understood."),
        (200, b'{"image": "debian:latest"}', "The launcher's answer could not be understood."),
    ],
)
async def test_refusals_and_nonsense_fail_closed(hub_site: HubSite, status: int, body: bytes, sentence: str) -> None:
    hub_site.stand_in.answer = (status, body)
    try:
        assert await refusal(hub_site) == sentence
    finally:
        hub_site.stand_in.answer = None


async def test_another_folder_than_the_projects_own_is_refused(
    hub_site: HubSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launcher that somebody has taken over names another project's workspace, or the machine's own folders."""
    other = hub_site.project().id
    for device in (str(hub_site.folder / "workspaces" / other), "/etc", str(hub_site.folder / "workspaces")):
        monkeypatch.setattr(hub_site.stand_in, "mount", lambda project, where=device: Workspace(f"x-{project}", where))
        assert await refusal(hub_site) == "The launcher named a workspace that is not this project's."


async def test_the_hub_starts_with_its_own_secret_only(hub_site: HubSite) -> None:
    url = f"http://127.0.0.1:{hub_site.stand_in.port}/internal/resolve"
    question = {"account": "project-abcdefghij", "server": "", "user_options": {"project": "abcdefghij"}}
    assert hub_site.ask(url, body=question).status_code == 403


async def test_a_restart_of_the_hub_keeps_sessions_and_routes(hub_site: HubSite, browser: Browser) -> None:
    project = hub_site.project()
    browser.sign_in("grace")
    sessions = hub_site.sessions()
    await sessions.start(project, Account("grace", Kind.MEMBER), lambda _: None)
    token = await sessions.token_for(project)
    container = hub_site.container(project)
    began = container.attrs["State"]["StartedAt"]
    hub_site.stop_hub()
    url = f"{hub_site.public}/user/{project.account}/api"
    assert "version" in hub_site.ask(url).json()  # the session answers while the hub is away
    with pytest.raises(HubDown):
        await sessions.start(project, NOBODY, lambda _: None)
    hub_site.start_hub()
    assert hub_site.container(project).attrs["State"]["StartedAt"] == began
    status = hub_site.ask(f"{url}/status", token)
    assert status.status_code == 200
    # Entering still needs no consent: the list was made again when the hub read its state.
    lab = f"/user/{project.account}/lab"
    assert browser.open(lab).url == hub_site.public + lab
    assert [one.project for one in await sessions.list()] == [project.id]
    await sessions.start(project, NOBODY, lambda _: None)
    await sessions.stop(project.id)


async def test_a_proxy_that_was_restarted_gets_its_routes_back(hub_site: HubSite) -> None:
    project = hub_site.project()
    sessions = hub_site.sessions()
    await sessions.start(project, NOBODY, lambda _: None)
    hub_site.stop_proxy()
    hub_site.start_proxy()
    assert hub_site.ask(f"{hub_site.api}/proxy", hub_site.environ["REPOLAUNCH_HUB_SUPERVISOR_TOKEN"], {}).ok
    assert "version" in hub_site.ask(f"{hub_site.public}/user/{project.account}/api").json()
    assert hub_site.ask(f"{hub_site.public}/x").text == "the launcher, at /x"
    await sessions.stop(project.id)
    assert hub_site.ask(f"{hub_site.public}/user/{project.account}/lab").text.startswith("the launcher")


async def test_a_server_that_never_answers_ends_with_a_sentence(hub_site: HubSite) -> None:
    project = hub_site.with_facts(hub_site.project(), server=("sleep", "600"), entrypoint=("/usr/bin/env", "--"))
    hub_site.stop_hub()
    hub_site.start_hub(start_timeout_s="3")
    try:
        sessions = hub_site.sessions()
        # `sleep` takes no options: the arguments of a server are left out here.
        project = hub_site.with_facts(project, server=("sh", "-c", "echo asleep; sleep 600"))
        with pytest.raises(SpawnTimeout):
            await sessions.start(project, NOBODY, lambda _: None)
        assert await sessions.list() == ()
        assert hub_site.container(project).status == "exited"
    finally:
        hub_site.stop_hub()
        hub_site.start_hub()


async def test_a_hub_that_does_not_answer_is_said_to_be_down(hub_site: HubSite) -> None:
    nowhere = HubClient(f"http://127.0.0.1:{free_port()}/hub/api", "t", timeout_s=2)
    with pytest.raises(HubDown):
        await nowhere.version()
    stranger = HubClient(hub_site.api, "not-a-token")
    with pytest.raises(HubDown):
        await stranger.ensure_account("project-abcdefghij")


async def test_guests_are_sent_to_the_login_page_where_they_are_not_admitted(
    hub_site: HubSite, browser: Browser
) -> None:
    hub_site.stop_hub()
    hub_site.start_hub(guests="0")
    try:
        page = browser.open("/hub/guest?next=/v2/gh/a/b/main")
        assert "/hub/login?next=%2Fv2%2Fgh%2Fa%2Fb%2Fmain" in page.url
        assert browser.who() == ""
    finally:
        hub_site.stop_hub()
        hub_site.start_hub()


def test_new_guests_have_a_limit(hub_site: HubSite, browser: Browser) -> None:
    """By the address that our proxy saw: what a visitor says of himself changes nothing."""
    hub_site.stop_hub()
    hub_site.start_hub(guests="1", guests_per_address="3", guests_in_all="100")
    lies: tuple[dict[str, str], ...] = ({}, {"X-Forwarded-For": "198.51.100.7"}, {"X-Real-Ip": "198.51.100.8"})
    told = []
    try:
        for number in range(6):
            with Browser(hub_site, source="127.0.0.9") as person:
                answer = person.get(f"{hub_site.public}/hub/guest?next=/", headers=lies[number % 3])
                told.append(answer.status_code)
                if answer.status_code == 429:
                    assert person.who() == ""
                    assert 190 <= int(answer.headers["Retry-After"]) <= 200
                    assert "Your network address may bring 3 new guests within ten minutes" in answer.text
        assert told == [200, 200, 200, 429, 429, 429]
        assert browser.open("/hub/guest?next=/").ok, "another address"
    finally:
        hub_site.stop_hub()
        hub_site.start_hub()


async def test_members_by_name(hub_site: HubSite, browser: Browser) -> None:
    """Who has signed in before is no member any more, if the operator now names others."""
    assert browser.sign_in("henry").ok
    hub_site.stop_hub()
    hub_site.start_hub(members="ida, jo")
    try:
        for name, status in (("henry", 403), ("ida", 200), ("jo", 200), ("project-abcdefghij", 403)):
            with Browser(hub_site) as person:
                assert person.sign_in(name).status_code == status
    finally:
        hub_site.stop_hub()
        hub_site.start_hub()


@pytest.mark.parametrize("name", ["project-abcdefghij", "guest-0123456789ab", "launcher", "PROJECT-abcdefghij"])
async def test_any_authenticator_refuses_reserved_names(hub_site: HubSite, browser: Browser, name: str) -> None:
    """JupyterHub's dummy lets everybody in under any name, with no password, but not under these."""
    if "Dummy" not in hub_site.environ.get("MARK", ""):
        hub_site.stop_hub()
        hub_site.environ["MARK"] = "Dummy"
        hub_site.environ |= {"REPOLAUNCH_HUB_AUTHENTICATOR": "dummy", "REPOLAUNCH_HUB_MEMBERS": "*"}
        hub_site.start_hub()
    assert browser.sign_in("anybody", "").url.endswith("/")
    assert browser.who() == "anybody"
    with Browser(hub_site) as impostor:
        assert impostor.sign_in(name, "").status_code == 403
        assert impostor.who() == ""
        # The same by the API that gives tokens for a name and a password.
        body = {"auth": {"username": name, "password": ""}}
        url = f"{hub_site.public}/hub/api/users/{name.lower()}/tokens"
        assert hub_site.ask(url, body=body).status_code == 403
