"""Software Heritage: directories, revisions, releases and snapshots by their ids, which are git's own.

The ids: https://www.swhid.org/specification/ (ISO/IEC 18670). The interface: https://archive.softwareheritage.org/api/1/
(snapshot, release, revision, directory, and the vault, which packs a directory when it is asked to).

A directory's id is that of git's tree, so what comes is checked by the id itself. The qualifiers (`origin`, `visit`,
`anchor`, `path`, `lines`) say where the object was found: the id alone says what is launched.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

from launcher.errors import HostUnreachable
from launcher.model import Record, RecordFile
from launcher.repos.records.site import seconds

if TYPE_CHECKING:
    from launcher.repos.records.site import Question

ID = re.compile(r"swh:1:(?P<kind>dir|rev|rel|snp):(?P<hash>[0-9a-f]{40})")
_PAUSES_S = (0.5, 1, 2, 4, 8)
"""Between two questions whether a directory is packed; the last one from then on."""
_PACKED_WITHIN_S = 600
_STEPS = 10
"""From one object to the next: a release may be of a release, a branch an alias."""
_WRONG = "its site answers, but not as Software Heritage"
_HEADS = ("HEAD", "refs/heads/main", "refs/heads/master")


async def find(question: Question) -> Record:
    """The directory that the id leads to, packed. Raises as Api.ask."""
    kind, found, date = question.facts["kind"], question.facts["hash"], 0
    for _ in range(_STEPS):
        if kind == "dir":
            break
        try:
            kind, found, when = await _STEP[kind](question, found)
        except (KeyError, TypeError, AttributeError):
            raise question.unfit(_WRONG) from None
        date = date or when
    if kind != "dir":
        raise question.unfit("it leads to no directory")
    url = await _packed(question, f"/api/1/vault/flat/swh:1:dir:{found}/")
    files = (RecordFile(f"swh_1_dir_{found}.tar.gz", url),)
    return Record(f"swh:1:{question.facts['kind']}:{question.facts['hash']}", date, files, form="tar", tree=found)


async def _revision(question: Question, found: str) -> tuple[str, str, int]:
    told = await question.ask(f"/api/1/revision/{found}/")
    return "dir", _hash(question, told["directory"]), seconds(told["committer_date"])


async def _release(question: Question, found: str) -> tuple[str, str, int]:
    told = await question.ask(f"/api/1/release/{found}/")
    return _kind(question, told["target_type"]), _hash(question, told["target"]), seconds(told["date"])


async def _snapshot(question: Question, found: str) -> tuple[str, str, int]:
    """What its HEAD names; where it has none, its default branch by the usual names."""
    told = await question.ask(f"/api/1/snapshot/{found}/")
    branches: dict[str, Any] = told["branches"]
    name = next((one for one in _HEADS if branches.get(one)), "")
    for _ in range(_STEPS):
        branch = branches.get(name)
        if not branch:
            raise question.unfit("the snapshot has no branch that is its default")
        if branch["target_type"] != "alias":
            return _kind(question, branch["target_type"]), _hash(question, branch["target"]), 0
        name = branch["target"]
    raise question.unfit("the snapshot's default branch leads to itself")


_STEP = {"rev": _revision, "rel": _release, "snp": _snapshot}


def _kind(question: Question, name: str) -> str:
    kind = {"revision": "rev", "release": "rel", "directory": "dir"}.get(name)
    if kind is None:
        raise question.unfit("it leads to no directory")
    return kind


def _hash(question: Question, value: object) -> str:
    if not re.fullmatch("[0-9a-f]{40}", str(value)):
        raise question.unfit(_WRONG)
    return str(value)


async def _packed(question: Question, path: str) -> str:
    """Where the directory is to be had as an archive; waits until it is packed."""
    told = await question.ask_now(path, "POST")
    until, pauses = time.monotonic() + _PACKED_WITHIN_S, iter(_PAUSES_S)
    pause = _PAUSES_S[0]
    while isinstance(told, dict) and told.get("status") in {"new", "pending"}:
        if time.monotonic() > until:
            raise HostUnreachable(question.base, f"the files were not packed within {_PACKED_WITHIN_S} seconds")
        pause = next(pauses, pause)
        await asyncio.sleep(pause)
        told = await question.ask_now(path)
    if not isinstance(told, dict) or told.get("status") not in {"done", "failed"}:
        raise question.unfit(_WRONG)
    if told["status"] == "failed":
        raise question.unfit("Software Heritage could not pack its files")
    return f"{question.base}{path}raw/"
