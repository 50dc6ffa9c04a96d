"""Repositories that are away or gone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from launcher.errors import (
    AddressRefused,
    CheckoutRefused,
    DiskFull,
    HostUnreachable,
    LauncherError,
    LfsFailed,
    RateLimited,
    RecordDamaged,
    RefMissing,
    RegistryDown,
    RepositoryMissing,
    RepositoryPrivate,
    RepositoryTooLarge,
    SubmoduleFailed,
)
from launcher.model import Account, Checkout, Kind, Record, RepoRef, ResolvedRepo
from launcher.repos.archived import ArchivedResolver, fetched

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://git.example/a.git"
COMMIT = "c" * 40
VERSION = "10.5281/zenodo.7"
ANN = Account("ann", Kind.MEMBER)


def link(ref: str = "main") -> RepoRef:
    return RepoRef("git", f"a/{ref}", URL, ref)


class Upstream:
    """A repository that gives what it is told to."""

    def __init__(self, answer: ResolvedRepo | LauncherError) -> None:
        self.answer = answer

    async def resolve(self, _: RepoRef, __: Account) -> ResolvedRepo:
        if isinstance(self.answer, LauncherError):
            raise self.answer
        return self.answer


class Kept:
    """An archive with one link in it."""

    def __init__(self, broken: LauncherError | None = None) -> None:
        self.asked: list[tuple[str, str]] = []
        self.restored: list[tuple[str, str, str]] = []
        self.broken = broken

    async def archived(self, url: str, ref: str) -> tuple[str, str]:
        self.asked.append((url, ref))
        if self.broken:
            raise self.broken
        return (COMMIT, "refs/heads/main") if ref in {"main", COMMIT, VERSION} else ("", "")

    async def restore(self, url: str, commit: str, folder: str) -> str:
        self.restored.append((url, commit, folder))
        return "git:1" if (url, commit) == (URL, COMMIT) else ""


async def test_a_repository_that_answers_is_believed() -> None:
    archive = Kept()
    found = ResolvedRepo(link(), "d" * 40, "refs/heads/main")
    assert await ArchivedResolver(Upstream(found), archive).resolve(link(), ANN) == found
    assert archive.asked == []


@pytest.mark.parametrize(
    "error",
    [HostUnreachable(URL, "no answer"), RepositoryMissing(URL), RepositoryPrivate(URL)],
    ids=lambda one: type(one).__name__,
)
async def test_one_that_does_not_is_launched_from_the_archive(error: LauncherError) -> None:
    found = await ArchivedResolver(Upstream(error), Kept()).resolve(link(), ANN)
    assert found == ResolvedRepo(link(), COMMIT, "refs/heads/main", archived=True)
    with pytest.raises(type(error)):
        await ArchivedResolver(Upstream(error), Kept()).resolve(link("other"), ANN)


async def test_a_commit_that_was_taken_away_is_used_but_a_branch_is_not() -> None:
    missing = ArchivedResolver(Upstream(RefMissing(URL, COMMIT)), Kept())
    assert (await missing.resolve(link(COMMIT), ANN)).archived
    archive = Kept()
    with pytest.raises(RefMissing):
        await ArchivedResolver(Upstream(RefMissing(URL, "main")), archive).resolve(link(), ANN)
    assert archive.asked == []


async def test_what_is_refused_is_refused() -> None:
    archive = Kept()
    refused = AddressRefused("git.example", "10.0.0.1", "private")
    with pytest.raises(AddressRefused):
        await ArchivedResolver(Upstream(refused), archive).resolve(link(), ANN)
    assert archive.asked == []


async def test_an_archive_that_is_away_changes_no_error() -> None:
    away = Kept(RegistryDown("registry.example", "nothing listens there"))
    with pytest.raises(HostUnreachable):
        await ArchivedResolver(Upstream(HostUnreachable(URL, "no answer")), away).resolve(link(), ANN)


# --------------------------------------------------------------------------- files that cannot be had any more
class Fails:
    """Fetches nothing."""

    def __init__(self, error: LauncherError) -> None:
        self.error = error

    async def fetch(self, repo: ResolvedRepo, path: Path) -> tuple[Checkout, int]:
        del repo, path
        raise self.error


OF_GIT = ResolvedRepo(link(), COMMIT, "refs/heads/main")
OF_RECORD = ResolvedRepo(RepoRef("zenodo", VERSION, URL, ""), "", "", record=Record(VERSION, 0, ()))
AWAY = HostUnreachable("https://files.example/a", "no answer")


@pytest.mark.parametrize(
    "error",
    [
        AWAY,
        RecordDamaged(URL, "a.zip", "it is gone"),
        RateLimited(URL),
        RefMissing(URL, COMMIT),
        SubmoduleFailed(URL, "sub", LfsFailed(URL, "sub/large", AWAY)),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize("repo", [OF_GIT, OF_RECORD], ids=["git", "record"])
async def test_files_that_cannot_be_had_are_those_that_were_archived(
    error: LauncherError, repo: ResolvedRepo, tmp_path: Path
) -> None:
    archive, path = Kept(), tmp_path / "checkout-1"
    found, _ = await fetched(Fails(error), archive, repo, path)
    assert found == Checkout(replace(repo, commit=COMMIT, archived=True), path, "git:1")
    assert archive.restored == [(URL, COMMIT, "checkout-1")]
    # A record is asked for by its version: what its link leads to may be another one.
    assert archive.asked == ([] if repo.commit else [(URL, VERSION)])


@pytest.mark.parametrize(
    "error",
    [
        AddressRefused("git.example", "10.0.0.1", "private"),
        SubmoduleFailed(URL, "sub", AddressRefused("git.example", "10.0.0.1", "private")),
        CheckoutRefused(URL, "x", "it climbs out"),
        RepositoryTooLarge(URL, "bytes", 1),
        DiskFull("data folder"),
    ],
    ids=lambda one: type(one).__name__,
)
async def test_files_that_are_refused_are_refused(error: LauncherError, tmp_path: Path) -> None:
    archive = Kept()
    with pytest.raises(type(error)):
        await fetched(Fails(error), archive, OF_GIT, tmp_path / "checkout-1")
    assert (archive.asked, archive.restored) == ([], [])


async def test_where_nothing_is_archived_the_first_error_is_told(tmp_path: Path) -> None:
    for archive in (None, Kept(RegistryDown("registry.example", "nothing listens there")), Kept()):
        for repo in (replace(OF_GIT, commit="d" * 40), replace(OF_RECORD, record=Record("another", 0, ()))):
            with pytest.raises(HostUnreachable) as told:
                await fetched(Fails(AWAY), archive, repo, tmp_path / "checkout-1")
            assert told.value is AWAY
