"""Repositories that are away or gone: the commits whose files were archived are launched all the same."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from launcher.errors import (
    HostUnreachable,
    LauncherError,
    LfsFailed,
    RateLimited,
    RecordDamaged,
    RecordGone,
    RefMissing,
    RepositoryMissing,
    RepositoryPrivate,
    SubmoduleFailed,
)
from launcher.model import Checkout, ResolvedRepo
from launcher.repos import tree

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.model import Account, RepoRef
    from launcher.stages import Resolver

log = logging.getLogger(__name__)
GONE = (HostUnreachable, RateLimited, RecordGone, RepositoryMissing, RepositoryPrivate)
"""Who deletes a repository at a forge, or hides it: the forge asks the next visitor for a login."""
WITHHELD = (*GONE, RecordDamaged, RefMissing)
"""Why files cannot be had that were there when somebody asked for their version. What is refused, is refused."""
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Archive(Protocol):
    """Keeps commits' files (launcher/builds/run.py: Builders)."""

    async def archived(self, url: str, ref: str) -> tuple[str, str]:
        """The commit that a link led to last, and its full name; `""`: none. Raises RegistryDown, BuildBroken."""
        ...

    async def restore(self, url: str, commit: str, folder: str) -> str:
        """Make a checkout of that name among the checkouts; its tree, `""`: there is none.

        Raises RegistryDown, BuildBroken.
        """
        ...


class ArchivedResolver:
    """A stages.Resolver that looks among what was archived when the repository gives no answer."""

    def __init__(self, inner: Resolver, archive: Archive) -> None:
        """Wrap `inner`."""
        self._inner = inner
        self._archive = archive

    async def resolve(self, ref: RepoRef, account: Account) -> ResolvedRepo:
        """As stages.Resolver; whatever is wrong with the archive, the repository's own error is raised.

        What is private is in no archive; what a repository gave to everybody, before it was hidden, may be.
        """
        try:
            return await self._inner.resolve(ref, account)
        except GONE:
            found = await self._find(ref)
            if found is None:
                raise
            return found
        except RefMissing:
            # A branch that is not there may be misspelt. A commit can only have been taken away.
            found = await self._find(ref) if _COMMIT.fullmatch(ref.ref) else None
            if found is None:
                raise
            return found

    async def _find(self, ref: RepoRef) -> ResolvedRepo | None:
        try:
            commit, name = await self._archive.archived(ref.url, ref.ref)
        except LauncherError as error:
            log.warning("the archive was not asked: %s", type(error).__name__)
            return None
        return ResolvedRepo(ref, commit, name, archived=True) if commit else None


class Fetches(Protocol):
    """Gets the files of one commit, or of one version of a record (`launcher/repos/fetch.py`)."""

    async def fetch(self, repo: ResolvedRepo, path: Path) -> tuple[Checkout, int]:
        """Make `path`; the checkout and its bytes. Leaves nothing behind when it raises."""
        ...


async def fetched(fetcher: Fetches, archive: Archive | None, repo: ResolvedRepo, path: Path) -> tuple[Checkout, int]:
    """The files at `path`, and their bytes: fetched or, where they cannot be had any more, as they were archived.

    `Checkout.repo` says which. Raises as `fetch`, and for what is archived HostUnreachable, RegistryDown, BuildBroken.
    """
    if archive is not None and repo.archived:
        return await _restored(archive, repo, path)
    try:
        return await fetcher.fetch(repo, path)
    except LauncherError as error:
        if archive is None or repo.private is not None or not isinstance(_cause(error), WITHHELD):
            raise
        try:
            return await _restored(archive, await _version(archive, repo), path)
        except LauncherError as other:
            log.warning("the archive does not have it either: %s", type(other).__name__)
        raise


def _cause(error: LauncherError) -> LauncherError:
    """What is wrong with the submodule, or with the large file."""
    while isinstance(error, (SubmoduleFailed, LfsFailed)):
        error = error.cause
    return error


async def _version(archive: Archive, repo: ResolvedRepo) -> ResolvedRepo:
    """This very version, and no other, as it was archived: of a record the commit is not known yet."""
    commit = repo.commit or (await archive.archived(repo.url, repo.record.id if repo.record else ""))[0]
    if not commit:
        raise HostUnreachable(repo.url, "it was not archived")
    return replace(repo, commit=commit, archived=True)


async def _restored(archive: Archive, repo: ResolvedRepo, path: Path) -> tuple[Checkout, int]:
    known = await archive.restore(repo.url, repo.commit, path.name)
    if not known:
        raise HostUnreachable(repo.url, "its archived files are gone too")
    return Checkout(repo, path, known), await asyncio.to_thread(tree.size, path)
