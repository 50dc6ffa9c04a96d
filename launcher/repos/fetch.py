"""Gets the files of one commit, with its submodules and large files, into a folder, within limits."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import (
    CheckoutRefused,
    CredentialRefused,
    DiskFull,
    LauncherError,
    RepositoryMissing,
    RepositoryPrivate,
    RepositoryTooLarge,
    SubmoduleFailed,
)
from launcher.model import Checkout
from launcher.repos import submodules, tree
from launcher.repos.budget import Budget, Limits
from launcher.repos.commit import CommitFetcher, Got
from launcher.repos.folders import remove
from launcher.repos.git import GitFailed
from launcher.repos.hops import Hops
from launcher.repos.lfs import LargeFiles
from launcher.repos.records.fetch import RecordFetcher
from launcher.repos.remote import Remote, full_disk_told

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.model import ResolvedRepo
    from launcher.repos.access import Access, Keyring
    from launcher.repos.addresses import AddressPolicy
    from launcher.repos.submodules import Module

PARTS = Path(".git", "repolaunch.json")
"""In a checkout: what else than its own commit its files are made of. The volume helper reads it."""


class Fetcher:
    """Fetches commits. Knows nothing of sharing."""

    def __init__(
        self, policy: AddressPolicy, protocols: tuple[str, ...], limits: Limits, keyring: Keyring | None = None
    ) -> None:
        """`keyring` opens what is private; None: nothing is."""
        self._remote = Remote(policy, protocols, limits.memory, keyring.known_hosts if keyring else "")
        self._hops = Hops(policy, self._remote.curl, protocols)
        self._protocols = protocols
        self._limits = limits
        self._keyring = keyring

    def mind(self, leads_to: Callable[[str], None]) -> None:
        """Tell it each address that a repository or a host leads on to; what it raises stops that."""
        self._remote.leads_to = leads_to

    async def check(self, checkout: Checkout) -> None:
        """Tell it those of what was fetched before. Raises SubmoduleFailed."""
        for path, url in await asyncio.to_thread(_noted, checkout.path):
            try:
                self._remote.leads_to(url)
            except LauncherError as error:
                raise SubmoduleFailed(checkout.repo.url, path, error) from None

    async def fetch(self, repo: ResolvedRepo, path: Path) -> tuple[Checkout, int]:
        """Make `path`; give the checkout and its size in bytes. Leaves nothing behind when it raises.

        Raises RepositoryTooLarge, CheckoutRefused, SubmoduleFailed, LfsFailed, RefMissing, DiskFull,
        CredentialRefused, what Remote.run raises, and what RecordFetcher.get raises.
        """
        try:
            async with asyncio.timeout(self._limits.seconds):
                with full_disk_told():
                    return await self._fetch(repo, path)
        except TimeoutError:
            await asyncio.to_thread(remove, path)
            raise RepositoryTooLarge(repo.url, "seconds", int(self._limits.seconds)) from None
        except BaseException:
            # Also when cancelled: git is dead by now, and removing is quick.
            await asyncio.to_thread(remove, path)
            raise

    async def _fetch(self, repo: ResolvedRepo, path: Path) -> tuple[Checkout, int]:
        one = _Checkout(self._sources(await self._access(repo)), Budget(repo.url, self._limits), path)
        await asyncio.to_thread(path.mkdir, mode=0o755, parents=True)
        got = await one.get(repo)
        if escaped := await asyncio.to_thread(tree.escaping_declaration, path):
            raise CheckoutRefused(repo.url, escaped, "it is a link that leads out of the repository")
        return Checkout(self._narrowed(got.repo, alone=one.alone), path, one.tree_of(got)), one.budget.bytes

    async def _access(self, repo: ResolvedRepo) -> Access | None:
        """The credential that opened the repository. Raises CredentialRefused where it was taken back since."""
        if repo.private is None:
            return None
        access = await self._keyring.opened(repo.private, repo.url) if self._keyring else None
        if access is None:
            raise CredentialRefused(repo.url)
        return access

    def _sources(self, access: Access | None) -> _Sources:
        everybody = CommitFetcher(self._remote)
        commits = CommitFetcher(self._remote.opened(access)) if access else everybody
        large, records = LargeFiles(everybody, self._hops, access), RecordFetcher(everybody, self._hops)
        return _Sources(commits, everybody, large, records, self._protocols, access)

    def _narrowed(self, repo: ResolvedRepo, *, alone: bool) -> ResolvedRepo:
        """Where a submodule needed the credential too: nobody asked whether others may have it."""
        if repo.private is None or self._keyring is None or not alone:
            return repo
        space = self._keyring.space(repo.url, repo.private.account)
        return replace(repo, private=replace(repo.private, space=space))

    def close(self) -> None:
        """Let the threads end."""
        self._remote.close()


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where a checkout's files come from."""

    commits: CommitFetcher
    """With the credential that opened the repository, if one did."""
    everybody: CommitFetcher
    large: LargeFiles
    records: RecordFetcher
    protocols: tuple[str, ...]
    access: Access | None = None


class _Checkout:
    """One checkout that is being made."""

    def __init__(self, sources: _Sources, budget: Budget, root: Path) -> None:
        self._sources = sources
        self._root = root
        self._modules: list[dict[str, str]] = []
        self._lfs: dict[str, list[str]] = {}
        self.budget = budget
        self.alone = False
        """Whether a submodule came by the credential."""

    async def get(self, repo: ResolvedRepo) -> Got:
        """The repository, then its submodules, theirs, and so on; then the large files of each.

        Of a record the files that it has: what else they may name, its provider does not have.
        """
        if repo.record is not None:
            return await self._sources.records.get(repo, repo.record, self._root, self.budget)
        root = await self._sources.commits.get(repo, self._root, self.budget)
        found = [(root, 0)]
        for got, depth in found:
            for module, commit in await self._declared(got):
                self.budget.take_submodule(depth + 1)
                found.append((await self._submodule(got, module, commit), depth + 1))
        for got, _ in found:
            await self._large(got)
        if self._modules or self._lfs:
            text = json.dumps({"modules": self._modules, "lfs": self._lfs})
            await asyncio.to_thread((self._root / PARTS).write_text, text)
        return root

    async def _large(self, got: Got) -> None:
        above = self._inside(got.path)
        if paths := await self._sources.large.get(got, f"{above}/" if above else "", self.budget):
            self._lfs[above] = paths

    def tree_of(self, got: Got) -> str:
        """As `model.Checkout.tree`."""
        whole = f"{got.tree} with submodules {bool(self._modules)}, large files {bool(self._lfs)}"
        return hashlib.sha256(whole.encode()).hexdigest()[: len(got.tree)] if self._modules or self._lfs else got.tree

    async def _declared(self, got: Got) -> list[tuple[Module, str]]:
        """The submodules that are both in `.gitmodules` and in the tree, with their commits."""
        links = {entry.path: entry.id for entry in got.entries if entry.mode == submodules.LINK}
        file = next((entry for entry in got.entries if entry.path == submodules.FILE), None)
        if not links or file is None:
            return []
        if not file.mode.startswith("100") or file.size > submodules.LARGEST:
            raise CheckoutRefused(got.repo.url, submodules.FILE, "it is not a file of a reasonable size")
        try:
            listed = await self._sources.commits.git(
                got.path, "config", "--blob", file.id, "--no-includes", "-z", "--list"
            )
        except GitFailed:
            raise CheckoutRefused(got.repo.url, submodules.FILE, "git cannot read it") from None
        modules = submodules.read(listed)
        return [(modules[path], commit) for path, commit in links.items() if path in modules and not modules[path].skip]

    async def _submodule(self, parent: Got, module: Module, commit: str) -> Got:
        target = parent.path / module.path
        where = self._inside(target)
        try:
            if reason := submodules.unfit(module):
                raise CheckoutRefused(parent.repo.url, tree.shown(module.path), reason)
            if not await asyncio.to_thread(tree.is_empty_folder, parent.path, module.path):
                raise CheckoutRefused(parent.repo.url, tree.shown(module.path), "there is something in its place")
            repo = submodules.repository(module, commit, parent.repo.url, self._sources.protocols)
            self._sources.everybody.remote.leads_to(repo.url)
            got = await self._module(replace(repo, private=parent.repo.private), target)
        except (RepositoryTooLarge, DiskFull):
            raise
        except LauncherError as error:
            raise SubmoduleFailed(self.budget.url, tree.shown(where), error) from None
        facts = {"path": where, "parent": self._inside(parent.path), "name": module.name}
        self._modules.append({**facts, "url": repo.url, "commit": commit})
        return got

    async def _module(self, repo: ResolvedRepo, target: Path) -> Got:
        """As everybody has it; with the credential where that may be, and is needed."""
        access = self._sources.access
        try:
            return await self._sources.everybody.get(replace(repo, private=None), target, self.budget)
        except (RepositoryMissing, RepositoryPrivate):
            if access is None or repo.private is None or not access.reaches(repo.url):
                raise
        await asyncio.to_thread(remove, target)
        await asyncio.to_thread(target.mkdir)
        got = await self._sources.commits.get(repo, target, self.budget)
        self.alone = True
        return got

    def _inside(self, path: Path) -> str:
        """Where it lies in the whole, `""` for the whole itself."""
        return path.relative_to(self._root).as_posix().removeprefix(".")


def _noted(checkout: Path) -> list[tuple[str, str]]:
    """Where submodules lie in a checkout, and where they came from. Blocks."""
    try:
        noted = json.loads((checkout / PARTS).read_text())
    except FileNotFoundError:
        return []
    return [(tree.shown(one["path"]), one["url"]) for one in noted["modules"]]
