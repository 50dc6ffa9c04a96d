"""Gets the files of one commit from its host into a folder: as little as the host allows, within limits."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.disks import FULL, says_full
from launcher.errors import CheckoutRefused, DiskFull, HostUnreachable, RefMissing, RepositoryTooLarge
from launcher.model import Checkout
from launcher.repos import tree
from launcher.repos.folders import remove
from launcher.repos.git import Command, GitFailed
from launcher.repos.programs import OutputTooLarge
from launcher.repos.remote import CHECKOUTS, Call, CommitWithheld, Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from launcher.model import ResolvedRepo
    from launcher.repos.addresses import AddressPolicy

_INFINITE = "--depth=2147483647"
"""Git's own word for all of the history, also of a repository that was shallow."""
_EVERYTHING = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What one checkout may take."""

    bytes: int = 2 * 2**30
    """Of the commit's files, and of what is fetched to get them."""
    files: int = 200_000
    seconds: float = 600


class Fetcher:
    """Fetches commits. Knows nothing of sharing."""

    def __init__(self, policy: AddressPolicy, protocols: tuple[str, ...], limits: Limits) -> None:
        self._remote = Remote(policy, protocols)
        self._limits = limits

    async def fetch(self, repo: ResolvedRepo, path: Path) -> tuple[Checkout, int]:
        """Make `path`; give the checkout and its size in bytes. Leaves nothing behind when it raises.

        Raises RepositoryTooLarge, CheckoutRefused, RefMissing, DiskFull, and what Remote.run raises.
        """
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._fetch(repo, path)
        except TimeoutError:
            await asyncio.to_thread(remove, path)
            raise RepositoryTooLarge(repo.url, "seconds", int(self._limits.seconds)) from None
        except (OSError, GitFailed) as error:
            await asyncio.to_thread(remove, path)
            if _is_full(error):
                raise DiskFull(CHECKOUTS) from None
            raise
        except BaseException:
            # Also when cancelled: git is dead by now, and removing is quick.
            await asyncio.to_thread(remove, path)
            raise

    async def _fetch(self, repo: ResolvedRepo, path: Path) -> tuple[Checkout, int]:
        await asyncio.to_thread(path.mkdir, mode=0o755, parents=True)
        await self._prepare(repo, path)
        await self._get_commit(repo, path)
        tree_id = await self._tree_id(repo, path)
        size = await self._look(repo, path)
        await self._check_out(repo, path)
        if escaped := await asyncio.to_thread(tree.escaping_declaration, path):
            raise CheckoutRefused(repo.url, escaped, "it is a link that leads out of the repository")
        return Checkout(repo, path, tree_id), size

    async def _prepare(self, repo: ResolvedRepo, path: Path) -> None:
        kind = "sha256" if len(repo.commit) == _SHA256_DIGITS else "sha1"
        await self._git(path, "init", "--quiet", "--template=", f"--object-format={kind}", "--initial-branch=none")
        await self._git(path, "remote", "add", "--", "origin", repo.url)

    async def _get_commit(self, repo: ResolvedRepo, path: Path) -> None:
        """The commit alone; else its branch or tag alone; else everything."""
        ways: list[list[str]] = [["--depth=1", repo.commit]]
        if repo.name:
            ways.append(["--depth=1", f"+{repo.name}:refs/repolaunch/fetched"])
        for way in ways:
            with suppress(CommitWithheld):
                await self._fetch_specs(repo, path, way)
            if await self._has(repo.commit, path):
                return
        # A "dumb" HTTP host knows no depth at all, not even this one.
        depth = [_INFINITE] if (path / ".git" / "shallow").exists() else []
        with suppress(CommitWithheld):
            await self._fetch_specs(repo, path, [*depth, *_EVERYTHING])
        if await self._has(repo.commit, path):
            return
        raise RefMissing(repo.url, repo.commit)

    async def _fetch_specs(self, repo: ResolvedRepo, path: Path, way: Sequence[str]) -> None:
        depth, specs = [one for one in way if one.startswith("--")], [one for one in way if not one.startswith("--")]

        def command(address: str) -> list[str]:
            return ["fetch", "--quiet", "--no-tags", "--force", *depth, "--", address, *specs]

        try:
            call = Call(command, self._limits.seconds, path, self._guard(repo, path))
            await self._remote.run(repo.url, call)
        except HostUnreachable as error:
            # Hosts that know no shallow fetch ("dumb" HTTP) say so in many ways; the whole is then asked for.
            if "--depth=1" not in depth or "shallow" not in error.reason:
                raise

    def _guard(self, repo: ResolvedRepo, path: Path) -> Callable[[], None]:
        objects, limit = path / ".git" / "objects", self._limits.bytes

        def guard() -> None:
            if tree.size(objects) > limit:
                raise RepositoryTooLarge(repo.url, "bytes", limit)

        return guard

    async def _has(self, commit: str, path: Path) -> bool:
        try:
            await self._git(path, "cat-file", "-e", f"{commit}^{{commit}}")
        except GitFailed:
            return False
        return True

    async def _tree_id(self, repo: ResolvedRepo, path: Path) -> str:
        try:
            return (await self._git(path, "rev-parse", "--verify", f"{repo.commit}^{{tree}}")).strip()
        except GitFailed:
            raise CheckoutRefused(repo.url, repo.commit, "it is not a commit") from None

    async def _look(self, repo: ResolvedRepo, path: Path) -> int:
        """The size of the commit's files, before they are written. Raises RepositoryTooLarge, CheckoutRefused."""
        try:
            listed = await self._git(path, "ls-tree", "-r", "-l", "-z", "--full-tree", repo.commit)
        except OutputTooLarge:
            raise RepositoryTooLarge(repo.url, "files", self._limits.files) from None
        entries = await asyncio.to_thread(tree.read_listing, listed)
        if len(entries) > self._limits.files:
            raise RepositoryTooLarge(repo.url, "files", self._limits.files)
        size = sum(entry.size for entry in entries)
        if size > self._limits.bytes:
            raise RepositoryTooLarge(repo.url, "bytes", self._limits.bytes)
        for entry in entries:
            if reason := tree.unfit(entry.path):
                raise CheckoutRefused(repo.url, _shown(entry.path), reason)
        return size

    async def _check_out(self, repo: ResolvedRepo, path: Path) -> None:
        branch = repo.name.removeprefix("refs/heads/")
        try:
            if branch == repo.name:
                await self._git(path, "checkout", "--quiet", "--force", "--detach", repo.commit)
                return
            await self._git(path, "update-ref", f"refs/remotes/origin/{branch}", repo.commit)
            await self._git(path, "update-ref", f"refs/heads/{branch}", repo.commit)
            await self._git(path, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
            await self._git(path, "config", f"branch.{branch}.remote", "origin")
            await self._git(path, "config", f"branch.{branch}.merge", f"refs/heads/{branch}")
            await self._git(path, "reset", "--quiet", "--hard")
        except GitFailed as failed:
            if _is_full(failed):
                raise
            bad = re.search(r"(?:invalid path|unable to create file) '?([^'\n]+)", failed.stderr)
            raise CheckoutRefused(repo.url, bad[1] if bad else repo.commit, "git cannot write it to a disk") from None

    async def _git(self, path: Path, *args: str) -> str:
        return await self._remote.git.run(Command(args, path, self._limits.seconds))

    def close(self) -> None:
        """Let the threads end."""
        self._remote.close()


def _is_full(error: OSError | GitFailed) -> bool:
    return says_full(error.stderr) if isinstance(error, GitFailed) else error.errno in FULL


def _shown(path: str) -> str:
    return path.encode("utf-8", "replace").decode()[:200]
