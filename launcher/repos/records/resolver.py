"""A link to a record becomes the version of it that cannot move: a table of the pages that records have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from launcher.errors import RecordElsewhere
from launcher.model import ResolvedRepo
from launcher.repos.records import ckan, dataverse, dois, figshare, hydroshare, links, swh, zenodo
from launcher.repos.records.site import Question

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from launcher.model import Record, RepoRef
    from launcher.repos.provider import Sites
    from launcher.repos.records.api import Api

_BASE = r"(?P<base>https?://[^/?#@]+)"


@dataclass(frozen=True, slots=True)
class Page:
    """A row: which addresses are pages of such records, and who finds the record.

    `at`: the site that is asked where it is not the page's own.
    """

    pattern: re.Pattern[str]
    find: Callable[[Question], Awaitable[Record]]
    at: Callable[[Sites], str] | None = None


PAGES = (
    Page(re.compile(rf"{_BASE}/records?/(?P<id>[A-Za-z0-9-]+)/?(?:[?#].*)?"), zenodo.find),
    Page(
        re.compile(
            r"(?P<base>https?://[^?#@]+)/(?:citation|(?:dataset|file)\.xhtml)\?(?:[^#]*&)?persistentId=(?P<id>[^&#]+).*"
        ),
        dataverse.find,
    ),
    Page(
        re.compile(
            r"(?P<base>https?://[^?#@]+?)/articles/(?:[^?#]+/)?(?P<id>[0-9]{4,})(?:/(?P<version>[0-9]{1,3}))?/?(?:[?#].*)?"
        ),
        figshare.find,
        lambda sites: sites.figshare,
    ),
    Page(
        re.compile(rf"{_BASE}/resource/(?P<id>[0-9a-f]{{32}})/?(?:[?#].*)?"),
        hydroshare.find,
        lambda sites: sites.hydroshare,
    ),
    Page(links.CKAN, ckan.find),
    Page(re.compile(rf"{_BASE}/{swh.ID.pattern}/?(?:;.*)?"), swh.find, lambda sites: sites.swh),
)
"""The first row that fits is asked. A DOI may lead to any site: institutions run their own."""
_OWN_DOIS: tuple[tuple[re.Pattern[str], Callable[[Sites, re.Match[str]], str]], ...] = (
    (re.compile(r"(?i)10\.5281/zenodo\.([0-9]+)"), lambda sites, doi: f"{sites.zenodo}/records/{doi[1]}"),
    (
        re.compile(r"(?i)10\.6084/m9\.figshare\.([0-9]+)(?:\.v([0-9]+))?"),
        lambda sites, doi: f"{sites.figshare}/articles/{doi[1]}" + (f"/{doi[2]}" if doi[2] else ""),
    ),
)
"""DOIs whose end is the record's own id: where they lead is not asked."""


class RecordResolver:
    """A `stages.Resolver` of records."""

    def __init__(self, api: Api, sites: Sites) -> None:
        self._api = api
        self._sites = sites

    async def resolve(self, ref: RepoRef) -> ResolvedRepo:
        """Ask the provider. Raises as Api.ask, and RecordElsewhere."""
        page = await self._page(ref)
        for row in PAGES:
            if found := row.pattern.fullmatch(page):
                facts = {name: unquote(value or "") for name, value in found.groupdict().items()}
                base = row.at(self._sites) if row.at else found["base"]
                question = Question(self._api, ref.url, base, facts)
                return ResolvedRepo(ref, "", "", record=await row.find(question))
        host = page.partition("://")[2].partition("/")[0]
        raise RecordElsewhere(ref.url, "it leads to a page that is of no record known here", host)

    async def _page(self, ref: RepoRef) -> str:
        """The address of the record's page."""
        doi = ref.url.removeprefix(f"{self._sites.doi}/")
        if not dois.DOI.fullmatch(doi):
            return ref.url
        for pattern, page in _OWN_DOIS:
            if ours := pattern.fullmatch(doi):
                return page(self._sites, ours)
        return await dois.leads_to(self._api, self._sites.doi, doi)


class Public(Protocol):
    """Asks for everybody."""

    async def resolve(self, ref: RepoRef) -> ResolvedRepo:
        """As `stages.Resolver`, without a login. Raises RepositoryPrivate too."""
        ...


class ByProvider:
    """Asks for everybody: the one for the link's provider."""

    def __init__(self, git: Public, records: Public, of_records: frozenset[str]) -> None:
        """`of_records`: the providers whose links are records."""
        self._git = git
        self._records = records
        self._of_records = of_records

    async def resolve(self, ref: RepoRef) -> ResolvedRepo:
        """See `Public`."""
        return await (self._records if ref.provider in self._of_records else self._git).resolve(ref)
