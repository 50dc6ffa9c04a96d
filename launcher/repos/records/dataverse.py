"""Dataverse: any installation; a dataset has versions, and its DOI leads to the latest that is published.

The interface: https://guides.dataverse.org/en/latest/api/native-api.html (datasets, files) and dataaccess.html. Tabular
files are had as they were uploaded; the checksum that is told may be of another form of them, so their size counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from launcher.errors import RecordGone, RepositoryMissing
from launcher.model import Record, RecordFile
from launcher.repos.records.site import count, digest, seconds

if TYPE_CHECKING:
    from launcher.repos.records.site import Question

_WRONG = "its site answers, but not as a Dataverse"


async def find(question: Question) -> Record:
    """The latest published version of the dataset, also of one that a file of it is named by. Raises as Api.ask."""
    name = question.facts["id"]
    try:
        told = await question.ask(_by_name("datasets", name))
    except RepositoryMissing:
        name = await _of_file(question, name)
        told = await question.ask(_by_name("datasets", name))
    try:
        version: dict[str, Any] = told["data"]["latestVersion"]
        if version["versionState"] == "DEACCESSIONED":
            raise RecordGone(question.record)
        number = f"{version['versionNumber']}.{version['versionMinorNumber']}"
        files = tuple(_file(one, question.base) for one in version["files"])
        date = seconds(version["releaseTime"])
    except (KeyError, TypeError, AttributeError):
        raise question.unfit(_WRONG) from None
    return Record(f"{name.removeprefix('doi:')} version {number}", date, files, form="plain")


async def _of_file(question: Question, name: str) -> str:
    """The dataset that a file belongs to, by the file's own DOI. Raises RepositoryMissing: there is neither."""
    told = await question.ask(_by_name("files", name) + "&returnDatasetVersion=true")
    try:
        return str(told["data"]["datasetVersion"]["datasetPersistentId"])
    except (KeyError, TypeError):
        raise question.unfit(_WRONG) from None


def _by_name(kind: str, name: str) -> str:
    return f"/api/{kind}/:persistentId/?persistentId={quote(name, safe=':/')}"


def _file(told: dict[str, Any], base: str) -> RecordFile:
    data = told["dataFile"]
    folder = told.get("directoryLabel") or ""
    original = data.get("originalFileName")
    name = original or told["label"]
    checksum = data.get("checksum") or {}
    return RecordFile(
        path=f"{folder}/{name}" if folder else str(name),
        url=f"{base}/api/access/datafile/{int(data['id'])}{'?format=original' if original else ''}",
        size=count(data.get("originalFileSize" if original else "filesize")),
        checksum="" if original else digest(str(checksum.get("type", "")), checksum.get("value", "")),
    )
