"""Submodules: the right commits in the right folders, by the rules of a pasted link; and those that mean harm."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from launcher.errors import (
    AddressRefused,
    BadUrl,
    CheckoutRefused,
    LauncherError,
    LocalPath,
    ProtocolRefused,
    RefMissing,
    RepositoryBanned,
    RepositoryMissing,
    RepositoryTooLarge,
    SubmoduleFailed,
)
from launcher.gate.gate import Gate
from launcher.gate.policy import Policy
from launcher.repos.aliases import Aliases
from launcher.repos.budget import Limits
from launcher.repos.checkouts import Keep
from launcher.repos.provider import Sites
from launcher.repos.spellings import plain_address
from launcher.repos.submodules import Module, absolute, repository
from tests.fixtures.repos import git
from tests.fixtures.trees import blob, checkouts, failure, link, raw_commit, raw_tree, resolve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.repos import GitHost, GitHttpHost


def canaries(folder: Path) -> list[Path]:
    """What only a program of the repository's could have written."""
    return list(folder.rglob("canary"))


async def test_submodules_in_submodules(git_http: GitHttpHost, git_daemon: GitHost, tmp_path: Path) -> None:
    """Relative, absolute, on another host and by another protocol; at recorded commits that no branch is on."""
    deepest = git_daemon.make_repo(files={"deep.txt": "deepest"})
    middle = git_http.make_repo(files={"middle.txt": "middle"})
    link(middle, "in/side", deepest.url, deepest.commit)
    recorded = middle.commit
    middle.add({"middle.txt": "later"})
    root = git_http.make_repo(files={"a.txt": "a"})
    link(root, "libs/größe", f"../{middle.path.name}", recorded, name="lib")
    link(root, "again", middle.url, recorded)
    link(root, "quiet", middle.url, recorded, more="\tupdate = none\n")
    git(root.work, "update-index", "--add", "--cacheinfo", f"160000,{recorded},stray")
    git(root.work, "commit", "--quiet", "-m", "a repository that was added by mistake")
    git(root.work, "push", "--quiet", str(root.path), "main")
    async with checkouts(tmp_path) as shared, shared.open(await resolve(root)) as checkout:
        path = checkout.path
        for where in ("libs/größe", "again"):
            assert (path / where / "middle.txt").read_text() == "middle"
            assert (path / where / "in/side/deep.txt").read_text() == "deepest"
            assert git(path / where, "rev-parse", "HEAD") == recorded
            assert git(path / where, "rev-list", "--count", "HEAD") == "1"
            assert git(path / where, "remote", "get-url", "origin") == middle.url
        assert git(path, "status", "--porcelain") == ""
        assert list((path / "quiet").iterdir()) == []
        assert list((path / "stray").iterdir()) == []


async def test_a_host_that_hands_out_only_branches(git_http: GitHttpHost, tmp_path: Path) -> None:
    part = git_http.make_repo(files={"f": "first"}, any_commit=False)
    recorded = part.commit
    part.add({"f": "second"})
    root = git_http.make_repo()
    link(root, "part", part.url, recorded)
    async with checkouts(tmp_path) as shared, shared.open(await resolve(root)) as checkout:
        assert (checkout.path / "part/f").read_text() == "first"


@pytest.mark.parametrize(
    "parent,url,expected",
    [
        ("https://h.org/group/repo.git", "../other.git", "https://h.org/group/other.git"),
        ("https://h.org/group/repo.git/", "../other.git", "https://h.org/group/other.git"),
        ("https://h.org/group/repo", "../../g2/other", "https://h.org/g2/other"),
        ("https://h.org:8443/group/repo", "./inner", "https://h.org:8443/group/repo/inner"),
        ("https://h.org/a", ".././../b", ""),
        ("https://h.org/a", "../../b", ""),
        ("https://h.org/a", "../../../10.0.0.1/b", ""),
        ("ssh://git@h.org/a/b", "../c", "ssh://git@h.org/a/c"),
        ("git@h.org:a/b", "../c", "git@h.org:a/c"),
        ("git@h.org:b", "../c", "git@h.org:c"),
        ("https://h.org/a", "https://other.org/b", "https://other.org/b"),
    ],
)
def test_relative_addresses(parent: str, url: str, expected: str) -> None:
    if expected:
        assert absolute(url, parent) == expected
        return
    with pytest.raises(BadUrl):
        absolute(url, parent)


@pytest.mark.parametrize(
    "url,cause,fact",
    [
        ("http://10.11.12.13/r.git", AddressRefused, "10.11.12.13"),
        ("git://169.254.169.254/r.git", AddressRefused, "link-local"),
        ("ssh://git@[::ffff:10.0.0.1]/r.git", AddressRefused, "private"),
        ("file:///etc", LocalPath, "one computer"),
        ("/etc", LocalPath, "one computer"),
        ("../../../../etc", BadUrl, "climbs out"),
        ("ext::sh -c touch% canary", ProtocolRefused, "ext"),
        ("-oProxyCommand=touch", BadUrl, "form"),
        ("ssh://-oProxyCommand=touch/x", BadUrl, "host name"),
        ("git@-oProxyCommand=x:y", BadUrl, "host name"),
        ("https://me:secret@git.example.org/r", BadUrl, "password"),
    ],
)
async def test_addresses_that_are_refused(
    git_http: GitHttpHost, tmp_path: Path, url: str, cause: type[LauncherError], fact: str
) -> None:
    root = git_http.make_repo()
    link(root, "lib", url, root.commit)
    error = await failure(root, tmp_path)
    assert isinstance(error, SubmoduleFailed)
    assert (error.url, error.path) == (root.url, "lib")
    assert isinstance(error.cause, cause)
    assert fact in str(vars(error.cause))
    assert "secret" not in str(vars(error.cause))


@pytest.mark.parametrize("url", ["file:///srv/git/lib", "/srv/git/lib", "../lib"])
def test_never_a_folder_of_this_machine(url: str) -> None:
    """Also where the operator opens `file` for links (CVE-2022-39253)."""
    with pytest.raises(LocalPath):
        repository(Module("lib", "lib", url), "1" * 40, "file:///srv/git/root", ("https", "file"))


async def test_a_submodule_that_redirects_inwards(git_http: GitHttpHost, tmp_path: Path) -> None:
    git_http.redirects["/sub-inwards/"] = "http://10.11.12.13/"
    root = git_http.make_repo()
    link(root, "lib", "../sub-inwards/r.git", root.commit)
    error = await failure(root, tmp_path)
    assert isinstance(error, SubmoduleFailed)
    assert isinstance(error.cause, AddressRefused)
    assert error.cause.via == f"{git_http.base}/sub-inwards/r.git"


@pytest.mark.parametrize("named", ["itself", "moved"])
async def test_what_is_banned_is_no_submodule(git_http: GitHttpHost, tmp_path: Path, named: str) -> None:
    """By its own address, or by one that leads there; also in what was fetched before the ban."""
    part, root = git_http.make_repo(), git_http.make_repo()
    name = part.path.name
    git_http.redirects["/sub-moved/"] = "/"
    link(root, "libs/part", part.url if named == "itself" else f"../sub-moved/{name}", part.commit)
    ban = {"providers": {"git": {"banned": [f"^{re.escape(plain_address(part.url))}/"]}}}
    policies = [Policy(), Policy.model_validate(ban)]
    of = Gate(lambda: policies[0], time.monotonic, Aliases(Sites()))
    async with checkouts(tmp_path, keep=Keep()) as shared, checkouts(tmp_path / "other") as other:
        shared.mind(of.leads_to)
        other.mind(of.leads_to)
        repo = await resolve(root)
        async with shared.open(repo) as checkout:
            assert (checkout.path / "libs/part/README.md").exists()
        del policies[0]
        git_http.requests.clear()
        for one in (shared, other) if named == "itself" else (other,):
            with pytest.raises(SubmoduleFailed) as caught:
                async with one.open(repo):
                    pass
            error = caught.value
            assert isinstance(error.cause, RepositoryBanned)
            assert (error.url, error.path) == (root.url, "libs/part")
            assert name in error.cause.spec
    assert not [path for path in git_http.requests if path.startswith(f"/{name}")]


async def test_what_is_not_there(git_http: GitHttpHost, tmp_path: Path) -> None:
    for url, commit, cause in (("../none.git", "1" * 40, RepositoryMissing), ("", "1" * 40, RefMissing)):
        root = git_http.make_repo()
        link(root, "lib", url or root.url, commit)
        error = await failure(root, tmp_path)
        assert isinstance(error, SubmoduleFailed)
        assert isinstance(error.cause, cause)


@pytest.mark.parametrize(
    "name,path,reason",
    [
        ("../../modules/evil", "lib", "climbs out"),  # CVE-2018-11235
        ("a/../../b", "lib", "climbs out"),
        ("lib\\\\..\\\\x", "lib", "climbs out"),  # CVE-2019-1387 and its kin
        ("lib", "-u./payload", "like an option"),  # CVE-2018-17456
        ("lib", "lib\\r", "control character"),  # CVE-2025-48384
    ],
)
async def test_names_and_paths_that_have_run_something(
    git_http: GitHttpHost, tmp_path: Path, name: str, path: str, reason: str
) -> None:
    root, part = git_http.make_repo(), git_http.make_repo()
    name, path = name.encode().decode("unicode_escape"), path.encode().decode("unicode_escape")
    escaped = name.replace("\\", "\\\\")
    link(root, path, part.url, part.commit, name=escaped)
    error = await failure(root, tmp_path)
    assert isinstance(error, SubmoduleFailed)
    assert isinstance(error.cause, CheckoutRefused)
    assert reason in error.cause.reason


async def test_a_trailing_carriage_return_without_quotes(git_http: GitHttpHost, tmp_path: Path) -> None:
    """CVE-2025-48384: the path loses its last character, and a link waits where it then leads."""
    root, part = git_http.make_repo(), git_http.make_repo(files={"hooks/post-checkout": "#!/bin/sh\ntouch canary\n"})
    (root.work / "sub").symlink_to(".git/modules/sub/hooks")
    (root.work / ".gitmodules").write_bytes(f'[submodule "sub"]\n\tpath = sub\r\n\turl = {part.url}\n'.encode())
    git(root.work, "add", ".gitmodules", "sub")
    git(root.work, "update-index", "--add", "--cacheinfo", f"160000,{part.commit},sub\r")
    git(root.work, "commit", "--quiet", "-m", "x")
    git(root.work, "push", "--quiet", str(root.path), "main")
    async with checkouts(tmp_path) as shared, shared.open(await resolve(root)) as checkout:
        assert list((checkout.path / "sub\r").iterdir()) == []
        assert not (checkout.path / ".git/modules").exists()
        assert canaries(tmp_path) == []


async def test_a_link_in_the_place_of_a_folder(git_http: GitHttpHost, tmp_path: Path) -> None:
    """CVE-2024-32002 without the help of a disk that takes A for a: the tree itself has both."""
    root, part = git_http.make_repo(), git_http.make_repo()
    (tmp_path / "outside").mkdir()
    modules = f'[submodule "x"]\n\tpath = a/b\n\turl = {part.url}\n'
    below = raw_tree(root, [("160000", "b", part.commit)])
    entries = [
        ("100644", ".gitmodules", blob(root, modules)),
        ("120000", "a", blob(root, str(tmp_path / "outside"))),
        ("40000", "a", below),
    ]
    raw_commit(root, raw_tree(root, entries), "main")
    error = await failure(root, tmp_path)
    assert isinstance(error, CheckoutRefused)
    assert "twice" in error.reason
    assert list((tmp_path / "outside").iterdir()) == []


async def test_capitals_are_other_names(git_http: GitHttpHost, tmp_path: Path) -> None:
    """CVE-2024-32002: `A/modules/x` is a submodule, `a` is a link to `.git`."""
    root, part = git_http.make_repo(), git_http.make_repo(files={"y/hooks/post-checkout": "#!/bin/sh\ntouch canary\n"})
    (root.work / "a").symlink_to(".git")
    git(root.work, "add", "a")
    link(root, "A/modules/x", part.url, part.commit, name="x/y")
    async with checkouts(tmp_path) as shared, shared.open(await resolve(root)) as checkout:
        assert (checkout.path / "A/modules/x/y/hooks/post-checkout").exists()
        assert not (checkout.path / ".git/modules").exists()
        assert canaries(tmp_path) == []


@pytest.mark.parametrize(
    "mode,text", [("120000", "/etc/passwd"), ("100644", "[submodule"), ("100644", "#" * (2**20 + 1))]
)
async def test_gitmodules_that_is_none(git_http: GitHttpHost, tmp_path: Path, mode: str, text: str) -> None:
    root = git_http.make_repo()
    entries = [(mode, ".gitmodules", blob(root, text)), ("160000", "lib", root.commit)]
    raw_commit(root, raw_tree(root, entries), "main")
    error = await failure(root, tmp_path)
    assert isinstance(error, CheckoutRefused)
    assert error.path == ".gitmodules"


async def test_what_gitmodules_includes_is_not_read(git_http: GitHttpHost, tmp_path: Path) -> None:
    (tmp_path / "more").write_text('[submodule "lib"]\n\turl = http://10.0.0.1/\n')
    root, part = git_http.make_repo(), git_http.make_repo()
    link(root, "lib", part.url, part.commit, more=f"\tupdate = !touch canary\n[include]\n\tpath = {tmp_path}/more\n")
    async with checkouts(tmp_path) as shared, shared.open(await resolve(root)) as checkout:
        assert (checkout.path / "lib/README.md").exists()
        assert canaries(tmp_path) == []


async def test_a_declaration_in_a_submodule_that_leads_out(git_http: GitHttpHost, tmp_path: Path) -> None:
    part = git_http.make_repo()
    (part.work / "environment.yml").symlink_to("../.git/config")
    part.add({})
    root = git_http.make_repo()
    link(root, "binder", part.url, part.commit)
    error = await failure(root, tmp_path)
    assert isinstance(error, CheckoutRefused)
    assert error.path == "binder/environment.yml"


async def test_limits_are_shared(git_http: GitHttpHost, tmp_path: Path) -> None:
    part = git_http.make_repo(files={str(number): "x" * 1000 for number in range(6)})
    root = git_http.make_repo(files={str(number): "x" * 1000 for number in range(6)})
    for number in range(3):
        link(root, f"part{number}", part.url, part.commit)
    for limits, what, limit in (
        (Limits(files=20), "files", 20),
        (Limits(bytes=20_000), "bytes", 20_000),
        (Limits(submodules=2), "submodules", 2),
    ):
        error = await failure(root, tmp_path, limits)
        assert isinstance(error, RepositoryTooLarge)
        assert (error.url, error.what, error.limit) == (root.url, what, limit)
    chain = git_http.make_repo()
    for _ in range(3):
        above = git_http.make_repo()
        link(above, "below", chain.url, chain.commit)
        chain = above
    error = await failure(chain, tmp_path, Limits(depth=2))
    assert isinstance(error, RepositoryTooLarge)
    assert error.what == "levels of submodules"
