"""DOIs and handles: what they look like, and where they lead (https://www.doi.org/the-identifier/resources/handbook).

The question is one to the proxy server's REST interface, whose answer is that of the Handle.Net system: `values`, of
which one has the type `URL`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from launcher.errors import RecordUnfit

if TYPE_CHECKING:
    from launcher.repos.records.api import Api

DOI = re.compile(r"10\.[0-9]{4,9}(?:\.[0-9]+)*/[-._;()/:+A-Za-z0-9]*[-_;()+A-Za-z0-9]")
_WRITTEN = re.compile(r"(?i)(?:https?://(?:dx\.|www\.)?doi\.org/|doi:\s*)?(?P<doi>10\.[0-9]{4,9}.*)")


def doi_in(text: str) -> str:
    """The DOI that a text is, however it is written (`doi:10.…`, `https://doi.org/10.…`), or `""`."""
    written = _WRITTEN.fullmatch(text.strip())
    doi = written["doi"].rstrip("/") if written else ""
    return doi if DOI.fullmatch(doi) else ""


async def leads_to(api: Api, site: str, doi: str) -> str:
    """The address that a DOI stands for now. Raises as Api.ask; RepositoryMissing: there is no such DOI."""
    record = f"{site}/{doi}"
    told = await api.ask(f"{site}/api/handles/{quote(doi, safe='/:;()')}?type=URL", record)
    try:
        found = [one["data"]["value"] for one in told["values"] if one["type"] == "URL"]
    except (KeyError, TypeError):
        raise RecordUnfit(record, "the DOI's server answers, but not as one of DOIs") from None
    if not found or not isinstance(found[0], str):
        raise RecordUnfit(record, "the DOI leads to no address")
    return found[0]
