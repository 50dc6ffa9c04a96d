"""Zenodo, and every other site of InvenioRDM: their records never change, a new version is another record.

The interface: https://inveniordm.docs.cern.ch/reference/rest_api_drafts_records/ ("Get a record", "List a record's
files"). The id of all versions leads to the latest, by a redirect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

from launcher.model import Record, RecordFile
from launcher.repos.records.site import count, digest, seconds

if TYPE_CHECKING:
    from launcher.repos.records.site import Question

_AS_UPLOADED = "completed"


async def find(question: Question) -> Record:
    """The record that the address names, or the latest of its versions. Raises as Api.ask."""
    api = f"{question.base}/api/records"
    told = await question.ask(f"{api}/{quote(question.facts['id'], safe='')}")
    try:
        found, date = str(told["id"]), seconds(told["created"])
    except (KeyError, TypeError):
        raise question.unfit("its site answers, but not as one of InvenioRDM") from None
    listed = await question.ask(f"{api}/{quote(found, safe='')}/files")
    try:
        files = tuple(_file(one, api) for one in listed["entries"] if one.get("status", _AS_UPLOADED) == _AS_UPLOADED)
    except (KeyError, TypeError, AttributeError):
        raise question.unfit("its site answers, but not as one of InvenioRDM") from None
    if not files:
        raise question.unfit("the record has no files")
    name = _doi(told, "doi") or f"{question.base.partition('://')[2]}/records/{found}"
    return Record(name, date, files, concept=_doi(told.get("parent"), "") or _doi(told, "conceptdoi"))


def _file(entry: dict[str, Any], api: str) -> RecordFile:
    kind, _, value = str(entry.get("checksum", "")).partition(":")
    return RecordFile(
        path=str(entry["key"]),
        url=urljoin(api, str(entry["links"]["content"])),
        size=count(entry.get("size")),
        checksum=digest(kind, value),
    )


def _doi(told: object, plain: str) -> str:
    """The DOI that InvenioRDM tells of something, or Zenodo's own interface by a plain name; `""`: neither does."""
    if not isinstance(told, dict):
        return ""
    pids = told.get("pids")
    doi = pids.get("doi") if isinstance(pids, dict) else None
    known = doi.get("identifier") if isinstance(doi, dict) else told.get(plain)
    return known if isinstance(known, str) else ""
