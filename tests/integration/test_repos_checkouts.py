"""Checkouts from real git hosts: the right files, once for many, within limits, and nothing left over."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from launcher.errors import CheckoutRefused, RefMissing, RepositoryMissing, RepositoryTooLarge
from launcher.model import ResolvedRepo
from launcher.repos.budget import Limits
from launcher.repos.checkouts import Keep
from launcher.repos.providers import parse_url
from launcher.repos.resolver import GitResolver
from tests.fixtures.repos import git
from tests.fixtures.trees import (
    LOOPBACK,
    PROTOCOLS,
    blob,
    checkouts,
    left_over,
    names,
    raw_commit,
    raw_tree,
    resolve,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.repos import GitHost, GitHttpHost


async def test_files_modes_remote_and_branch(git_daemon: GitHost, tmp_path: Path) -> None:
    repo = git_daemon.make_repo(files={"a/b.txt": "one\n", "größe 漢.txt": "x"})
    (repo.work / "run.sh").write_text("#!/bin/sh\n")
    (repo.work / "run.sh").chmod(0o755)
    (repo.work / "link").symlink_to("a/b.txt")
    repo.add({"c": "\r\n"})
    async with checkouts(tmp_path) as shared, shared.open(await resolve(repo)) as checkout:
        path = checkout.path
        assert (path / "a/b.txt").read_text() == "one\n"
        assert (path / "größe 漢.txt").exists()
        assert (path / "c").read_bytes() == b"\r\n"
        assert str((path / "link").readlink()) == "a/b.txt"
        assert stat.S_IMODE((path / "a/b.txt").stat().st_mode) == 0o644
        assert stat.S_IMODE((path / "run.sh").stat().st_mode) == 0o755
        assert all(stat.S_IMODE(one.stat().st_mode) == 0o755 for one in (path, path / "a", path.parent))
        assert git(path, "remote", "get-url", "origin") == repo.url
        assert git(path, "symbolic-ref", "HEAD") == "refs/heads/main"
        assert git(path, "rev-parse", "HEAD") == repo.commit
        assert git(path, "rev-parse", "main@{upstream}") == repo.commit
        assert git(path, "status", "--porcelain") == ""
        assert git(path, "rev-list", "--count", "HEAD") == "1", "one commit was fetched, not the history"
        assert checkout.tree == git(repo.path, "rev-parse", "HEAD^{tree}")
    assert await left_over(tmp_path) == []


@pytest.mark.parametrize("any_commit", [True, False])
@pytest.mark.parametrize("wanted", ["v1", "v2", "feature/x", "main~1", "refs/pull/1/head"])
async def test_every_kind_of_reference(git_http: GitHttpHost, tmp_path: Path, wanted: str, *, any_commit: bool) -> None:
    repo = git_http.make_repo(branches={"feature/x": {"x": "y"}}, tags=("v1", "+v2"), any_commit=any_commit)
    repo.add({"later": "1"})
    git(repo.path, "update-ref", "refs/pull/1/head", repo.commit_of("feature/x"))
    commit = repo.commit_of(wanted)
    async with checkouts(tmp_path) as shared:
        resolved = await resolve(repo, commit if "~" in wanted else wanted)
        async with shared.open(resolved) as checkout:
            assert git(checkout.path, "rev-parse", "HEAD") == commit
            on_branch = resolved.name.startswith("refs/heads/")
            assert git(checkout.path, "branch", "--show-current") == (wanted if on_branch else "")


async def test_over_http_with_redirects(git_http: GitHttpHost, tmp_path: Path) -> None:
    repo = git_http.make_repo(files={"a": "1"})
    git_http.redirects["/renamed/"] = "/"
    url = repo.url.replace(git_http.base, f"{git_http.base}/renamed")
    async with checkouts(tmp_path) as shared:
        found = ResolvedRepo(parse_url(url), repo.commit, "refs/heads/main")
        async with shared.open(found) as checkout:
            assert (checkout.path / "a").read_text() == "1"
            assert git(checkout.path, "remote", "get-url", "origin") == url


async def test_a_branch_that_moved_between_resolving_and_fetching(git_http: GitHttpHost, tmp_path: Path) -> None:
    for any_commit in (True, False):
        repo = git_http.make_repo(any_commit=any_commit)
        resolved = await resolve(repo, "main")
        repo.add({"later": "1"})
        async with checkouts(tmp_path) as shared, shared.open(resolved) as checkout:
            assert git(checkout.path, "rev-parse", "main") == resolved.commit
            assert not (checkout.path / "later").exists()


async def test_simultaneous_leases_share_one_fetch(git_http: GitHttpHost, tmp_path: Path) -> None:
    repo = git_http.make_repo()
    resolved = await resolve(repo)
    git_http.requests.clear()
    async with checkouts(tmp_path) as shared, AsyncExitStack() as leases:
        given = await asyncio.gather(*(leases.enter_async_context(shared.open(resolved)) for _ in range(20)))
        assert len({one.path for one in given}) == 1
        fetches = [path for path in git_http.requests if path.endswith("/info/refs?service=git-upload-pack")]
        assert len(fetches) == 1
    assert await left_over(tmp_path) == []


async def test_the_first_may_leave_during_the_fetch(git_daemon: GitHost, tmp_path: Path) -> None:
    repo = git_daemon.make_repo(files={"big": os.urandom(4_000_000)})
    resolved = await resolve(repo)
    async with checkouts(tmp_path) as shared:

        async def launch() -> bytes:
            async with shared.open(resolved) as checkout:
                return (checkout.path / "big").read_bytes()[:1]

        first, second = asyncio.create_task(launch()), asyncio.create_task(launch())
        await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert len(await second) == 1


async def test_the_first_may_leave_before_the_second(git_daemon: GitHost, tmp_path: Path) -> None:
    resolved = await resolve(git_daemon.make_repo())
    async with checkouts(tmp_path) as shared:
        async with shared.open(resolved) as one:
            async with shared.open(resolved):
                pass
            assert (one.path / "README.md").exists()
        assert await left_over(tmp_path) == []


async def test_when_all_leave_the_fetch_stops(tmp_path: Path) -> None:
    """A host that says nothing: git is killed once nobody waits, and the folder goes."""
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"git://127.0.0.1:{silent.getsockname()[1]}/r"
    async with checkouts(tmp_path) as shared:
        lease = shared.open(ResolvedRepo(parse_url(url), "a" * 40, ""))
        waiting = asyncio.create_task(lease.__aenter__())
        while not names(tmp_path / "checkouts"):
            await asyncio.sleep(0.02)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await left_over(tmp_path) == []
    connection, _ = silent.accept()
    with silent, connection:
        connection.settimeout(5)
        while connection.recv(4096):  # ends when git's side is closed: git is dead
            pass


async def test_a_kept_checkout_is_used_again_and_the_oldest_goes(git_http: GitHttpHost, tmp_path: Path) -> None:
    repos = [await resolve(git_http.make_repo()) for _ in range(3)]
    async with checkouts(tmp_path, keep=Keep(folders=2)) as shared:
        for resolved in repos:
            async with shared.open(resolved):
                pass
        git_http.requests.clear()
        for resolved in repos[1:]:
            async with shared.open(resolved):
                pass
        assert git_http.requests == [], "kept: nothing was fetched"
        async with shared.open(repos[0]):
            pass
        assert git_http.requests, "the one unused for longest had gone"


async def test_a_repository_s_kept_checkouts_are_forgotten_but_for_those_in_use(
    git_http: GitHttpHost, tmp_path: Path
) -> None:
    repo = git_http.make_repo()
    first, other = await resolve(repo), await resolve(git_http.make_repo())
    repo.add({"more": "x"})
    second = await resolve(repo)
    async with checkouts(tmp_path, keep=Keep()) as shared:
        async with shared.open(first), shared.open(other) as checkout:
            path = checkout.path
        async with shared.open(second) as leased:
            assert (shared.kept(repo.url), shared.kept(other.url)) == (1, 1)
            await shared.forget(repo.url)
            assert (shared.kept(repo.url), shared.kept(other.url)) == (0, 1)
            assert {one.name for one in path.parent.iterdir()} == {path.name, leased.path.name}


async def test_a_failed_fetch_is_tried_again(git_daemon: GitHost, tmp_path: Path) -> None:
    repo = git_daemon.make_repo()
    resolved = await resolve(repo)
    hidden = repo.path.rename(repo.path.with_suffix(".hidden"))
    async with checkouts(tmp_path, keep=Keep()) as shared:
        with pytest.raises(RepositoryMissing):
            async with shared.open(resolved):
                pass
        hidden.rename(repo.path)
        async with shared.open(resolved) as checkout:
            assert (checkout.path / "README.md").exists()


async def test_a_commit_that_is_gone(git_http: GitHttpHost, tmp_path: Path) -> None:
    for any_commit in (True, False):
        repo = git_http.make_repo(any_commit=any_commit)
        async with checkouts(tmp_path) as shared:
            with pytest.raises(RefMissing):
                async with shared.open(ResolvedRepo(parse_url(repo.url), "a" * 40, "refs/heads/main")):
                    pass
            assert await left_over(tmp_path) == []


async def test_a_tag_on_something_else_than_a_commit(git_daemon: GitHost, tmp_path: Path) -> None:
    repo = git_daemon.make_repo()
    git(repo.path, "tag", "tree", "HEAD^{tree}")
    async with checkouts(tmp_path) as shared:
        resolved = await resolve(repo, "tree")
        with pytest.raises((CheckoutRefused, RefMissing)):
            async with shared.open(resolved):
                pass
        assert await left_over(tmp_path) == []


async def test_leftovers_of_a_killed_process_are_removed(git_daemon: GitHost, tmp_path: Path) -> None:
    folder = tmp_path / "checkouts" / "0123-1" / "deep"
    folder.mkdir(parents=True)
    (folder / "f").touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").touch()
    (tmp_path / "checkouts" / "link").symlink_to(tmp_path / "outside")
    async with checkouts(tmp_path):
        assert names(tmp_path / "checkouts") == []
    assert (tmp_path / "outside/kept").exists()
    assert git_daemon.root.exists()


async def test_a_tree_deeper_than_pythons_stack_is_removed(git_daemon: GitHost, tmp_path: Path) -> None:
    repo = git_daemon.make_repo(files={"f": "x"})
    blob = git(repo.work, "rev-parse", "HEAD:f")
    git(repo.work, "update-index", "--add", "--cacheinfo", f"100644,{blob},{'d/' * 1800}f")
    git(repo.work, "commit", "--quiet", "-m", "deep")
    git(repo.work, "push", "--quiet", str(repo.path), "HEAD:refs/heads/deep")
    async with checkouts(tmp_path) as shared:
        async with shared.open(await resolve(repo, "deep")) as checkout:
            assert (checkout.path / "d").is_dir()
        assert await left_over(tmp_path) == []


@pytest.mark.parametrize(
    "limits,what,limit",
    [
        (Limits(files=3), "files", 3),
        (Limits(bytes=200_000), "bytes", 200_000),
        (Limits(seconds=0.001), "seconds", 0),
    ],
)
async def test_limits(git_daemon: GitHost, tmp_path: Path, limits: Limits, what: str, limit: int) -> None:
    repo = git_daemon.make_repo(files={"zeros": b"\0" * 300_000, "b": "", "c": "", "d": ""})
    async with checkouts(tmp_path, limits) as shared:
        with pytest.raises(RepositoryTooLarge) as caught:
            async with shared.open(await resolve(repo)):
                pass
        assert (caught.value.what, caught.value.limit, caught.value.url) == (what, limit, repo.url)
        assert await left_over(tmp_path) == []


async def test_the_fetch_itself_is_limited(git_http: GitHttpHost, tmp_path: Path) -> None:
    """Bytes that the host sends count while they come: here the commit itself is small, its history is not."""
    repo = git_http.make_repo(files={"noise": os.urandom(12_000_000)}, any_commit=False)
    commit = repo.add({"noise": ""})
    repo.add({"later": ""})
    async with checkouts(tmp_path, Limits(bytes=1_000_000)) as shared:
        with pytest.raises(RepositoryTooLarge) as caught:
            async with shared.open(ResolvedRepo(parse_url(repo.url), commit, "")):
                pass
        assert caught.value.what == "bytes"
        assert await left_over(tmp_path) == []


@pytest.mark.parametrize("name", ["..", ".git", ".GIT", "../outside", ".git/hooks/post-checkout", "/etc/x"])
async def test_names_that_climb_out(git_daemon: GitHost, tmp_path: Path, name: str) -> None:
    repo = git_daemon.make_repo()
    commit = raw_commit(repo, raw_tree(repo, [("100644", name, blob(repo, "evil"))]))
    async with checkouts(tmp_path) as shared:
        with pytest.raises(CheckoutRefused) as caught:
            async with shared.open(ResolvedRepo(parse_url(repo.url), commit, "")):
                pass
        assert str(tmp_path) not in str(vars(caught.value))
        assert await left_over(tmp_path) == []
    assert names(tmp_path) == ["checkouts"]


@pytest.mark.parametrize(
    "link,target,refused",
    [
        ("requirements.txt", "/etc/passwd", "requirements.txt"),
        ("binder", "/etc", "binder"),
        ("binder/environment.yml", "../../../secret", "binder/environment.yml"),
        (".binder/Dockerfile", "../.git/config", ".binder/Dockerfile"),
        ("Dockerfile", "Dockerfile", "Dockerfile"),
        ("requirements.txt", "docs/requirements.txt", ""),
        ("data", "/srv/data", ""),
    ],
)
async def test_links_that_lead_out(git_daemon: GitHost, tmp_path: Path, link: str, target: str, refused: str) -> None:
    repo = git_daemon.make_repo()
    (repo.work / link).parent.mkdir(exist_ok=True)
    (repo.work / link).symlink_to(target)
    repo.add({})
    async with checkouts(tmp_path) as shared:
        if not refused:
            async with shared.open(await resolve(repo)) as checkout:
                assert str((checkout.path / link).readlink()) == target
            return
        with pytest.raises(CheckoutRefused) as caught:
            async with shared.open(await resolve(repo)):
                pass
        assert caught.value.path == refused


async def test_resolving_and_a_kept_checkout_take_milliseconds(
    git_daemon: GitHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a cached launch pays for its repository."""
    repo = git_daemon.make_repo()
    resolver, took = GitResolver(LOOPBACK, PROTOCOLS), []
    async with checkouts(tmp_path, keep=Keep()) as shared:
        for _ in range(11):
            begun = time.perf_counter()
            resolved = await resolver.resolve(parse_url(repo.url, "main"))
            between = time.perf_counter()
            async with shared.open(resolved):
                took.append((between - begun, time.perf_counter() - between))
    resolver.close()
    resolving, opening = (sorted(times)[5] for times in zip(*took, strict=True))
    with capsys.disabled():
        print(f"\nresolve {resolving * 1000:.1f} ms, first checkout {took[0][1] * 1000:.1f} ms, "
              f"kept checkout {opening * 1000:.2f} ms")  # fmt: skip
    assert opening < 0.05
    assert resolving < 1
