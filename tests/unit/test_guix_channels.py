"""What a channels.scm may say, and what of it is told as not pinned."""

from __future__ import annotations

from typing import Any

import pytest

from builders.errors import EnvironmentBroken
from builders.guix.channels import Channel, Introduction, loose, parse

COMMIT = "4a0b87f0ec5b6c2dcf82b372dd20ca7ea6acdd9c"
SIGNER = "BBB0 2DDF 2CEA F6A8 0D1D  E643 A2A0 6DF2 A33A 54FA"


def body(**fields: Any) -> dict[str, Any]:
    whole = {"name": "guix", "url": "https://git.example.org/guix.git", "branch": "master", "commit": COMMIT, "line": 3}
    return {**whole, "introduction": {"commit": COMMIT, "signer": SIGNER}, **fields}


def one(**fields: Any) -> Channel:
    return parse([body(**fields)], "channels.scm", ("https",))[0]


def test_a_channel() -> None:
    introduction = Introduction(COMMIT, SIGNER)
    expected = Channel("guix", "https://git.example.org/guix.git", "master", COMMIT, introduction, 3)
    assert one() == expected
    assert parse([expected.to_json()], "channels.scm", ("https",)) == (expected,)


@pytest.mark.parametrize(
    "fields,reason",
    [
        ({"name": "x y"}, "the name 'x y' of a channel is not a name"),
        ({"name": 3}, "the name '3' of a channel is not a name"),
        ({"branch": "-u"}, "the branch '-u' of a channel is not a branch"),
        ({"commit": "4a0b87f"}, "the commit '4a0b87f' of a channel is not a full commit id"),
        ({"commit": "v1.4.0"}, "the commit 'v1.4.0' of a channel is not a full commit id"),
        ({"introduction": {"commit": "x", "signer": SIGNER}}, "the commit 'x' of a channel is not a full commit id"),
        ({"introduction": {"commit": COMMIT, "signer": "x"}}, "the signer 'x' of a channel is not a key's fingerprint"),
        ({"url": 3}, "the address of the channel guix is none"),
        ({"url": "https://git.example.org/\x1b[31m"}, "the address of the channel guix is none"),
        ({"url": "https://git.example.org:99999/x"}, "the address of the channel guix is none"),
        ({"url": "https://[::1/x"}, "the address of the channel guix is none"),
        ({"url": "http://git.example.org/x"}, "the address of the channel guix does not begin with https:"),
        ({"url": "file:///etc"}, "the address of the channel guix does not begin with https:"),
        ({"url": "/etc"}, "the address of the channel guix does not begin with https:"),
        ({"url": "ssh://git.example.org/x"}, "the address of the channel guix does not begin with https:"),
        ({"url": "https://me:secret@git.example.org/x"}, "the address of the channel guix has a login in it"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(EnvironmentBroken) as caught:
        one(**fields)
    assert (caught.value.path, caught.value.reason) == ("channels.scm", reason)


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "[::1]",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "100.64.0.1",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "localhost",
        "git.localhost",
        "registry",
        "printer.local",
        "metadata.google.internal",
        "git.lan",
        "[64:ff9b::a00:5]",
    ],
)
def test_hosts_of_this_network_are_refused(host: str) -> None:
    with pytest.raises(EnvironmentBroken, match="is none of the internet"):
        one(url=f"https://{host}/guix.git")


@pytest.mark.parametrize(
    "host", ["git.example.org", "1.1.1.1", "[2606:4700::1111]", "xn--bcher-kva.example", "local.example.org"]
)
def test_hosts_of_the_internet_are_not(host: str) -> None:
    assert host in one(url=f"https://{host}:8443/guix.git").url


@pytest.mark.parametrize(
    "whole,reason",
    [
        (None, "it names no channel"),
        ([], "it names no channel"),
        ({"name": "guix"}, "it names no channel"),
        ([3], "it is not a list of channels"),
        ([body(), body()], "it names the channel guix twice"),
        ([body(name=f"x{n}") for n in range(65)], "it names more than 64 channels"),
    ],
)
def test_what_is_no_list_of_channels(whole: object, reason: str) -> None:
    with pytest.raises(EnvironmentBroken) as caught:
        parse(whole, "channels.scm", ("https",))
    assert caught.value.reason == reason


def test_what_is_not_pinned_is_told_with_its_line() -> None:
    channels = (one(), one(name="mine", commit=None, line=7), one(name="other", introduction=None, line=9))
    no_commit = "channels.scm:7: the channel mine has no commit"
    assert loose(channels, "channels.scm", authenticate=False) == (no_commit,)
    assert loose(channels, "channels.scm", authenticate=True) == (
        no_commit,
        "channels.scm:9: the channel other has no introduction, so nobody vouches for it",
    )
