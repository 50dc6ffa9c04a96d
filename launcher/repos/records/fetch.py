"""Gets the files of one version of a record into a folder, as a commit of our own making, within limits.

The commit depends on the version and the files alone: whoever launches the same record, wherever and whenever, has the
same commit, the same tree and so the same environment.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from builders.labels import RECORD
from launcher.errors import (
    CheckoutRefused,
    HostUnreachable,
    RecordDamaged,
    RecordUnfit,
    RepositoryPrivate,
    RepositoryTooLarge,
)
from launcher.repos.curl import Transfer
from launcher.repos.folders import remove
from launcher.repos.git import GitFailed
from launcher.repos.hops import Pace
from launcher.repos.programs import Program, TimedOut
from launcher.repos.records import pack
from launcher.repos.records.api import WHO, limited
from launcher.repos.urls import redact

if TYPE_CHECKING:
    from launcher.model import Record, RecordFile, ResolvedRepo
    from launcher.repos.budget import Budget
    from launcher.repos.commit import CommitFetcher, Got
    from launcher.repos.curl import Answer
    from launcher.repos.hops import Hops

_OK = 200
_OURS = "sha256"


class RecordFetcher:
    """Fetches records into folders that are there and empty."""

    def __init__(self, commits: CommitFetcher, hops: Hops) -> None:
        self._commits = commits
        self._hops = hops

    async def get(self, repo: ResolvedRepo, record: Record, path: Path, budget: Budget) -> Got:
        """The record's commit; `Got.repo` has its id.

        Raises RepositoryTooLarge, CheckoutRefused, RecordDamaged, RecordUnfit, RateLimited, RepositoryPrivate,
        HostUnreachable, AddressRefused, BadUrl, ProtocolRefused.
        """
        if not record.files:
            raise RecordUnfit(repo.url, "the record has no files")
        self._check_sizes(repo, record, budget)
        await self._commits.begin(repo, path)
        incoming = path / ".git" / "repolaunch-record"
        await asyncio.to_thread(incoming.mkdir)
        try:
            came = await self._download(repo, record, incoming, budget)
            await asyncio.to_thread(_note, record, came, path / RECORD)
            empty = await self._pack(repo, record, path, budget)
        finally:
            await asyncio.to_thread(remove, incoming)
        commit = (await self._commits.git(path, "rev-parse", "--verify", f"{pack.REF}^{{commit}}")).strip()
        got = await self._commits.finish(replace(repo, commit=commit), path, budget)
        # An id may be of folders that git does not keep: empty ones, and submodules, which come as empty ones.
        if record.tree and got.tree != record.tree and not empty:
            raise RecordDamaged(repo.url, record.id, "the files that came are not those of this id")
        return got

    def _check_sizes(self, repo: ResolvedRepo, record: Record, budget: Budget) -> None:
        if len(record.files) > budget.limits.files:
            raise budget.too_many_files()
        if sum(max(one.size, 0) for one in record.files) > budget.limits.bytes:
            raise RepositoryTooLarge(repo.url, "bytes", budget.limits.bytes)

    async def _download(
        self, repo: ResolvedRepo, record: Record, incoming: Path, budget: Budget
    ) -> list[dict[str, str]]:
        """Get its files; the digests of each."""
        transfers = [
            # A limit of 0 is none, to curl.
            Transfer(
                one.url,
                incoming / str(number),
                max(one.size, 1) if one.size >= 0 else budget.limits.bytes,
                WHO,
                head=incoming / f"{number}.head",
            )
            for number, one in enumerate(record.files)
        ]
        answers = await self._hops.run(transfers, Pace(budget.limits.seconds, budget.guard(incoming)))
        return [
            await asyncio.to_thread(_check, repo, one, transfer, answer)
            for one, transfer, answer in zip(record.files, transfers, answers, strict=True)
        ]

    async def _pack(self, repo: ResolvedRepo, record: Record, path: Path, budget: Budget) -> int:
        """Make the commit; how many folders it lacks because nothing is in them."""
        incoming = path / ".git" / "repolaunch-record"
        limits = budget.limits
        plan = pack.Plan(
            git=list(self._commits.remote.git.argv),
            folder=str(path),
            files=[(one.path, str(incoming / str(number))) for number, one in enumerate(record.files)],
            form=record.form,
            date=max(record.date, 0),
            message=f"{record.id}\n\nThe files of {repo.url}\n",
            max_bytes=limits.bytes,
            max_files=limits.files,
        )
        program = Program(
            (sys.executable, "-I", "-m", pack.__name__),
            self._commits.remote.git.environment,
            Path("/"),
            limits.seconds,
            budget.guard(path / ".git" / "objects"),
            json.dumps(asdict(plan)).encode(),
        )
        try:
            done = await self._commits.remote.programs.run(program)
        except TimedOut:
            raise RepositoryTooLarge(repo.url, "seconds", int(limits.seconds)) from None
        try:
            said = json.loads(done.out)
        except ValueError:
            raise RecordUnfit(repo.url, "its files cannot be read") from None
        if "reason" in said:
            raise CheckoutRefused(repo.url, said["path"], said["reason"])
        if "large" in said:
            known = {"files": limits.files, "bytes": limits.bytes, "bytes of memory": limits.memory}
            raise RepositoryTooLarge(repo.url, said["large"], known[said["large"]])
        if "errno" in said:
            raise GitFailed(done.status, f"{said['errno']}\n{done.err}")
        return int(said["empty"])


def _note(record: Record, came: list[dict[str, str]], path: Path) -> None:
    """Write down what the files are: whoever builds from them says where they came from. Blocks."""
    files = [
        {"path": one.path, "url": redact(one.url), "size": one.size, **digests}
        for one, digests in zip(record.files, came, strict=True)
    ]
    path.write_text(json.dumps({"id": record.id, "files": files}, ensure_ascii=False))


def _check(repo: ResolvedRepo, one: RecordFile, transfer: Transfer, answer: Answer) -> dict[str, str]:
    """Its digests, the record's own and SHA-256. Raises what is wrong with a download. Blocks."""
    if answer.reason:
        raise HostUnreachable(one.url.partition("?")[0], answer.reason)
    if answer.status != _OK:
        limited(one.url, answer.status, transfer.head)
        if answer.status in {401, 403}:
            raise RepositoryPrivate(one.url.partition("?")[0])
        reason = "it is gone" if answer.status in {404, 410} else f"its server answers with status {answer.status}"
        raise RecordDamaged(repo.url, one.path, reason)
    if not transfer.output.exists():  # curl makes no file where there are no bytes
        transfer.output.touch()
    size = transfer.output.stat().st_size
    if one.size not in {-1, size}:
        raise RecordDamaged(repo.url, one.path, f"{size} bytes came where the record says {one.size}")
    kind, _, digest = one.checksum.partition(":")
    came = {name: _digest(transfer.output, name) for name in {kind, _OURS} - {""}}
    if digest and came[kind] != digest:
        raise RecordDamaged(repo.url, one.path, f"what came has another {kind.upper()} than the record says")
    return came


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
