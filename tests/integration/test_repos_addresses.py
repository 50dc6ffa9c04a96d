"""Addresses that a stranger names, with real servers and a real name server in a network of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fixtures.namespace import CAN, PRIVATE, PUBLIC, in_namespace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not CAN, reason="only root can make a network of its own")

CLOSED = "address-refused"


def test_a_name_server_that_answers_differently_the_second_time(tmp_path: Path) -> None:
    told = in_namespace("rebinding", tmp_path)
    assert told["control"] == {"names": [PUBLIC, PRIVATE], "git without a pin reaches the private host": True}
    assert told["private requests"] == []
    refused = {"code": CLOSED, "seen": "git.example.org leads to a private address."}
    # Four questions to the host are four look-ups: whichever of them is answered with the private address is refused.
    assert told["outcomes"] == [refused, refused, refused, {"file": "public"}]


def test_a_name_server_that_answers_differently_to_curl(tmp_path: Path) -> None:
    assert in_namespace("rebinding_for_curl", tmp_path) == {"status": 200, "private requests": []}


def test_what_a_repository_names(tmp_path: Path) -> None:
    told = in_namespace("named_by_a_repository", tmp_path)
    assert told["private requests"] == []
    for name, file in (("submodule", "lib"), ("lfs", "f"), ("lfs-redirect", "f")):
        assert f"{PRIVATE} leads to a private address." in told["outcomes"][name], name
        assert file in told["outcomes"][name]


def test_what_the_machine_configured_runs_nothing(tmp_path: Path) -> None:
    told = in_namespace("machine_configured", tmp_path)
    assert told == {"control": ["filter", "hook"], "outcome": {"file": "x"}, "ran": []}


def test_every_address_of_a_name_counts(tmp_path: Path) -> None:
    told = in_namespace("mixed", tmp_path)
    kinds = {"metadata": "link-local", "loopback": "loopback", "this-host": "unspecified"}
    for name, outcome in told["outcomes"].items():
        kind = kinds.get(name, "private")
        assert outcome == {"code": CLOSED, "seen": f"{name}.example.org leads to a {kind} address."}
    assert len(told["outcomes"]) == 8
    assert told["requests"] == []


def test_a_public_address_of_ipv6_is_pinned(tmp_path: Path) -> None:
    assert in_namespace("v6", tmp_path) == {"commit": 40}


def test_redirects_into_a_private_network(tmp_path: Path) -> None:
    told = in_namespace("redirects", tmp_path)
    base = "http://git.example.org"
    for name, host, via in (
        ("by-address", PRIVATE, "by-address"),
        ("by-name", "inside.example.org", "by-name"),
        ("chain", PRIVATE, "by-address"),
        ("decimal", PRIVATE, "decimal"),
        ("octal", PRIVATE, "octal"),
        ("dot", "inside.example.org", "dot"),
        ("v6", f"::ffff:{PRIVATE}", "v6"),
    ):
        seen = f"{host} leads to a private address.\n{base}/{via}/r.git redirects there."
        assert told["outcomes"][name] == {"code": CLOSED, "seen": seen}, name
    assert told["outcomes"]["metadata"]["code"] == CLOSED
    for name, reason in {
        "password": "it redirects to an address that cannot be a repository's",
        "git": "it redirects to a protocol that is less safe",
        "file": "it redirects to something that is not a repository",
        "loop": "it redirects more than 5 times",
    }.items():
        seen = f"Asking {base}/{name}/r.git failed: {reason}."
        assert told["outcomes"][name] == {"code": "host-unreachable", "seen": seen}, name
    # The target's name is looked up once for each question, and turns private after the first.
    assert told["outcomes"]["elsewhere"]["code"] == CLOSED
    assert told["private requests"] == []


def test_git_and_ssh_connect_where_it_was_looked(tmp_path: Path) -> None:
    assert in_namespace("pinned_protocols", tmp_path)["reached"] == {"git": [PUBLIC], "ssh": [PUBLIC]}


def test_a_dumb_servers_alternates_lead_nowhere(tmp_path: Path) -> None:
    told = in_namespace("alternates", tmp_path)
    assert told["asked for alternates"], "else this shows nothing"
    assert told["private requests"] == []
    assert "file" not in told["outcome"]


def test_behind_a_proxy(tmp_path: Path) -> None:
    told = in_namespace("behind_a_proxy", tmp_path)
    assert told["known"] == {"code": CLOSED, "seen": "known.example.org leads to a private address."}
    assert told["literal"] == {"code": CLOSED, "seen": f"{PRIVATE} leads to a private address."}
    assert told["unknown"]["code"] == "repository-missing", "the proxy was asked, and knows no such page"
    assert told["proxied"] == ["http://only-the-proxy-knows.example.org/r.git/info/refs"]
    assert told["direct"]["code"] == CLOSED, "no_proxy: straight there, so the second look-up is looked at"
    assert told["private requests"] == []
