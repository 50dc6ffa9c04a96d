"""CKAN: any site; a dataset changes, and a link may name one of its activities: what it was then.

The interface: https://docs.ckan.org/en/latest/api/ (package_show, activity_data_show).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin

from launcher.model import Record, RecordFile
from launcher.repos.records.site import count, digest, seconds

if TYPE_CHECKING:
    from launcher.repos.records.site import Question

_WRONG = "its site answers, but not as CKAN"


async def find(question: Question) -> Record:
    """The dataset as it is now, or as it was with the activity. Raises as Api.ask."""
    dataset, activity = question.facts["id"], question.facts["activity"] or question.facts["history"]
    what = f"activity_data_show?id={quote(activity)}" if activity else f"package_show?id={quote(dataset)}"
    told = await question.ask(f"/api/3/action/{what}")
    try:
        found = told["result"]
        found = found.get("package", found)  # as sites before CKAN 2.10 say it of an activity
        changed = str(found["metadata_modified"])
        files = tuple(_file(one, question.base) for one in found["resources"] if one.get("state", "active") == "active")
    except (KeyError, TypeError, AttributeError):
        raise question.unfit(_WRONG) from None
    host = question.base.partition("://")[2]
    return Record(f"{host}/dataset/{dataset} as of {changed}", seconds(changed), files, form="plain")


def _file(told: dict[str, Any], base: str) -> RecordFile:
    """A resource: what was uploaded has the size and the checksum that it says; what it links to may have changed."""
    url = urljoin(f"{base}/", str(told["url"]))
    name = unquote(url.partition("?")[0].rpartition("/")[2]) or str(told["id"])
    ours = told.get("url_type") == "upload"
    checksum = digest("md5", told.get("hash", "")) if ours and not told.get("ignore_hash") else ""
    return RecordFile(name, url, count(told.get("size")) if ours else -1, checksum)
