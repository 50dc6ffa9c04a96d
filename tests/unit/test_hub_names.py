"""Names that nobody may sign in as."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from jupyterhub.auth import DummyAuthenticator
from jupyterhub.authenticators.shared import SharedPasswordAuthenticator

from deploy.hub.authenticators import Door, door, find, guarded
from deploy.hub.names import is_reserved, project_of
from deploy.hub.settings import PREFIX, REQUIRED, HubSettings, read
from launcher.errors import TooOften

if TYPE_CHECKING:
    from collections.abc import Callable

RESERVED = [
    "project-abcdefghij",
    "Project-x",
    " project-x",
    "guest-1",
    "GUEST-0123456789ab",
    "launcher",
    "LAUNCHER",
    "operator",
    "ｐｒｏｊｅｃｔ-x",  # full width
    "project\N{NON-BREAKING HYPHEN}x",
    "project\N{EN DASH}x",
    "project\N{MINUS SIGN}x",
    "pro\N{ZERO WIDTH SPACE}ject-x",
    "gue\N{SOFT HYPHEN}st-1",
    "launcher\n",
]
FREE = ["alice", "projectmanager", "guestbook", "launch", "my-project-1", "operators", "jörg", "project.x"]


@pytest.mark.parametrize("name", RESERVED)
def test_reserved(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize("name", FREE)
def test_free(name: str) -> None:
    assert not is_reserved(name)


@pytest.mark.parametrize(
    "account, project",
    [
        ("project-a123456789", "a123456789"),
        ("project-1234567890", None),
        ("project-a12345678", None),
        ("project-a123456789\n", None),
        ("project-a12345678é", None),
        ("guest-a123456789", None),
    ],
)
def test_the_project_of_an_account(account: str, project: str | None) -> None:
    assert project_of(account) == project


NEEDED = {PREFIX + field.name.upper(): "http://10.9.0.1:8081" for field in fields(HubSettings)[:REQUIRED]}


def _door(now: float = 0.0, **given: str) -> Door:
    environ = NEEDED | {PREFIX + name.upper(): value for name, value in given.items()}
    return door(read(environ), lambda: now)


DOOR = _door(guests="1")


def test_the_door_as_the_operator_set_it() -> None:
    assert _door(guests="1").opened
    assert not _door(guests="0").opened
    assert _door(trusted_proxies="10.0.0.5, 10.0.0.6").trusted == (
        "127.0.0.1",
        "::1",
        "10.0.0.5",
        "10.0.0.6",
    )


def test_the_door_lets_so_many_in() -> None:
    few = _door(guests="1", guests_per_address="2", guests_in_all="3")
    for address in ("a", "a", "b"):
        few.enter(address)
    with pytest.raises(TooOften) as told:
        few.enter("a")
    assert vars(told.value) == {"what": "Your network address may bring 2 new guests", "seconds": 300}
    with pytest.raises(TooOften) as told:
        few.enter("c")
    assert vars(told.value) == {"what": "This site may bring 3 new guests", "seconds": 200}


async def _name(authenticator: Any, name: str) -> str | None:
    answer = await authenticator.get_authenticated_user(None, {"username": name, "password": "tangerine-orbit"})
    return answer["name"] if answer else None


def _shared() -> Any:
    return guarded(SharedPasswordAuthenticator, DOOR)(user_password="tangerine-orbit", allow_all=True)


def _dummy() -> Any:
    return guarded(DummyAuthenticator, DOOR)(allow_all=True)


def _renaming() -> Any:
    # A map of names, as an operator may configure it, comes before the check.
    return guarded(DummyAuthenticator, DOOR)(allow_all=True, username_map={"alice": "project-abcdefghij"})


@pytest.mark.parametrize("make", [_shared, _dummy])
@pytest.mark.parametrize("name", RESERVED)
async def test_every_authenticator_refuses_reserved_names(make: Callable[[], Any], name: str) -> None:
    assert await _name(make(), name) is None


@pytest.mark.parametrize("make", [_shared, _dummy])
async def test_other_names_are_let_in(make: Callable[[], Any]) -> None:
    assert await _name(make(), "Alice") == "alice"


async def test_a_name_is_judged_after_the_authenticator_changed_it() -> None:
    assert await _name(_renaming(), "alice") is None
    assert await _name(_renaming(), "bob") == "bob"


def test_authenticators_are_found_by_the_names_that_jupyterhub_knows_and_by_their_own() -> None:
    assert find("dummy") is DummyAuthenticator
    assert find("jupyterhub.auth.DummyAuthenticator") is DummyAuthenticator
    with pytest.raises(ValueError, match="There is no authenticator 'nonsense'"):
        find("nonsense")
