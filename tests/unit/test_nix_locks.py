"""What a flake's lock file wants fetched, and the addresses that are nobody's outside an institution."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builders.errors import BuildAddressClosed, EnvironmentBroken
from builders.nix.locks import MOST, Wanted, check, inputs

HASH = "sha256-uuLWW0xQd0j55xaVJAYHjI1ZTvHhpW+C6c/mjrE9nbg="
GITHUB = {"type": "github", "owner": "NixOS", "repo": "nixpkgs", "rev": "a" * 40, "narHash": HASH}


def lock(**locked: dict[str, Any]) -> bytes:
    nodes = {name: {"locked": about, "original": {}} for name, about in locked.items()}
    return json.dumps({"nodes": {**nodes, "root": {"inputs": {}}}, "root": "root", "version": 7}).encode()


def test_what_is_fetched() -> None:
    here = {"type": "path", "path": "./sub", "narHash": HASH}
    found = inputs(lock(nixpkgs=GITHUB, sub=here), "flake.lock")
    assert [(one.fetch, one.args, one.address) for one in found] == [("fetchTree", GITHUB, "github:NixOS/nixpkgs")]


@pytest.mark.parametrize(
    "path,name,parent,inside",
    [
        ("./sub", "flake.lock", None, True),
        ("../sub", "binder/flake.lock", [], True),
        ("../../sub", "sub/flake.lock", ["nixpkgs"], False),
        ("./lib", "flake.lock", ["nixpkgs"], True),
        ("/etc", "flake.lock", None, False),
        ("/etc", "flake.lock", ["nixpkgs"], False),
        ("..", "flake.lock", [], False),
        ("../../etc", "binder/flake.lock", [], False),
        ("./a/../../etc", "flake.lock", [], False),
        ("//etc", "flake.lock", None, False),
    ],
)
def test_a_folder_of_the_machine(path: str, name: str, parent: list[str] | None, inside: bool) -> None:
    about: dict[str, Any] = {"type": "path", "path": path, "narHash": HASH}
    node = {"locked": about} | ({} if parent is None else {"parent": parent})
    text = json.dumps({"nodes": {"data": node, "root": {"inputs": {}}}, "root": "root", "version": 7}).encode()
    if inside:
        assert inputs(text, name) == ()
        return
    with pytest.raises(EnvironmentBroken) as caught:
        inputs(text, name)
    assert caught.value.path == f"{name}: data"
    assert caught.value.reason == (
        f"it is the folder “{path}”, which is not in the repository: keep it there, and name it by a relative path"
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x.tar.gz",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0x7f000001/x",
        "http://10.0.0.5:8080/x",
        "http://169.254.169.254/latest/meta-data/",
        "https://[::1]/x",
        "https://[fd00::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "git+https://192.168.1.1/x.git",
        "tarball+https://somebody@10.0.0.1/x",
        "https://localhost/x",
        "https://LOCALHOST./x",
        "https://wiki.internal/x",
        "https://printer.local/x",
        "https://intranet/x",
        "https:/10.0.0.5/x",
        "http:\\\\10.0.0.5/x",
        "https://%31%30.0.0.5/x",
        "https://[2002:a00:5::]/x",
    ],
)
def test_private_addresses(url: str) -> None:
    with pytest.raises(BuildAddressClosed) as caught:
        inputs(lock(x={"type": "tarball", "url": url, "narHash": HASH}), "flake.lock")
    assert caught.value.step == "flake.lock: x"
    assert caught.value.address


def test_a_forge_of_ones_own() -> None:
    with pytest.raises(BuildAddressClosed) as caught:
        inputs(lock(x={**GITHUB, "host": "10.1.2.3"}), "binder/flake.lock")
    assert (caught.value.address, caught.value.step) == ("10.1.2.3", "binder/flake.lock: x")
    with pytest.raises(BuildAddressClosed):
        inputs(lock(x={**GITHUB, "host": "10.1.2.3:8080"}), "flake.lock")
    inputs(lock(x={**GITHUB, "host": "github.example.org"}), "flake.lock")


def test_a_registry_is_not_asked() -> None:
    with pytest.raises(EnvironmentBroken) as caught:
        inputs(lock(x={"type": "indirect", "id": "nixpkgs", "narHash": HASH}), "flake.lock")
    assert caught.value.reason == "it fetches “flake:nixpkgs”, and only http, https and git addresses are fetched"


@pytest.mark.parametrize(
    "url", ["https://example.org/x.tar.gz", "git+https://example.org/x", "http://1.1.1.1/x", "git://example.org/x"]
)
def test_public_addresses(url: str) -> None:
    check(Wanted("fetchTree", {"type": "tarball", "url": url}), "flake.lock: x")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "git+file:///srv/x", "git+ssh://git@example.org/x", "/etc", "x:[y"]
)
def test_other_ways(url: str) -> None:
    with pytest.raises(EnvironmentBroken) as caught:
        check(Wanted("fetchGit", {"url": url}), "default.nix:3")
    assert caught.value.path == "default.nix:3"
    assert caught.value.reason == f"it fetches “{url}”, and only http, https and git addresses are fetched"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"nodes": 1}',
        b'{"nodes": {"x": 1}}',
        b'{"nodes": {"x": {"locked": 1}}}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_damaged(text: bytes) -> None:
    with pytest.raises(EnvironmentBroken) as caught:
        inputs(text, "flake.lock")
    assert caught.value.reason == "it is no lock file of a flake: run `nix flake lock`, and commit it"


def test_no_hash() -> None:
    with pytest.raises(EnvironmentBroken) as caught:
        inputs(lock(old={**GITHUB, "narHash": None}), "flake.lock")
    assert caught.value.reason == "the input “old” has no narHash: run `nix flake lock` with a newer Nix"


def test_too_many() -> None:
    with pytest.raises(EnvironmentBroken) as caught:
        inputs(lock(**{f"x{at}": GITHUB for at in range(MOST + 1)}), "flake.lock")
    assert caught.value.reason == "it locks 1001 inputs; at most 1000 are fetched"
