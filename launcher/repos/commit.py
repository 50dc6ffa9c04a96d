"""Gets one commit of one repository from its host into a folder: as little as the host allows."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import CheckoutRefused, HostUnreachable, RefMissing
from launcher.repos import tree
from launcher.repos.git import Command, GitFailed
from launcher.repos.programs import OutputTooLarge
from launcher.repos.remote import Call, CommitWithheld

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from launcher.model import ResolvedRepo
    from launcher.repos.budget import Budget
    from launcher.repos.remote import Remote
    from launcher.repos.tree import Entry

_INFINITE = "--depth=2147483647"
"""Git's own word for all of the history, also of a repository that was shallow."""
_EVERYTHING = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Got:
    """A commit whose files are in `path`, whose `.git` is there too."""

    repo: ResolvedRepo
    path: Path
    tree: str
    entries: list[Entry]


class CommitFetcher:
    """Fetches commits into folders that are there and empty."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote

    async def get(self, repo: ResolvedRepo, path: Path, budget: Budget) -> Got:
        """Raises RepositoryTooLarge, CheckoutRefused, RefMissing, and what Remote.run raises."""
        await self.begin(repo, path, "sha256" if len(repo.commit) == _SHA256_DIGITS else "sha1")
        await self._get_commit(repo, path, budget)
        return await self.finish(repo, path, budget)

    async def begin(self, repo: ResolvedRepo, path: Path, kind: str = "sha1") -> None:
        """Make an empty repository."""
        await self.git(path, "init", "--quiet", "--template=", f"--object-format={kind}", "--initial-branch=none")
        await self.git(path, "remote", "add", "--", "origin", repo.url)

    async def finish(self, repo: ResolvedRepo, path: Path, budget: Budget) -> Got:
        """Look at a commit that is here, and write its files. Raises RepositoryTooLarge, CheckoutRefused."""
        tree_id = await self._tree_id(repo, path)
        entries = await self._look(repo, path, budget)
        await self._check_out(repo, path)
        return Got(repo, path, tree_id, entries)

    async def _get_commit(self, repo: ResolvedRepo, path: Path, budget: Budget) -> None:
        """The commit alone; else its branch or tag alone; else everything."""
        ways: list[list[str]] = [["--depth=1", repo.commit]]
        if repo.name:
            ways.append(["--depth=1", f"+{repo.name}:refs/repolaunch/fetched"])
        for way in ways:
            if await self._try(repo, path, way, budget):
                return
        # A "dumb" HTTP host knows no depth at all, not even this one.
        depth = [_INFINITE] if (path / ".git" / "shallow").exists() else []
        if not await self._try(repo, path, [*depth, *_EVERYTHING], budget):
            raise RefMissing(repo.url, repo.commit)

    async def _try(self, repo: ResolvedRepo, path: Path, way: Sequence[str], budget: Budget) -> bool:
        """Whether the commit is here after fetching so."""
        depth, specs = [one for one in way if one.startswith("--")], [one for one in way if not one.startswith("--")]

        def command(address: str) -> list[str]:
            return ["fetch", "--quiet", "--no-tags", "--force", *depth, "--", address, *specs]

        call = Call(command, budget.limits.seconds, path, budget.guard(path / ".git" / "objects"))
        try:
            with suppress(CommitWithheld):
                await self.remote.run(repo.url, call)
        except HostUnreachable as error:
            # Hosts that know no shallow fetch ("dumb" HTTP) say so in many ways; the whole is then asked for.
            if "--depth=1" not in depth or "shallow" not in error.reason:
                raise
        return await self._has(repo.commit, path)

    async def _has(self, commit: str, path: Path) -> bool:
        try:
            await self.git(path, "cat-file", "-e", f"{commit}^{{commit}}")
        except GitFailed:
            return False
        return True

    async def _tree_id(self, repo: ResolvedRepo, path: Path) -> str:
        try:
            return (await self.git(path, "rev-parse", "--verify", f"{repo.commit}^{{tree}}")).strip()
        except GitFailed:
            raise CheckoutRefused(repo.url, repo.commit, "it is not a commit") from None

    async def _look(self, repo: ResolvedRepo, path: Path, budget: Budget) -> list[Entry]:
        """The commit's files, before they are written. Raises RepositoryTooLarge, CheckoutRefused."""
        try:
            args = ("ls-tree", "-r", "-l", "-z", "--full-tree", repo.commit)
            # A few trees that hold one another many times are more files than anybody can count.
            listed = await self.remote.git.run(Command(args, path, 600, records=budget.limits.files))
        except OutputTooLarge:
            raise budget.too_many_files() from None
        entries = await asyncio.to_thread(tree.read_listing, listed)
        budget.take_files(len(entries), sum(entry.size for entry in entries))
        for entry in entries:
            if reason := tree.unfit(entry.path):
                raise CheckoutRefused(repo.url, tree.shown(entry.path), reason)
        if twice := await asyncio.to_thread(tree.twice, entries):
            raise CheckoutRefused(repo.url, tree.shown(twice), "it is there twice, or a file and a folder")
        return entries

    async def _check_out(self, repo: ResolvedRepo, path: Path) -> None:
        branch = repo.name.removeprefix("refs/heads/")
        try:
            if branch == repo.name:
                await self.git(path, "checkout", "--quiet", "--force", "--detach", repo.commit)
                return
            await self.git(path, "update-ref", f"refs/remotes/origin/{branch}", repo.commit)
            await self.git(path, "update-ref", f"refs/heads/{branch}", repo.commit)
            await self.git(path, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
            await self.git(path, "config", f"branch.{branch}.remote", "origin")
            await self.git(path, "config", f"branch.{branch}.merge", f"refs/heads/{branch}")
            await self.git(path, "reset", "--quiet", "--hard")
        except GitFailed as failed:
            if failed.is_full:
                raise
            bad = re.search(r"(?:invalid path|unable to create file) '?([^'\n]+)", failed.stderr)
            raise CheckoutRefused(repo.url, bad[1] if bad else repo.commit, "git cannot write it to a disk") from None

    async def git(self, path: Path, *args: str) -> str:
        """What git prints. Raises GitFailed, OutputTooLarge."""
        return await self.remote.git.run(Command(args, path, timeout_s=600))

    async def configuration(self, path: Path, blob: str) -> str:
        """What git reads in a file of its configuration's form, as `--list -z` prints it. Raises GitFailed."""
        return await self.git(path, "config", "--blob", blob, "--no-includes", "-z", "--list")
