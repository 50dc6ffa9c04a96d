"""What locks people's credentials, and what names private repositories' namespaces."""

from __future__ import annotations

import secrets

import pytest

from launcher.credentials.keyring import site, site_of
from launcher.credentials.vault import Vault
from launcher.errors import BadRequest, CredentialDamaged
from launcher.repos.access import Access

OLD, NEW = secrets.token_hex(32), secrets.token_hex(32)
URL = "https://git.example.org/lab/notes.git"


def test_what_is_locked_is_opened_by_its_owner_alone() -> None:
    vault = Vault(OLD, "naming")
    locked = vault.lock("id", "ada", "tok-1")
    assert "tok-1" not in locked
    assert vault.open("id", "ada", locked) == "tok-1"
    for name, account in (("id", "bob"), ("other", "ada")):
        with pytest.raises(CredentialDamaged):
            vault.open(name, account, locked)
    for damaged in (locked[:-4], "", "ö", "gAAAA"):
        with pytest.raises(CredentialDamaged):
            vault.open("id", "ada", damaged)


def test_keys_are_changed_one_after_the_other() -> None:
    locked = Vault(OLD, "naming").lock("id", "ada", "tok-1")
    both = Vault(f"{NEW}\n{OLD}\n", "naming")
    assert both.open("id", "ada", locked) == "tok-1"
    again = both.again(locked)
    assert Vault(NEW, "naming").open("id", "ada", again) == "tok-1"
    with pytest.raises(CredentialDamaged):
        Vault(NEW, "naming").open("id", "ada", locked)
    with pytest.raises(CredentialDamaged):
        Vault(NEW, "naming").again(locked)


@pytest.mark.parametrize("keys,naming", [("", "n"), ("short", "n"), (f"{OLD} short", "n"), (OLD, "")])
def test_what_is_no_key_starts_nothing(keys: str, naming: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits") as caught:
        Vault(keys, naming)
    assert "short" not in str(caught.value)


def test_a_namespace_is_one_of_the_address_and_the_installation() -> None:
    vault = Vault(OLD, "naming")
    known = {vault.space(URL), vault.space(URL, "ada"), vault.space(URL, "bob"), vault.space(URL + "x")}
    assert len(known) == 4
    assert all(len(one) == 32 for one in known)
    assert Vault(NEW, "naming").space(URL) == vault.space(URL), "keys may change, namespaces stay"
    assert Vault(OLD, "other").space(URL) != vault.space(URL)


@pytest.mark.parametrize(
    "text,place",
    [
        ("git.example.org", "https://git.example.org"),
        ("https://Git.Example.org/", "https://git.example.org"),
        ("git.example.org:8443", "https://git.example.org:8443"),
        ("https://git.example.org:443", "https://git.example.org"),
        ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_a_host_as_people_write_it(text: str, place: str) -> None:
    assert site(text) == place
    assert site_of(f"{place}/a/b.git") == place


@pytest.mark.parametrize(
    "text,seen",
    [
        ("http://git.example.org", "A token is sent over https alone."),
        ("ssh://git.example.org", "A token is sent over https alone."),
        ("https://git.example.org/lab", "It is more than a host."),
        ("https://me:pw@git.example.org", "It carries a user name or a password, and links are public."),
        ("git.example.org?x", "It has not the form protocol://host/path."),
        ("", "It is empty."),
        ("a b", "It holds a space."),
    ],
)
def test_what_is_no_host(text: str, seen: str) -> None:
    with pytest.raises(BadRequest) as caught:
        site(text)
    assert (caught.value.where, caught.value.seen) == ("host", seen)


@pytest.mark.parametrize(
    "url", ["http://git.example.org/a/b", "git@git.example.org:a/b", "git://git.example.org/a", "/a"]
)
def test_where_no_token_goes(url: str) -> None:
    assert site_of(url) == ""


@pytest.mark.parametrize(
    "module,reached",
    [
        ("https://git.example.org/lab/data.git", True),
        ("https://git.example.org/lab/deep/data.git", True),
        ("https://git.example.org/labs/data.git", False),
        ("https://git.example.org/ada/data.git", False),
        ("https://git.example.org:8443/lab/data.git", False),
        ("http://git.example.org/lab/data.git", False),
        ("https://other.example.org/lab/data.git", False),
        ("git@git.example.org:lab/data.git", False),
    ],
)
def test_which_submodules_a_token_reaches(module: str, reached: bool) -> None:
    assert Access("id", "token", URL, "ada", "tok-1").reaches(module) is reached


def test_at_the_root_of_a_host_nothing_is_beside() -> None:
    assert not Access("id", "token", "https://git.example.org/notes", "ada", "tok-1").reaches(
        "https://git.example.org/x"
    )
