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
    assert str(caught.value) == "The setting REPOLAUNCH_PROT is '9000', which cannot be: there is no setting prot."


@pytest.mark.parametrize("name", ["REGISTRY_PASSWORDS", "API_TOKEN", "SECRET", "SIGNING_KEY"])
def test_an_unknown_variable_that_may_be_a_secret_is_not_shown(name: str) -> None:
    with pytest.raises(settings.SettingWrong) as caught:
        settings.load(None, {f"REPOLAUNCH_{name}": "tell-nobody"})
    assert "tell-nobody" not in str(caught.value)


URL = "it is not of the form http://host or https://host"
ONLY = "it may have a host and a port only: no path, query, fragment or user name"
PATH = "it may have a path of letters, digits and . _ ~ - after the host, and no query"
ADDRESS = "it is neither an IP address nor a name"
REGISTRY = "it is not of the form host or host:port"
PREFIX = "an image's name has small letters, digits and single . _ - / between them"


@pytest.mark.parametrize(
    "name,value,reason",
    [
        ("public_url", "foo.example", URL),
        ("public_url", "ftp://foo.example", URL),
        ("public_url", "https://", URL),
        ("public_url", "https://foo.example//hub", PATH),
        ("public_url", "https://foo.example/a/../b", PATH),
        ("public_url", "https://foo.example/?a=b", PATH),
        ("public_url", "https://foo.example?a=b", ONLY),
        ("public_url", "https://me:pass@foo.example/", ONLY),
        ("public_url", "https://foo..example", "'foo..example' is neither an IP address nor a name"),
        ("public_url", "https://foo.example:http", "port could not be cast to integer value as 'http'"),
        ("wildcard_url", "nonsense", URL),
        ("wildcard_url", "https://foo.example/sub", ONLY),
        ("wildcard_url", "http://127.0.0.1:8000", "an IP address has no subdomains; give a name"),
        ("host", "http://127.0.0.1", ADDRESS),
        ("host", "a b", ADDRESS),
        ("host", "", ADDRESS),
        ("host", "[::1]", ADDRESS),
        ("registry", "https://registry.example", REGISTRY),
        ("registry", "registry.example/path", REGISTRY),
        ("registry", "registry.example:70000", REGISTRY),
        ("registry", "registry.example:", REGISTRY),
        ("registry_prefix", "Upper Case", PREFIX),
        ("log_level", "loud", "input should be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_address_stops_the_start(name: str, value: str, reason: str) -> None:
    with pytest.raises(settings.SettingWrong) as caught:
        settings.load(None, {f"REPOLAUNCH_{name.upper()}": value})
    assert str(caught.value) == f"The setting {name} is {value!r}, which cannot be: {reason}."


@pytest.mark.parametrize("slash", ["", "/"])
def test_all_may_be_below_a_path(slash: str) -> None:
    found = settings.load(None, {"REPOLAUNCH_PUBLIC_URL": f"https://foo.example/services/binder{slash}"})
    assert (found.base_url, found.base_path) == ("https://foo.example/services/binder", "/services/binder")
    assert found.local_url == "http://127.0.0.1:8000/services/binder"
    assert settings.load(None, {"REPOLAUNCH_PUBLIC_URL": "https://foo.example/"}).base_path == ""


def test_a_wildcard_domain_is_below_the_address_that_people_type() -> None:
    environ = {"REPOLAUNCH_PUBLIC_URL": "https://foo.example", "REPOLAUNCH_WILDCARD_URL": "https://bar.example"}
    with pytest.raises(settings.SettingWrong, match="public_url is another address"):
        settings.load(None, environ)
    assert (
        settings.load(None, environ | {"REPOLAUNCH_PUBLIC_URL": "https://bar.example/"}).base_url
        == "https://bar.example"
    )
    assert settings.load(None, {"REPOLAUNCH_WILDCARD_URL": "https://bar.example"}).base_url == "https://bar.example"


@pytest.mark.parametrize(
    "origin",
    ["book.example.org", "https://book.example.org/", "https://Book.example.org", "https://*.example.org"],
)
def test_a_site_that_is_none_stops_the_start(origin: str) -> None:
    with pytest.raises(settings.SettingWrong, match=r"neither `\*` nor of the form https://host\[:port\]"):
        settings.load(None, {"REPOLAUNCH_ALLOW_ORIGIN": f"*,{origin}"})
    good = ("*", "https://book.example.org:8443", "http://127.0.0.1", "http://[::1]:9000")
    assert settings.load(None, {"REPOLAUNCH_ALLOW_ORIGIN": ",".join(good)}).allow_origin == good


@pytest.mark.parametrize("protocol", ["ext", "ftp", "HTTPS", "fd"])
def test_a_protocol_that_is_none_stops_the_start(protocol: str) -> None:
    with pytest.raises(settings.SettingWrong) as caught:
        settings.load(None, {"REPOLAUNCH_ALLOWED_PROTOCOLS": f"https,{protocol}"})
    assert str(caught.value) == (
        f"The setting allowed_protocols is ('https', {protocol!r}), which cannot be: "
        f"{protocol!r} is none of http, https, git, ssh, file."
    )


@pytest.mark.parametrize(
    "host,public_url,base_url,local_url",
    [
        ("127.0.0.1", "", "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("::1", "", "http://[::1]:8000", "http://[::1]:8000"),
        ("0.0.0.0", "https://foo.example/", "https://foo.example", "http://127.0.0.1:8000"),  # noqa: S104
        ("::", "http://[2001:db8::1]:80", "http://[2001:db8::1]:80", "http://[::1]:8000"),
        ("localhost", "", "http://localhost:8000", "http://localhost:8000"),
    ],
)
def test_the_addresses_that_people_and_this_machine_use(
    host: str, public_url: str, base_url: str, local_url: str
) -> None:
    chosen = settings.load(None, {"REPOLAUNCH_HOST": host, "REPOLAUNCH_PUBLIC_URL": public_url})
    assert (chosen.base_url, chosen.local_url) == (base_url, local_url)


@pytest.mark.parametrize("registry", ["", "localhost", "127.0.0.1:5000", "registry.example.org", "reg-1.example:443"])
def test_registries_that_are_well(registry: str) -> None:
    assert settings.load(None, {"REPOLAUNCH_REGISTRY": registry}).registry == registry


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
