"""The verbs of `python -m builders` for what a registry keeps beside images."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from builders.errors import BuildBroken
from builders.lines import Archived, Known, Papers, Pushed
from builders.turns import uploading

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from builders.arguments import Verb
    from builders.lines import Tell
    from builders.oci.archive import Origin
    from builders.oci.registry import Repository

_T = TypeVar("_T")
_NONE = Archived("", "", "", "", "")


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add their arguments."""
    keep = verbs.add_parser("archive", help="keep a checkout's files in the registry")
    find = verbs.add_parser("archived", help="say which commit of a repository the registry keeps")
    restore = verbs.add_parser("restore", help="make a checkout of what the registry keeps")
    papers = verbs.add_parser("papers", help="say what the registry keeps about an image")
    papers.add_argument("image", help="host[:port]/repository@digest")
    digest = verbs.add_parser("digest", help="say which image has a tag")
    digest.add_argument("image", help="host[:port]/repository:tag")
    for verb in (keep, find, restore):
        verb.add_argument("--source", required=True, help="address of the repository")
        verb.add_argument("repository", help="host[:port]/repository of the registry")
    for verb in (keep, find):
        verb.add_argument("--ref", default="", help="as a link says it")
    for verb in (keep, restore):
        verb.add_argument("--commit", required=True)
        verb.add_argument("folder", type=Path)
    keep.add_argument("--name", default="", help="full name of the branch or tag")
    keep.add_argument("--tree", default="", help="equal tree, equal files")
    keep.add_argument("--most", type=int, default=2**40, help="bytes, packed; larger ones are not kept")
    restore.add_argument("--owner", type=int, default=None, help="user id whose the files are")


async def _archive(asked: argparse.Namespace, tell: Tell) -> Pushed:
    from builders.oci import archive  # noqa: PLC0415  # what it needs takes long to import

    origin = archive.Origin(asked.source, asked.ref, asked.commit, asked.name, asked.tree)
    async with uploading(tell):
        return Pushed(await _with(asked, lambda where: archive.keep(where, asked.folder, origin, asked.most)))


async def _archived(asked: argparse.Namespace, _: object) -> Archived:
    from builders.oci import archive  # noqa: PLC0415  # as above

    return _line(await _with(asked, lambda where: archive.find(where, asked.source, asked.ref)))


async def _restore(asked: argparse.Namespace, _: object) -> Archived:
    from builders.oci import archive  # noqa: PLC0415  # as above

    if asked.folder.exists() or asked.folder.is_symlink():
        raise BuildBroken("there is a checkout of that name")
    owner = asked.owner if asked.owner is not None and os.getuid() == 0 else None
    what = (asked.source, asked.commit, asked.folder, owner)
    return _line(await _with(asked, lambda where: archive.restore(where, *what)))


async def _papers(asked: argparse.Namespace, _: object) -> Papers:
    from builders.oci.referrers import papers  # noqa: PLC0415  # as above

    asked.repository, _, digest = asked.image.partition("@")
    found = await _with(asked, lambda where: papers(where, digest))
    return Papers({one.kind: _json(one.data) for one in found})


async def _digest(asked: argparse.Namespace, _: object) -> Known:
    from builders.oci.image import digest_of  # noqa: PLC0415  # as above
    from builders.oci.provenance import IMAGE_TYPES  # noqa: PLC0415

    asked.repository, _, tag = asked.image.rpartition(":")
    found = await _with(asked, lambda where: where.manifest(tag, *IMAGE_TYPES))
    return Known("" if found is None else digest_of(found))


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")


async def _with(asked: argparse.Namespace, work: Callable[[Repository], _T]) -> _T:
    from builders.oci.access import access  # noqa: PLC0415  # as above
    from builders.oci.registry import Repository  # noqa: PLC0415  # as above

    host, _, name = asked.repository.partition("/")
    with closing(Repository(access(host, os.environ), name)) as repository:
        return await asyncio.to_thread(work, repository)


def _line(origin: Origin | None) -> Archived:
    return _NONE if origin is None else Archived(origin.source, origin.ref, origin.commit, origin.name, origin.tree)


VERBS: Mapping[str, Verb] = {
    "archive": _archive,
    "archived": _archived,
    "restore": _restore,
    "papers": _papers,
    "digest": _digest,
}
