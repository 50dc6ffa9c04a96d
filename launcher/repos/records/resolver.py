"""A link to a record becomes the version of it that cannot move: a table of the pages that records have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from launcher.errors import RecordUnfit
from launcher.model import ResolvedRepo
from launcher.repos.records import dois, zenodo
from launcher.repos.records.site import Question

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from launcher.model import Record, RepoRef
    from launcher.repos.providers import Sites
    from launcher.repos.records.api import Api
    from launcher.stages import Resolver

_BASE = r"(?P<base>https?://[^/?#@]+)"


@dataclass(frozen=True, slots=True)
class Page:
    """A row: which addresses are pages of such records, and who finds the record."""

    pattern: re.Pattern[str]
    find: Callable[[Question], Awaitable[Record]]


PAGES = (Page(re.compile(rf"{_BASE}/records?/(?P<id>[A-Za-z0-9-]+)/?(?:[?#].*)?"), zenodo.find),)
"""The first row that fits is asked. A DOI may lead to any site: institutions run their own."""
_OF_ZENODO = re.compile(r"10\.5281/zenodo\.(?P<id>[0-9]+)", re.IGNORECASE)


class RecordResolver:
    """A `stages.Resolver` of records."""

    def __init__(self, api: Api, sites: Sites) -> None:
        self._api = api
        self._sites = sites

    async def resolve(self, ref: RepoRef) -> ResolvedRepo:
        """Ask the provider. Raises as Api.ask, and RecordUnfit."""
        page = await self._page(ref)
        for row in PAGES:
            if found := row.pattern.fullmatch(page):
                facts = {name: unquote(value or "") for name, value in found.groupdict().items()}
                question = Question(self._api, ref.url, found["base"], facts)
                return ResolvedRepo(ref, "", "", record=await row.find(question))
        host = page.partition("://")[2].partition("/")[0]
        raise RecordUnfit(ref.url, f"it leads to {host}, to a page that is of no record known here")

    async def _page(self, ref: RepoRef) -> str:
        """The address of the record's page."""
        doi = ref.url.removeprefix(f"{self._sites.doi}/")
        if doi == ref.url:
            return ref.url
        if ours := _OF_ZENODO.fullmatch(doi):  # the suffix is the record's id: no question is needed
            return f"{self._sites.zenodo}/records/{ours['id']}"
        return await dois.leads_to(self._api, self._sites.doi, doi)


class ByProvider:
    """A `stages.Resolver` that asks the one for the link's provider."""

    def __init__(self, git: Resolver, records: Resolver, of_records: frozenset[str]) -> None:
        """`of_records`: the providers whose links are records."""
        self._git = git
        self._records = records
        self._of_records = of_records

    async def resolve(self, ref: RepoRef) -> ResolvedRepo:
        """See `stages.Resolver`."""
        return await (self._records if ref.provider in self._of_records else self._git).resolve(ref)
