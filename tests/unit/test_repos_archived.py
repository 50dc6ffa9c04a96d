"""Repositories that are away or gone."""

from __future__ import annotations

import pytest

from launcher.errors import (
    AddressRefused,
    HostUnreachable,
    LauncherError,
    RefMissing,
    RegistryDown,
    RepositoryMissing,
    RepositoryPrivate,
)
from launcher.model import RepoRef, ResolvedRepo
from launcher.repos.archived import ArchivedResolver

URL = "https://git.example/a.git"
COMMIT = "c" * 40


def link(ref: str = "main") -> RepoRef:
    return RepoRef("git", f"a/{ref}", URL, ref)


class Upstream:
    """A repository that gives what it is told to."""

    def __init__(self, answer: ResolvedRepo | LauncherError) -> None:
        self.answer = answer

    async def resolve(self, _: RepoRef) -> ResolvedRepo:
        if isinstance(self.answer, LauncherError):
            raise self.answer
        return self.answer


class Kept:
    """An archive with one link in it."""

    def __init__(self, broken: LauncherError | None = None) -> None:
        self.asked: list[tuple[str, str]] = []
        self.broken = broken

    async def archived(self, url: str, ref: str) -> tuple[str, str]:
        self.asked.append((url, ref))
        if self.broken:
            raise self.broken
        return (COMMIT, "refs/heads/main") if ref in {"main", COMMIT} else ("", "")

    async def restore(self, url: str, commit: str, folder: str) -> str:
        raise NotImplementedError


async def test_a_repository_that_answers_is_believed() -> None:
    archive = Kept()
    found = ResolvedRepo(link(), "d" * 40, "refs/heads/main")
    assert await ArchivedResolver(Upstream(found), archive).resolve(link()) == found
    assert archive.asked == []


@pytest.mark.parametrize(
    "error",
    [HostUnreachable(URL, "no answer"), RepositoryMissing(URL), RepositoryPrivate(URL)],
    ids=lambda one: type(one).__name__,
)
async def test_one_that_does_not_is_launched_from_the_archive(error: LauncherError) -> None:
    found = await ArchivedResolver(Upstream(error), Kept()).resolve(link())
    assert found == ResolvedRepo(link(), COMMIT, "refs/heads/main", archived=True)
    with pytest.raises(type(error)):
        await ArchivedResolver(Upstream(error), Kept()).resolve(link("other"))


async def test_a_commit_that_was_taken_away_is_used_but_a_branch_is_not() -> None:
    missing = ArchivedResolver(Upstream(RefMissing(URL, COMMIT)), Kept())
    assert (await missing.resolve(link(COMMIT))).archived
    archive = Kept()
    with pytest.raises(RefMissing):
        await ArchivedResolver(Upstream(RefMissing(URL, "main")), archive).resolve(link())
    assert archive.asked == []


async def test_what_is_refused_is_refused() -> None:
    archive = Kept()
    refused = AddressRefused("git.example", "10.0.0.1", "private")
    with pytest.raises(AddressRefused):
        await ArchivedResolver(Upstream(refused), archive).resolve(link())
    assert archive.asked == []


async def test_an_archive_that_is_away_changes_no_error() -> None:
    away = Kept(RegistryDown("registry.example", "nothing listens there"))
    with pytest.raises(HostUnreachable):
        await ArchivedResolver(Upstream(HostUnreachable(URL, "no answer")), away).resolve(link())
