"""Resolving against real git hosts: the exact commit, or the exact refusal."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from launcher.errors import (
    AddressRefused,
    HostUnreachable,
    LauncherError,
    ProtocolRefused,
    RefAmbiguous,
    RefMissing,
    RepositoryBanned,
    RepositoryMissing,
    RepositoryPrivate,
)
from launcher.gate.gate import Gate
from launcher.gate.policy import Policy
from launcher.repos.addresses import AddressPolicy
from launcher.repos.aliases import Aliases
from launcher.repos.provider import Sites
from launcher.repos.providers import parse_url
from launcher.repos.resolver import GitResolver
from tests.fixtures.repos import git

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.repos import GitHost, GitHttpHost, Repo

PROTOCOLS = ("http", "https", "git", "ssh")
LOOPBACK = AddressPolicy(["127.0.0.0/8"])


@pytest.fixture
def resolver() -> Iterator[GitResolver]:
    made = GitResolver(LOOPBACK, PROTOCOLS, timeout_s=20)
    yield made
    made.close()


@pytest.fixture(scope="module")
def sample(git_daemon: GitHost) -> Repo:
    """Branches with slashes, one the suffix of another, tags of both kinds, names of many alphabets."""
    repo = git_daemon.make_repo(
        files={"README.md": "one"},
        branches={"feature/main": {"a": "1"}, "größe/漢字": {"b": "2"}, "both": {"c": "3"}, "deadbeef": {"d": "4"}},
        tags=("v1", "+v2", "same"),
    )
    git(repo.work, "branch", "same", "main")
    git(repo.work, "push", "--quiet", str(repo.path), "refs/heads/same")
    repo.tag("both", "main")
    repo.add({"README.md": "two"})  # so that `main` has a commit that no branch points at
    git(repo.path, "update-ref", "refs/pull/7/head", repo.commit_of("refs/heads/both"))
    return repo


@pytest.mark.parametrize(
    "wanted,name,points_at",
    [
        ("", "refs/heads/main", "refs/heads/main"),
        ("HEAD", "refs/heads/main", "refs/heads/main"),
        ("main", "refs/heads/main", "refs/heads/main"),
        ("feature/main", "refs/heads/feature/main", "refs/heads/feature/main"),
        ("größe/漢字", "refs/heads/größe/漢字", "refs/heads/größe/漢字"),
        ("v1", "refs/tags/v1", "refs/tags/v1"),
        ("v2", "refs/tags/v2", "refs/tags/v2"),
        ("same", "refs/heads/same", "refs/tags/same"),
        ("refs/heads/both", "refs/heads/both", "refs/heads/both"),
        ("refs/tags/both", "refs/tags/both", "refs/tags/both"),
        ("refs/pull/7/head", "refs/pull/7/head", "refs/heads/both"),
        ("deadbeef", "refs/heads/deadbeef", "refs/heads/deadbeef"),
    ],
)
async def test_names(resolver: GitResolver, sample: Repo, wanted: str, name: str, points_at: str) -> None:
    found = await resolver.resolve(parse_url(sample.url, wanted))
    assert (found.name, found.commit) == (name, sample.commit_of(points_at))


@pytest.mark.parametrize("at", ["main", "main~1", "main~2"])
@pytest.mark.parametrize("digits", [7, 12, 40])
async def test_commits_with_and_without_a_branch_on_them(
    resolver: GitResolver, sample: Repo, at: str, digits: int
) -> None:
    commit = sample.commit_of(at)
    found = await resolver.resolve(parse_url(sample.url, commit[:digits]))
    assert (found.commit, found.name) == (commit, "")


async def test_a_commit_in_capitals(resolver: GitResolver, sample: Repo) -> None:
    found = await resolver.resolve(parse_url(sample.url, sample.commit.upper()))
    assert found.commit == sample.commit


async def test_a_commit_that_the_host_hands_out_only_with_its_branch(
    resolver: GitResolver, git_http: GitHttpHost
) -> None:
    repo = git_http.make_repo(any_commit=False)
    first = repo.commit
    repo.add({"x": "y"})
    assert (await resolver.resolve(parse_url(repo.url, first))).commit == first
    assert (await resolver.resolve(parse_url(repo.url, first[:9]))).commit == first


@pytest.mark.parametrize("any_commit", [True, False])
async def test_commits_that_are_not_there(resolver: GitResolver, git_http: GitHttpHost, *, any_commit: bool) -> None:
    repo = git_http.make_repo(any_commit=any_commit)
    for wanted in ("0123456789" * 4, "0123456789", "beefbeef"):
        with pytest.raises(RefMissing):
            await resolver.resolve(parse_url(repo.url, wanted))


@pytest.mark.parametrize(
    "wanted,similar",
    [
        ("master", ("main",)),
        ("feature", ("feature/main",)),
        ("Main", ("main", "feature/main")),
        ("nothing-like-it", ()),
        ("V2", ("v2",)),
    ],
)
async def test_names_that_are_not_there(
    resolver: GitResolver, git_daemon: GitHost, wanted: str, similar: tuple[str, ...]
) -> None:
    repo = git_daemon.make_repo(branches={"feature/main": {"a": "1"}}, tags=("v1", "v2"))
    with pytest.raises(RefMissing) as caught:
        await resolver.resolve(parse_url(repo.url, wanted))
    assert (caught.value.ref, caught.value.url) == (wanted, repo.url)
    assert set(similar) <= set(caught.value.similar)
    assert bool(caught.value.similar) == bool(similar)


async def test_never_a_suffix(resolver: GitResolver, git_daemon: GitHost) -> None:
    """`git ls-remote URL main` would find `feature/main` and `refs/tags/x/main`."""
    repo = git_daemon.make_repo(branches={"feature/topic": {"a": "1"}}, tags=("x/topic",))
    with pytest.raises(RefMissing) as caught:
        await resolver.resolve(parse_url(repo.url, "topic"))
    assert caught.value.similar[:2] == ("feature/topic", "x/topic")


async def test_a_branch_and_a_tag_of_one_name(resolver: GitResolver, sample: Repo) -> None:
    with pytest.raises(RefAmbiguous) as caught:
        await resolver.resolve(parse_url(sample.url, "both"))
    assert caught.value.candidates == ("refs/heads/both", "refs/tags/both")


async def test_a_branch_that_looks_like_the_beginning_of_a_commit(resolver: GitResolver, git_daemon: GitHost) -> None:
    repo = git_daemon.make_repo()
    first = repo.commit
    repo.add({"x": "y"}, branch=first[:8])
    repo.add({"x": "z"})
    with pytest.raises(RefAmbiguous) as caught:
        await resolver.resolve(parse_url(repo.url, first[:8]))
    assert caught.value.candidates == (f"refs/heads/{first[:8]}", first)


async def test_an_empty_repository(resolver: GitResolver, git_daemon: GitHost) -> None:
    repo = git_daemon.make_repo(files={})
    for wanted, missed in (("", "HEAD"), ("main", "main")):
        with pytest.raises(RefMissing) as caught:
            await resolver.resolve(parse_url(repo.url, wanted))
        assert (caught.value.ref, caught.value.similar) == (missed, ())


async def test_a_head_that_names_nothing(resolver: GitResolver, git_daemon: GitHost) -> None:
    repo = git_daemon.make_repo()
    git(repo.path, "symbolic-ref", "HEAD", "refs/heads/gone")
    with pytest.raises(RefMissing) as caught:
        await resolver.resolve(parse_url(repo.url))
    assert caught.value.similar == ("main",)


async def test_a_detached_head(resolver: GitResolver, git_daemon: GitHost) -> None:
    repo = git_daemon.make_repo()
    git(repo.path, "update-ref", "--no-deref", "HEAD", repo.commit)
    found = await resolver.resolve(parse_url(repo.url))
    assert (found.name, found.commit) == ("HEAD", repo.commit)


async def test_over_http(resolver: GitResolver, git_http: GitHttpHost) -> None:
    repo = git_http.make_repo(tags=("+v1",))
    assert (await resolver.resolve(parse_url(repo.url, "v1"))).commit == repo.commit


async def test_by_name_the_host_is_connected_at_the_checked_address(git_http: GitHttpHost) -> None:
    """The name resolves to the server when it is checked and to nothing afterwards: git needs no second look-up."""

    class Once(AddressPolicy):
        async def check(self, host: str, port: int, protocol: str = ""):  # type: ignore[no-untyped-def]  # noqa: ANN202
            return replace(await super().check("127.0.0.1", port, protocol), host=host)

    resolver = GitResolver(Once(["127.0.0.0/8"]), PROTOCOLS)
    repo = git_http.make_repo()
    named = repo.url.replace("127.0.0.1", "git.example.invalid")
    assert (await resolver.resolve(parse_url(named))).commit == repo.commit


async def test_git_protocol_by_name(git_daemon: GitHost) -> None:
    resolver = GitResolver(AddressPolicy(["127.0.0.0/8", "::1"]), PROTOCOLS)
    repo = git_daemon.make_repo()
    try:
        found = await resolver.resolve(parse_url(repo.url.replace("127.0.0.1", "localhost")))
    except HostUnreachable:
        pytest.fail("localhost was reached by an address at which nobody listens")
    assert found.commit == repo.commit


async def test_redirects_are_followed_to_allowed_addresses(resolver: GitResolver, git_http: GitHttpHost) -> None:
    repo = git_http.make_repo()
    name = repo.url.rpartition("/")[2]
    git_http.redirects.update({"/moved/": "/", "/again/": "/moved/"})
    found = await resolver.resolve(parse_url(f"{git_http.base}/again/{name}"))
    assert (found.commit, found.url) == (repo.commit, f"{git_http.base}/again/{name}")


async def test_where_a_host_leads_on_to_may_be_banned(resolver: GitResolver, git_http: GitHttpHost) -> None:
    repo, other = git_http.make_repo(), git_http.make_repo()
    name = repo.url.rpartition("/")[2]
    git_http.redirects.update({"/renamed/": "/twice/", "/twice/": "/"})
    policy = Policy.model_validate({"providers": {"git": {"banned": [f"^{re.escape(repo.url)}"]}}})
    resolver.mind(Gate(lambda: policy, time.monotonic, Aliases(Sites())).leads_to)
    with pytest.raises(RepositoryBanned, match=name):
        await resolver.resolve(parse_url(f"{git_http.base}/renamed/{name}"))
    found = await resolver.resolve(parse_url(f"{git_http.base}/renamed/{other.url.rpartition('/')[2]}"))
    assert found.commit == other.commit


@pytest.mark.parametrize(
    "target,kind",
    [
        ("http://127.0.0.2:1/r.git", "loopback"),
        ("http://169.254.169.254/latest", "link-local"),
        ("http://[::1]:80/x", "loopback"),
        ("http://2130706433:1/x", "loopback"),
    ],
)
async def test_redirects_to_closed_addresses(git_http: GitHttpHost, target: str, kind: str) -> None:
    resolver = GitResolver(AddressPolicy([], [git_http.base.removeprefix("http://")]), PROTOCOLS)
    git_http.redirects["/closed-redirect"] = target
    with pytest.raises(AddressRefused) as caught:
        await resolver.resolve(parse_url(f"{git_http.base}/closed-redirect"))
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "target,error",
    [
        ("/loop/", HostUnreachable("", "it redirects more than 5 times")),
        ("file:///etc/", HostUnreachable("", "it redirects to something that is not a repository")),
        ("ssh://h.org/", HostUnreachable("", "it redirects to a protocol that is less safe")),
        ("/users/sign_in?from=", RepositoryPrivate("")),
    ],
)
async def test_redirects_that_lead_nowhere(
    resolver: GitResolver, git_http: GitHttpHost, target: str, error: LauncherError
) -> None:
    git_http.redirects["/loop/"] = target
    url = f"{git_http.base}/loop/r.git"
    with pytest.raises(type(error)) as caught:
        await resolver.resolve(parse_url(url))
    assert vars(caught.value) == vars(error) | {"url": url}


@pytest.mark.parametrize(
    "path,error",
    [
        ("/nothing-here.git", RepositoryMissing("")),
        ("/page/repo.git", HostUnreachable("", "it answered, but not as a git host")),
    ],
)
async def test_no_repository_over_http(
    resolver: GitResolver, git_http: GitHttpHost, path: str, error: LauncherError
) -> None:
    with pytest.raises(type(error)) as caught:
        await resolver.resolve(parse_url(git_http.base + path))
    assert vars(caught.value) == vars(error) | {"url": git_http.base + path}


async def test_no_repository_at_a_daemon(resolver: GitResolver, git_daemon: GitHost) -> None:
    with pytest.raises(RepositoryMissing):
        await resolver.resolve(parse_url(f"{git_daemon.base}/nothing-here.git"))


async def test_a_private_repository(resolver: GitResolver, git_http: GitHttpHost) -> None:
    repo = git_http.make_repo()
    url = repo.url.replace(git_http.base, f"{git_http.base}/private")
    with pytest.raises(RepositoryPrivate) as caught:
        await resolver.resolve(parse_url(url))
    assert caught.value.url == url


async def test_nobody_listens(resolver: GitResolver) -> None:
    for scheme in ("http", "https", "git"):
        with pytest.raises(HostUnreachable) as caught:
            await resolver.resolve(parse_url(f"{scheme}://127.0.0.1:1/r.git"))
        assert caught.value.reason == "nothing listens there"
    with pytest.raises(HostUnreachable) as caught:
        await resolver.resolve(parse_url("ssh://127.0.0.1:1/r.git"))
    assert caught.value.reason in {"nothing listens there", "there is no ssh program here"}


async def test_closed_addresses_are_not_connected_to(git_http: GitHttpHost) -> None:
    repo = git_http.make_repo()
    with pytest.raises(AddressRefused):
        await GitResolver(AddressPolicy(), PROTOCOLS).resolve(parse_url(repo.url))
    assert not [path for path in git_http.requests if repo.url.rpartition("/")[2] in path]


async def test_protocols(git_daemon: GitHost) -> None:
    repo = git_daemon.make_repo()
    with pytest.raises(ProtocolRefused):
        await GitResolver(LOOPBACK, ("https",)).resolve(parse_url(repo.url))
    files = (*PROTOCOLS, "file")
    local = parse_url(str(repo.path), sites=Sites(protocols=files))
    assert (await GitResolver(LOOPBACK, files).resolve(local)).commit == repo.commit
    with pytest.raises(ProtocolRefused):
        await GitResolver(LOOPBACK, PROTOCOLS).resolve(local)


async def test_a_host_that_never_answers() -> None:
    server = socket.create_server(("127.0.0.1", 0))  # accepts, and says nothing
    port = server.getsockname()[1]
    resolver = GitResolver(LOOPBACK, PROTOCOLS, timeout_s=0.5)
    begun = time.monotonic()
    with pytest.raises(HostUnreachable) as caught:
        await resolver.resolve(parse_url(f"http://127.0.0.1:{port}/r"))
    assert caught.value.reason == "it did not answer within 0.5 seconds"
    assert time.monotonic() - begun < 5
    server.close()


async def test_the_machines_git_configuration_is_not_used(
    resolver: GitResolver, git_daemon: GitHost, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """A rewrite rule and a variable of the launcher's environment would send git elsewhere."""
    repo = git_daemon.make_repo()
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "url.git://127.0.0.1:1/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", git_daemon.base)
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert (await resolver.resolve(parse_url(repo.url))).commit == repo.commit


async def test_many_at_once_are_quick(resolver: GitResolver, sample: Repo) -> None:
    begun = time.monotonic()
    found = await asyncio.gather(*(resolver.resolve(parse_url(sample.url, "main")) for _ in range(30)))
    assert {one.commit for one in found} == {sample.commit}
    assert time.monotonic() - begun < 20


async def test_on_github_a_default_branchs_old_name_leads_to_the_new_one(resolver: GitResolver, sample: Repo) -> None:
    """As with BinderHub: many badges say `master`. Any other name is missing."""
    asked = replace(parse_url(sample.url, "master"), provider="gh")
    found = await resolver.resolve(asked)
    assert (found.commit, found.name) == (sample.commit_of("refs/heads/main"), "refs/heads/main")
    for other in (replace(asked, provider="git"), replace(asked, ref="develop")):
        with pytest.raises(RefMissing):
            await resolver.resolve(other)
