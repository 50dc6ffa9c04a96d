"""Settings: precedence, and the sentence of a wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher import settings

if TYPE_CHECKING:
    from pathlib import Path


def test_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "repolaunch.toml"
    file.write_text('port = 9000\nhost = "::1"\nallowed_networks = ["10.0.0.0/8"]\n')
    chosen = settings.load(file, {"REPOLAUNCH_PORT": "9001"})
    assert (chosen.port, chosen.host, chosen.guests) == (9001, "::1", True)
    assert chosen.allowed_networks == ("10.0.0.0/8",)


def test_the_command_line_beats_everything() -> None:
    assert settings.load(None, {"REPOLAUNCH_PORT": "9001"}, port=9002).port == 9002


def test_lists_in_the_environment_are_separated_by_commas() -> None:
    chosen = settings.load(None, {"REPOLAUNCH_ALLOWED_NETWORKS": "127.0.0.0/8, ::1/128"})
    assert chosen.allowed_networks == ("127.0.0.0/8", "::1/128")


@pytest.mark.parametrize(
    "name,value,sentence",
    [
        ("PORT", "0", "The setting port is '0', which cannot be: input should be greater than or equal to 1."),
        (
            "PORT",
            "http",
            (
                "The setting port is 'http', which cannot be: "
                "input should be a valid integer, unable to parse string as an integer."
            ),
        ),
        (
            "ALLOWED_NETWORKS",
            "10.0.0.0/99",
            (
                "The setting allowed_networks is ('10.0.0.0/99',), which cannot be: "
                "'10.0.0.0/99' does not appear to be an IPv4 or IPv6 network."
            ),
        ),
        (
            "ALLOWED_ENDPOINTS",
            "127.0.0.1",
            (
                "The setting allowed_endpoints is ('127.0.0.1',), which cannot be: "
                "'127.0.0.1' is not an address and a port."
            ),
        ),
    ],
)
def test_a_wrong_one_names_itself_its_value_and_the_reason(name: str, value: str, sentence: str) -> None:
    with pytest.raises(settings.SettingWrong) as caught:
        settings.load(None, {f"REPOLAUNCH_{name}": value})
    assert str(caught.value) == sentence


def test_an_unknown_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "repolaunch.toml"
    file.write_text("prot = 9000\n")
    with pytest.raises(settings.SettingWrong) as caught:
        settings.load(file, {})
    assert str(caught.value) == "The setting prot is 9000, which cannot be: extra inputs are not permitted."


def test_an_unknown_variable_is_refused() -> None:
    with pytest.raises(settings.SettingWrong) as caught:
        settings.load(None, {"REPOLAUNCH_PROT": "9000"})
    assert str(caught.value) == "The setting REPOLAUNCH_PROT is (hidden), which cannot be: there is no setting prot."


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "repolaunch.toml"
    file.write_text("registry_password = 7\n")
    with pytest.raises(settings.SettingWrong) as caught:
        settings.load(file, {})
    assert "7" not in str(caught.value)
    assert "(hidden)" in str(caught.value)


def test_a_missing_and_a_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingWrong, match="there is no such file"):
        settings.load(tmp_path / "none.toml", {})
    file = tmp_path / "damaged.toml"
    file.write_text("port = \n")
    with pytest.raises(settings.SettingWrong, match="it is not TOML"):
        settings.load(file, {})
