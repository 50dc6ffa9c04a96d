"""HydroShare: a resource may change until it is published; a version of it is what it was when it last changed.

The interface: https://www.hydroshare.org/hsapi/ (science metadata, and the list of a resource's files, page by page).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from launcher.model import Record, RecordFile
from launcher.repos.records.site import count, digest, seconds

if TYPE_CHECKING:
    from launcher.repos.records.site import Question

_PAGES = 200
_CONTENTS = "/data/contents/"
_WRONG = "its site answers, but not as HydroShare"


async def find(question: Question) -> Record:
    """The resource as it is now. Raises as Api.ask."""
    api = f"/hsapi/resource/{question.facts['id']}"
    told = await question.ask(f"{api}/scimeta/elements")
    try:
        [changed] = [one["start_date"] for one in told["dates"] if one["type"] == "modified"]
        files = tuple([_file(one, question.base) for one in await _all(question, f"{api}/files/")])
    except (KeyError, TypeError, ValueError):
        raise question.unfit(_WRONG) from None
    return Record(f"{question.facts['id']} as of {changed}", seconds(changed), files, form="plain")


async def _all(question: Question, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for page in range(1, _PAGES + 1):
        told = await question.ask(path if page == 1 else f"{path}?page={page}")
        found += told["results"]
        if not told["next"]:
            break
    return found


def _file(told: dict[str, Any], base: str) -> RecordFile:
    path = urlsplit(str(told["url"])).path
    folder, found, name = path.partition(_CONTENTS)
    if not found:
        raise ValueError(path)
    return RecordFile(
        unquote(name), f"{base}{folder}{found}{name}", count(told.get("size")), digest("md5", told.get("checksum", ""))
    )
