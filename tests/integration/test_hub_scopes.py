"""The launcher's role and the supervisor's hold nothing that they do not use, and reach nobody but projects."""

from __future__ import annotations

import secrets
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from traitlets.config.loader import PyFileConfigLoader

from deploy.hub.names import PROJECTS
from deploy.hub.settings import PREFIX, REQUIRED, HubSettings
from launcher.model import Account, Kind
from launcher.sessions.sessions import HubSessions
from tests.fixtures.hub import ROOT, Browser, make_site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.model import Project
    from tests.fixtures.hub import HubSite

pytestmark = pytest.mark.engine
NOBODY = Account("", Kind.ANONYMOUS)
NEEDS = {
    "launcher": {"list:users": "list", "servers": "start", "shares": "share", "read:users:name": "share",
                 "tokens": "token"},
    "supervisor": {"list:users": "list", "delete:servers": "stop", "proxy": "routes"},
}  # fmt: skip
"""Each role's scopes, and what cannot be done without it."""
CONFIG = ROOT / "deploy" / "hub"
TOKENS = {(role, scope): secrets.token_hex(16) for role, needs in NEEDS.items() for scope in needs}


def configured(environ: dict[str, str]) -> list[dict[str, Any]]:
    """The roles of our configuration."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        roles: list[dict[str, Any]] = (
            PyFileConfigLoader("jupyterhub_config.py", str(CONFIG)).load_config().JupyterHub.load_roles
        )
    return roles


def test_no_other_scope() -> None:
    """What `test_every_scope_is_needed` looks at is all that there is, and people's names are all that is read."""
    names = [field.name for field in fields(HubSettings)][:REQUIRED]
    environ = {f"{PREFIX}{name.upper()}": "http://127.0.0.1:1" for name in (*names, "supervisor_token")}
    scopes = {role["name"]: set(role["scopes"]) for role in configured(environ)}
    of_projects = f"!group={PROJECTS}"
    for role, needs in NEEDS.items():
        free = {"read:users:name", "proxy"}
        assert scopes[role] == {scope if scope in free else scope + of_projects for scope in needs}


def less(environ: dict[str, str]) -> str:
    """A configuration with services beside the two, each with its role but for one scope."""
    services: list[dict[str, str]] = []
    made: list[dict[str, object]] = []
    for role in configured(environ):
        for scope in role["scopes"] if role["name"] in NEEDS else ():
            token = TOKENS[role["name"], scope.partition("!")[0]]
            name = f"x{len(services)}"
            services.append({"name": name, "api_token": token})
            others = [one for one in role["scopes"] if one != scope]
            made.append({"name": f"without-{name}", "services": [name], "scopes": others})
    return f"c.JupyterHub.services.extend({services})\nc.JupyterHub.load_roles.extend({made})\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubSite]:
    folder = tmp_path_factory.mktemp("hub")
    extra = Path(folder, "less.py")
    one = make_site(folder)
    try:
        one.stop_hub()
        extra.write_text(less(one.environ))
        one.start_hub(extra_config=str(extra), start_timeout_s="180")
        yield one
    finally:
        one.close()


@pytest.fixture
def browser(site: HubSite) -> Iterator[Browser]:
    with Browser(site) as person:
        yield person


def works(site: HubSite, project: Project, token: str, what: str) -> bool:
    """Whether who has this token may do it."""
    account, headers = project.account, {"Authorization": f"token {token}"}
    asked: dict[str, tuple[str, str, object]] = {
        "list": ("GET", "/users?state=active", None),
        "look": ("GET", f"/users/{account}", None),
        "start": ("POST", f"/users/{account}/server", {"user_options": {"project": project.id}}),
        "share": ("POST", f"/shares/{account}/", {"user": "somebody"}),
        "token": ("POST", f"/users/{account}/tokens", {"scopes": [f"access:servers!user={account}"]}),
        "stop": ("DELETE", f"/users/{account}/server", None),
        "routes": ("POST", "/proxy", {}),
    }
    method, path, body = asked[what]
    answer = requests.request(method, site.api + path, headers=headers, json=body, timeout=60)
    if what == "list":
        return answer.ok and [one["name"] for one in answer.json()] == [account]
    if what == "look":
        return answer.ok and bool(answer.json().get("servers"))
    assert answer.ok or answer.status_code in {403, 404}, (what, answer.status_code, answer.text)
    return answer.ok


async def test_every_scope_is_needed(site: HubSite, browser: Browser) -> None:
    """Without any one of them something that is done is refused; with all of them everything works."""
    project = site.project()
    browser.sign_in("somebody")
    await HubSessions(site.client(), 180, 3600).start(project, NOBODY, lambda _: None)
    whole = {"launcher": site.token, "supervisor": site.environ["REPOLAUNCH_HUB_SUPERVISOR_TOKEN"]}
    for role, needs in NEEDS.items():
        for scope, what in needs.items():
            assert not works(site, project, TOKENS[role, scope], what), (role, scope)
    for role, needs in NEEDS.items():
        for what in dict.fromkeys(needs.values()):
            if what != "start":
                assert works(site, project, whole[role], what), (role, what)


def test_nobody_but_projects_is_in_reach(site: HubSite, browser: Browser) -> None:
    """The launcher makes, lists, starts, opens and changes no account of a person, and no project's by another way."""
    browser.sign_in("person")
    headers = {"Authorization": f"token {site.token}"}
    for method, path, body in (
        ("POST", "/users/project-abcdefghij", None),
        ("POST", "/users", {"usernames": ["other"]}),
        ("PATCH", "/users/person", {"admin": True}),
        ("DELETE", "/users/person", None),
        ("POST", "/users/person/server", None),
        ("POST", "/users/person/tokens", {}),
        ("POST", "/shares/person/", {"user": "somebody"}),
        ("POST", "/proxy", {}),
        ("POST", "/shutdown", {}),
        ("POST", "/project-accounts/person", None),
        ("POST", "/project-accounts/project-x", None),
    ):
        answer = requests.request(method, site.api + path, headers=headers, json=body, timeout=30)
        assert answer.status_code in {403, 404}, (method, path, answer.status_code, answer.text)
    assert "person" not in [
        one["name"] for one in requests.get(f"{site.api}/users", headers=headers, timeout=30).json()
    ]
    seen = requests.get(f"{site.api}/users/person", headers=headers, timeout=30).json()
    assert seen["name"] == "person"
    assert {"groups", "created", "last_activity", "servers"}.isdisjoint(seen), seen
    for token in (site.environ["REPOLAUNCH_HUB_SUPERVISOR_TOKEN"], "nonsense", ""):
        made = site.ask(f"{site.api}/project-accounts/project-abcdefghij", token, {})
        assert made.status_code == 403, (token, made.status_code)


def test_the_supervisor_reaches_nobody_but_projects(site: HubSite, browser: Browser) -> None:
    """It sees and stops projects' servers and restores the proxy's routes; it starts, shares and makes nothing."""
    browser.sign_in("person")
    project = site.project()
    headers = {"Authorization": f"token {site.environ['REPOLAUNCH_HUB_SUPERVISOR_TOKEN']}"}
    as_launcher = {"Authorization": f"token {site.token}"}
    path = f"{site.api}/project-accounts/{project.account}"
    requests.post(path, headers=as_launcher, timeout=30).raise_for_status()
    for method, path, body in (
        ("GET", "/users/person", None),
        ("DELETE", "/users/person/server", None),
        ("POST", "/users/person/server", None),
        ("POST", f"/users/{project.account}/server", {"user_options": {"project": project.id}}),
        ("POST", f"/users/{project.account}/tokens", {}),
        ("POST", f"/shares/{project.account}/", {"user": "somebody"}),
        ("DELETE", "/users/person", None),
        ("POST", "/shutdown", {}),
    ):
        answer = requests.request(method, site.api + path, headers=headers, json=body, timeout=30)
        assert answer.status_code in {403, 404}, (method, path, answer.status_code, answer.text)
    found = requests.get(f"{site.api}/users", headers=headers, timeout=30).json()
    assert project.account in [one["name"] for one in found]
    assert "person" not in [one["name"] for one in found]
