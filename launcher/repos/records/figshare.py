"""figshare, and the portals that it runs for institutions: articles have versions, and each version a DOI of its own.

The interface: https://docs.figshare.com/ (public articles). An article lists ten of its files at most; of one with
more, all are asked for. They are downloaded through the interface too: the address that it gives for browsers is behind
a wall that turns away programs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from launcher.model import Record, RecordFile
from launcher.repos.records.site import count, digest, seconds

if TYPE_CHECKING:
    from launcher.repos.records.site import Question

_LISTED = 10
_PAGE = 1000
_PAGES = 20
_VERSION = re.compile(r"\.v[0-9]+$")
"""The end of a version's DOI; before it is that of all versions."""
_WRONG = "its site answers, but not as figshare"


async def find(question: Question) -> Record:
    """The version that is asked for, or the latest. Raises as Api.ask."""
    article, version = question.facts["id"], question.facts["version"]
    told = await question.ask(f"/articles/{article}/versions/{version}" if version else f"/articles/{article}")
    try:
        number, date, listed = int(told["version"]), seconds(told["published_date"]), told["files"]
        if len(listed) >= _LISTED:
            listed = await _all(question, f"/articles/{article}/versions/{number}/files")
        files = tuple(_file(one, question.base) for one in listed if not one["is_link_only"])
        name = told["doi"] or f"figshare article {article} version {number}"
    except (KeyError, TypeError, ValueError):
        raise question.unfit(_WRONG) from None
    return Record(str(name), date, files, concept=_VERSION.sub("", str(told["doi"] or "")))


async def _all(question: Question, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for page in range(1, _PAGES + 1):
        more = await question.ask(f"{path}?page={page}&page_size={_PAGE}")
        found += more
        if len(more) < _PAGE:
            break
    return found


def _file(told: dict[str, Any], base: str) -> RecordFile:
    url = f"{base}/file/download/{int(told['id'])}"
    return RecordFile(str(told["name"]), url, count(told["size"]), digest("md5", told.get("computed_md5", "")))
