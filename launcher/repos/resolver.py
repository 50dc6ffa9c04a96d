"""A `RepoRef` becomes a `ResolvedRepo`: exactly, never by a suffix, and never by guessing between two.

One question to the host (`git ls-remote`) answers nearly every link. Only a commit that no branch or tag points at
needs a second: it is fetched, without its files, to see that it is there.
"""

from __future__ import annotations

import asyncio
import difflib
import re
import tempfile
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import BadRef, HostUnreachable, RefAmbiguous, RefMissing, RepositoryTooLarge
from launcher.model import ResolvedRepo
from launcher.repos import tree
from launcher.repos.folders import remove
from launcher.repos.git import Command, GitFailed
from launcher.repos.refs import check_ref
from launcher.repos.remote import Call, CommitWithheld, Remote, full_disk_told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from launcher.model import RepoRef
    from launcher.repos.access import Access
    from launcher.repos.addresses import AddressPolicy

_FULL = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.IGNORECASE)
_SHORT = re.compile(r"[0-9a-f]{7,63}", re.IGNORECASE)
_PEELED = "^{}"
_SIMILAR = 5
_DEFAULTS = frozenset({"main", "master"})
_RENAMED_AT = "gh"
"""Where links with a default branch's old name lead to the new one, as with BinderHub: there are many."""
_HISTORY_LIMIT = 512 * 2**20
"""Bytes of commits that are fetched to find one by the beginning of its id."""
_LOOKED_AT = 32
"""Objects whose ids begin alike that are looked at."""
_NO_FILES = ("--filter=tree:0", "--no-tags", "--quiet")


@dataclass(frozen=True, slots=True)
class Advertised:
    """What a host says it has. `refs`: full name → commit (tags peeled); `head`: what HEAD names, or `""`."""

    refs: Mapping[str, str]
    head: str

    def short_names(self) -> list[str]:
        """Branches and tags as people write them."""
        return sorted({name.split("/", 2)[2] for name in self.refs if name.startswith(("refs/heads/", "refs/tags/"))})


def read_advertised(printed: str) -> Advertised:
    """Read what `git ls-remote --symref` prints."""
    refs: dict[str, str] = {}
    peeled: dict[str, str] = {}
    head = ""
    for line in printed.splitlines():
        value, tab, name = line.partition("\t")
        if not tab:
            continue
        if value.startswith("ref: "):
            head = value.removeprefix("ref: ") if name == "HEAD" else head
        elif name.endswith(_PEELED):
            peeled[name.removesuffix(_PEELED)] = value
        elif _FULL.fullmatch(value):
            refs[name] = value
    return Advertised(refs | {name: value for name, value in peeled.items() if name in refs}, head)


class GitResolver:
    """A `stages.Resolver` that asks the git host."""

    def __init__(
        self,
        policy: AddressPolicy,
        allowed_protocols: tuple[str, ...],
        timeout_s: float = 30,
        scratch: Path | None = None,
        known_hosts: str = "",
    ) -> None:
        """`timeout_s`: seconds that each question to the host may take. `known_hosts`: as of Remote.

        `scratch`: an existing folder for what is fetched to find a commit, and removed at once. The checkouts' own
        is right: what a killed process left is removed there at start. Default: the system's temporary folder.
        """
        self._remote = Remote(policy, allowed_protocols, known_hosts=known_hosts)
        self._timeout_s = timeout_s
        self._scratch = scratch

    def mind(self, leads_to: Callable[[str], None]) -> None:
        """Tell it each address that a host leads on to; what it raises ends the question."""
        self._remote.leads_to = leads_to

    def opened(self, access: Access) -> GitResolver:
        """The same, with a person's credential."""
        resolver = copy(self)
        resolver._remote = self._remote.opened(access)  # noqa: SLF001  # a copy of our own
        return resolver

    async def resolve(self, ref: RepoRef) -> ResolvedRepo:
        """See `stages.Resolver.resolve`. Raises RepositoryTooLarge too, where only the history can tell."""
        wanted = ref.ref
        if not wanted:
            return await self._head(ref)
        if _SHORT.fullmatch(wanted) or _FULL.fullmatch(wanted):
            return await self._hexadecimal(ref)
        names = _full_names(wanted)
        # The host sorts out what was asked for: a repository may have 100,000 branches.
        advertised = await self._ask(ref.url, [*names, *(name + _PEELED for name in names)])
        found = {name: advertised.refs[name] for name in names if name in advertised.refs}
        if not found and ref.provider == _RENAMED_AT and wanted in _DEFAULTS:
            return await self._head(ref)
        if not found:
            raise RefMissing(ref.url, wanted, similar(wanted, await self._ask(ref.url, [])))
        return _one(ref, found)

    async def _head(self, ref: RepoRef) -> ResolvedRepo:
        advertised = await self._ask(ref.url, ["HEAD"])
        commit = advertised.refs.get("HEAD")
        if commit is None:
            names = (await self._ask(ref.url, [])).short_names()
            raise RefMissing(ref.url, "HEAD", tuple(names[:_SIMILAR]))
        return ResolvedRepo(ref, commit, _sane(advertised.head) or "HEAD")

    async def _hexadecimal(self, ref: RepoRef) -> ResolvedRepo:
        """A commit, whole or its beginning, or a branch or tag whose name looks like one."""
        wanted = ref.ref.lower()
        advertised = await self._ask(ref.url, [])
        named = {name: advertised.refs[name] for name in _full_names(ref.ref) if name in advertised.refs}
        if _FULL.fullmatch(wanted) and not named:
            if wanted not in advertised.refs.values():
                await self._commits(ref, wanted)
            return ResolvedRepo(ref, wanted, "")
        commits = {commit for commit in advertised.refs.values() if commit.startswith(wanted)}
        if named or not commits:
            commits |= set(await self._commits(ref, wanted, may_miss=bool(named)))
        if not named and not commits:
            raise RefMissing(ref.url, ref.ref, similar(ref.ref, advertised))
        return _one(ref, named | {commit: commit for commit in sorted(commits) if commit not in named.values()})

    async def _ask(self, url: str, patterns: Sequence[str]) -> Advertised:
        call = Call(lambda address: ["ls-remote", "--symref", "--", address, *patterns], self._timeout_s)
        return read_advertised(await self._run(url, call))

    async def _run(self, url: str, call: Call) -> str:
        try:
            return await self._remote.run(url, call)
        except CommitWithheld:
            raise HostUnreachable(url, "it names branches that it does not hand out") from None

    async def _commits(self, ref: RepoRef, wanted: str, *, may_miss: bool = False) -> list[str]:
        """The commits of the repository whose ids begin so. Raises RefMissing if there is none, unless it may."""
        with full_disk_told():
            return await self._searched(ref, wanted, may_miss=may_miss)

    async def _searched(self, ref: RepoRef, wanted: str, *, may_miss: bool) -> list[str]:
        async with self._folder() as cwd:
            await self._remote.git.run(Command(["init", "--quiet", "--bare"], cwd))
            if _FULL.fullmatch(wanted):
                await self._fetch_one(ref, wanted, cwd)
            else:
                await self._fetch_history(ref, cwd)
            found = await self._search(cwd, wanted)
        if not found and not may_miss:
            raise RefMissing(ref.url, ref.ref)
        return found

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[Path]:
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="repolaunch-resolve-", dir=self._scratch))
        try:
            yield folder
        finally:
            await asyncio.to_thread(remove, folder)

    async def _fetch_one(self, ref: RepoRef, commit: str, cwd: Path) -> None:
        """Fetch one commit by its id; where the host does not hand those out, all of them."""
        try:
            await self._fetch(ref.url, cwd, ["--depth=1"], [commit])
        except CommitWithheld:
            await self._fetch_history(ref, cwd)

    async def _fetch_history(self, ref: RepoRef, cwd: Path) -> None:
        try:
            await self._fetch(ref.url, cwd, [], ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])
        except CommitWithheld:
            raise RefMissing(ref.url, ref.ref) from None

    async def _fetch(self, url: str, cwd: Path, options: Sequence[str], specs: Sequence[str]) -> None:
        def command(address: str) -> Sequence[str]:
            # A filter wants a remote with a name; git keeps its address in the temporary folder only.
            named = ["-c", f"remote.origin.url={address}"]
            return [*named, "fetch", *_NO_FILES, *options, "origin", *specs]

        def guard() -> None:
            if tree.size(cwd / "objects") > _HISTORY_LIMIT:
                raise RepositoryTooLarge(url, "bytes", _HISTORY_LIMIT)

        await self._remote.run(url, Call(command, self._timeout_s, cwd, guard))

    async def _search(self, cwd: Path, wanted: str) -> list[str]:
        try:
            printed = await self._remote.git.run(Command(["rev-parse", f"--disambiguate={wanted}"], cwd))
            found = []
            for one in printed.split()[:_LOOKED_AT]:
                kind = await self._remote.git.run(Command(["cat-file", "-t", one], cwd))
                found += [one] if kind.strip() == "commit" else []
        except GitFailed as failed:
            if failed.is_full:
                raise
            return []
        return found

    def close(self) -> None:
        """Let the threads end."""
        self._remote.close()


def _sane(name: str) -> str:
    """The name that a host gave, or `""` where git could not have it: hosts are strangers too."""
    try:
        return check_ref(name) if name.startswith("refs/heads/") else ""
    except BadRef:
        return ""


def _full_names(wanted: str) -> list[str]:
    names = [f"refs/heads/{wanted}", f"refs/tags/{wanted}"]
    return [wanted, *names] if wanted.startswith("refs/") else names


def _one(ref: RepoRef, found: Mapping[str, str]) -> ResolvedRepo:
    """The only one of the candidates, or the first where all are the same commit. Raises RefAmbiguous."""
    if len(set(found.values())) > 1:
        raise RefAmbiguous(ref.url, ref.ref, tuple(found))
    name, commit = next(iter(found.items()))
    return ResolvedRepo(ref, commit, "" if name == commit else name)


def similar(wanted: str, advertised: Advertised) -> tuple[str, ...]:
    """Names that a person may have meant: the other default branch, other capitals, the same last part, close ones."""
    names = advertised.short_names()
    folded = wanted.casefold()
    last = folded.rpartition("/")[2]
    default = advertised.head.removeprefix("refs/heads/")
    likely = [name for name in names if name.casefold() == folded]
    likely += [default] if wanted in _DEFAULTS and default else []
    likely += [name for name in names if name.casefold().rpartition("/")[2] == last]
    likely += difflib.get_close_matches(wanted, names[:5000], n=_SIMILAR, cutoff=0.7)
    return tuple(dict.fromkeys(likely))[:_SIMILAR]
