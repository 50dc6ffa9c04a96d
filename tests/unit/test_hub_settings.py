"""What the hub is told by its environment."""

from __future__ import annotations

from dataclasses import fields

import pytest

from deploy.hub import settings
from deploy.hub.settings import PREFIX, REQUIRED, HubSettingMissing, HubSettings, read

NAMES = [field.name for field in fields(HubSettings)]
FULL = {PREFIX + name.upper(): "x" for name in NAMES[:REQUIRED]}


def test_what_is_missing_is_named() -> None:
    missing = {name: value for name, value in FULL.items() if not name.endswith(("_NETWORK", "_DB_URL"))}
    with pytest.raises(HubSettingMissing, match="REPOLAUNCH_HUB_DB_URL, REPOLAUNCH_HUB_NETWORK") as error:
        read(missing)
    assert "BIND_URL" not in str(error.value)


def test_an_empty_variable_is_a_missing_one() -> None:
    assert read(FULL | {"REPOLAUNCH_HUB_LOG_LEVEL": ""}).log_level == "info"


@pytest.mark.parametrize(
    "given, allow_all, names",
    [
        ({}, True, set()),
        ({"AUTHENTICATOR": "pam"}, False, set()),
        ({"AUTHENTICATOR": "pam", "MEMBERS": "*"}, True, set()),
        ({"MEMBERS": "alice, bob"}, False, {"alice", "bob"}),
    ],
)
def test_who_may_be_a_member(given: dict[str, str], allow_all: bool, names: set[str]) -> None:
    found = read(FULL | {PREFIX + name: value for name, value in given.items()})
    assert (found.allow_all, found.allowed_users) == (allow_all, names)


def test_the_table_has_every_variable() -> None:
    table = settings.__doc__ or ""
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")][2:]
    documented = {name.strip().lower() for row in rows for name in row.split(",")}
    assert documented == set(NAMES)


@pytest.mark.parametrize(
    "given, policy",
    [
        ({"PUBLIC_URL": "http://hub.example.org"}, None),
        ({"PUBLIC_URL": "https://hub.example.org"}, "max-age=31536000"),
        (
            {"PUBLIC_URL": "https://hub.example.org", "WILDCARD_URL": "https://hub.example.org"},
            "max-age=31536000; includeSubDomains",
        ),
    ],
)
def test_headers_of_the_hub(given: dict[str, str], policy: str | None) -> None:
    found = settings.headers(read(FULL | {PREFIX + name: value for name, value in given.items()}))
    assert found.get("Strict-Transport-Security") == policy
    assert found["X-Frame-Options"] == "DENY"
