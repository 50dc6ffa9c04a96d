"""Files of Git LFS: asked for by the batch API (git-lfs/docs/api/batch.md), checked, and put in their pointers' places.

git-lfs itself is not used. It resolves names by itself, goes past any proxy for addresses of this machine, follows
what a server answers wherever that leads, and reads configuration and starts helpers on the way; what is wanted here
is one request for a list, and downloads whose bytes are known beforehand by their digest.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from launcher.errors import (
    BadUrl,
    DiskFull,
    HostUnreachable,
    LauncherError,
    LfsFailed,
    RepositoryPrivate,
    RepositoryTooLarge,
)
from launcher.repos import pointers, tree, urls
from launcher.repos.curl import Transfer
from launcher.repos.folders import remove
from launcher.repos.git import GitFailed
from launcher.repos.hops import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from launcher.repos.access import Access
    from launcher.repos.budget import Budget
    from launcher.repos.commit import CommitFetcher, Got
    from launcher.repos.curl import Answer
    from launcher.repos.hops import Hops
    from launcher.repos.pointers import Pointer

_ASKED = 100
"""Files in one question, as git-lfs asks."""
_ANSWER_BYTES = 4 * 2**20
_TYPE = "application/vnd.git-lfs+json"
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
_OURS = {"host", "connection", "content-length", "transfer-encoding", "expect", "upgrade"}
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The pointers of one repository, by the paths of their files in it, and where they are asked for."""

    server: str
    files: Mapping[str, Pointer]
    incoming: Path
    pace: Pace
    login: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers for what lies in the repository's own place: a person's credential."""

    def sizes(self) -> list[tuple[str, int]]:
        """Each file once."""
        return list({pointer.oid: pointer.size for pointer in self.files.values()}.items())

    def path_of(self, oid: str) -> str:
        """The first file that has these bytes."""
        return next(path for path, pointer in self.files.items() if pointer.oid == oid)

    def failed(self, reason: str) -> HostUnreachable:
        """What is told of the server."""
        return HostUnreachable(self.server, reason)


@dataclass(eq=False)
class _FileFailed(Exception):
    path: str
    cause: LauncherError


class LargeFiles:
    """Replaces pointers by what they point at."""

    def __init__(self, commits: CommitFetcher, hops: Hops, access: Access | None = None) -> None:
        """`access`: what opened the private ones of the repositories."""
        self._commits = commits
        self._hops = hops
        self._access = access

    async def get(self, got: Got, prefix: str, budget: Budget) -> list[str]:
        """The paths in the repository that are now whole files. `prefix`: where it lies in the whole.

        Raises RepositoryTooLarge, LfsFailed.
        """
        files = await self._pointers(got)
        if not files:
            return []
        budget.take_files(0, sum(pointer.size for pointer in files.values()))
        incoming = got.path / ".git" / "repolaunch-lfs"
        await asyncio.to_thread(incoming.mkdir)
        try:
            server = pointers.server(got.repo.url, await self._configured(got))
            pace = Pace(budget.limits.seconds, budget.guard(incoming))
            wanted = _Wanted(server, files, incoming, pace, self._login(got, server))
            await self._download(wanted)
            await asyncio.to_thread(_place, got, wanted)
        except (RepositoryTooLarge, DiskFull):
            raise
        except _FileFailed as failed:
            raise LfsFailed(budget.url, tree.shown(prefix + failed.path), failed.cause) from None
        except LauncherError as error:
            raise LfsFailed(budget.url, tree.shown(prefix + next(iter(files))), error) from None
        finally:
            await asyncio.to_thread(remove, incoming)
        return sorted(files)

    def _login(self, got: Got, server: str) -> dict[str, str]:
        """For the server beside the repository; `.lfsconfig` may name any other."""
        access = self._access
        if access is None or access.kind != "token" or got.repo.private is None:
            return {}
        own = server == pointers.server(got.repo.url, "") and access.opens(urls.split(server))
        return access.header if own else {}

    async def _pointers(self, got: Got) -> dict[str, Pointer]:
        """The pointers among the files that `.gitattributes` gives to the filter `lfs`."""
        small = {one.path for one in got.entries if one.mode.startswith("100") and one.size <= pointers.LARGEST}
        if not any(one.path.rpartition("/")[2] == ".gitattributes" for one in got.entries):
            return {}
        listed = await self._commits.git(got.path, "ls-files", "-z", "--", ":(attr:filter=lfs)")
        return await asyncio.to_thread(_read, got.path, [path for path in listed.split("\0") if path in small])

    async def _configured(self, got: Got) -> str:
        for one in got.entries:
            if one.path == pointers.CONFIG and one.mode.startswith("100") and one.size <= _ANSWER_BYTES:
                try:
                    return await self._commits.configuration(got.path, one.id)
                except GitFailed:
                    raise BadUrl(pointers.CONFIG, "git cannot read the file") from None
        return ""

    async def _download(self, wanted: _Wanted) -> None:
        sizes = wanted.sizes()
        for at in range(0, len(sizes), _ASKED):
            asked = dict(sizes[at : at + _ASKED])
            transfers = _transfers(await self._ask(asked, wanted), asked, wanted)
            answers = await self._hops.run(transfers, wanted.pace)
            for transfer, answer in zip(transfers, answers, strict=True):
                if reason := await asyncio.to_thread(_wrong, transfer, answer):
                    raise _FileFailed(wanted.path_of(transfer.output.name), wanted.failed(reason))

    async def _ask(self, asked: Mapping[str, int], wanted: _Wanted) -> list[dict[str, Any]]:
        """What the server says of each file."""
        objects = [{"oid": oid, "size": size} for oid, size in asked.items()]
        body = json.dumps({"operation": "download", "transfers": ["basic"], "objects": objects, "hash_algo": "sha256"})
        headers = {"Accept": _TYPE, "Content-Type": _TYPE, **wanted.login}
        output = wanted.incoming / "batch"
        transfer = Transfer(f"{wanted.server}/objects/batch", output, _ANSWER_BYTES, headers, body)
        [answer] = await self._hops.run([transfer], wanted.pace)
        if answer.status in {401, 403}:
            raise RepositoryPrivate(wanted.server)
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise wanted.failed(answer.reason or _status(answer.status))
        try:
            given = json.loads(await asyncio.to_thread(output.read_bytes))
            found: list[dict[str, Any]] = given["objects"]
            basic = given.get("transfer", "basic") == "basic" and given.get("hash_algo", "sha256") == "sha256"
            if not basic or not all(isinstance(one, dict) for one in found):
                raise ValueError  # noqa: TRY301 - told as all that is not understood
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise wanted.failed("it answered, but not as a server of Git LFS") from None
        return found


def _read(folder: Path, paths: Sequence[str]) -> dict[str, Pointer]:
    found = {}
    for path in paths:
        fd = os.open(folder / path, _READ)
        try:
            pointer = pointers.read(os.read(fd, pointers.LARGEST + 1))
        finally:
            os.close(fd)
        if pointer is not None:
            found[path] = pointer
    return found


def _transfers(told: Sequence[Mapping[str, Any]], asked: Mapping[str, int], wanted: _Wanted) -> list[Transfer]:
    """A download for each file that was asked for. Raises _FileFailed where the server does not give one."""
    by_oid = {one.get("oid"): one for one in told}
    return [_transfer(oid, size, by_oid.get(oid, {}), wanted) for oid, size in asked.items()]


def _transfer(oid: str, size: int, told: Mapping[str, Any], wanted: _Wanted) -> Transfer:
    try:
        action = told["actions"]["download"]
        href, headers = str(action["href"]), dict(action.get("header") or {})
    except (KeyError, TypeError, ValueError):
        error = told.get("error")
        code = error.get("code") if isinstance(error, dict) else 404
        reason = "it does not have the file" if code in {404, 410} else f"it does not give the file (status {code!r})"
        raise _FileFailed(wanted.path_of(oid), wanted.failed(reason)) from None
    kept = {}
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            raise _FileFailed(wanted.path_of(oid), wanted.failed("it answered, but not as a server of Git LFS"))
        if name.lower() not in _OURS:
            kept[name] = value
    if not any(name.lower() == "authorization" for name in kept) and _is_beside(href, wanted.server):
        kept |= wanted.login
    # A limit of 0 is none, to curl.
    return Transfer(href, wanted.incoming / oid, max(size, 1), kept)


def _is_beside(href: str, server: str) -> bool:
    """Whether a file lies in the repository's own place, as the server's address has it."""
    return href.startswith(server.removesuffix("info/lfs")) and ".." not in unquote(href.partition("?")[0])


def _status(status: int) -> str:
    return "it has no Git LFS" if status in {404, 410} else f"it answers with status {status}"


def _wrong(transfer: Transfer, answer: Answer) -> str:
    """What is wrong with a download, as the end of a sentence, or `""`. Blocks."""
    if answer.reason:
        return answer.reason
    if answer.status != 200:  # noqa: PLR2004 - OK
        return "it does not have the file" if answer.status in {404, 410} else _status(answer.status)
    if not transfer.output.exists():  # curl makes no file where there are no bytes
        transfer.output.touch()
    with transfer.output.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return "" if digest == transfer.output.name else "what it sent is not the file: its digest is another"


def _place(got: Got, wanted: _Wanted) -> None:
    """Put the files where their pointers are. Blocks. No link is on the way: the tree has each path once."""
    modes = {one.path: one.mode for one in got.entries}
    for path, pointer in wanted.files.items():
        target = got.path / path
        copy = wanted.incoming / "copy"
        shutil.copyfile(wanted.incoming / pointer.oid, copy)
        copy.chmod(0o755 if modes[path] == "100755" else 0o644)
        copy.replace(target)
