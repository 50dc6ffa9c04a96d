"""One repository by all its names: what is banned by one of them is not launched by another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from launcher.errors import BadUrl, LauncherError
from launcher.model import RepoRef
from launcher.repos import spellings
from launcher.repos.providers import PROVIDERS, SITE_PAGES, parse_url

if TYPE_CHECKING:
    from launcher.repos.provider import Sites

_RECORDS = tuple(row.id for row in PROVIDERS.values() if row.is_record)
NOBODY = "-"
"""Stands for the user of a gist, whose address works without one."""
Names = tuple[tuple[str, str], ...]
"""Each a provider and a spec."""


@dataclass(frozen=True, slots=True)
class Aliases:
    """Knows them at these sites. A `gate.Aliases`."""

    sites: Sites

    def one_name(self, url: str) -> str:
        """The same for each way to write a repository's address: it is counted as one. What is none is itself."""
        try:
            gist = _below(self.sites.gist, url)
            return f"gist/{_id(gist)}" if gist else spellings.plain_address(url).lower()
        except BadUrl:
            return url

    def names(self, ref: RepoRef) -> tuple[tuple[Names, ...], Names]:
        """Its provider and spec as asked, and by the provider whose site it is of; then all that it may go by.

        A record is found by its DOI whichever provider is named; any other repository as `git` would be asked for it.
        Each of the first is in all ways to write it.
        """
        as_asked: tuple[Names, ...] = (((ref.provider, ref.spec),),)
        if PROVIDERS[ref.provider].is_record:
            return as_asked, (*as_asked[0], *_of_record(ref.spec))
        if ref.provider == "git":
            as_asked = tuple(_as_git(ref, one) for one in spellings.readings(ref.url))
        own = _own(ref, self.sites)
        as_git = _as_git(ref, spellings.spellings(ref.url))
        asked = as_asked if own is None else (*as_asked, (own,))
        return asked, ((ref.provider, ref.spec), *(() if own is None else (own,)), *as_git, *_of_gist(ref, self.sites))

    def names_at(self, url: str) -> Names:
        """All names of what is at this address."""
        return self.names(RepoRef("git", f"{quote(url, safe='')}/HEAD", url, ""))[1]

    def names_of_record(self, found: str) -> Names:
        """Of a version of a record, as it is cited (`model.Record.id`): `10.5281/zenodo.3242074`."""
        cited = found.partition(" ")[0]
        return (*_of_record(cited), ("ckan", quote(f"https://{cited}", safe="")))


def _of_record(spec: str) -> Names:
    return tuple((provider, spec) for provider in _RECORDS)


def _as_git(ref: RepoRef, addresses: tuple[str, ...]) -> Names:
    return tuple(("git", f"{quote(one, safe='')}/{_after(ref)}") for one in addresses)


def _after(ref: RepoRef) -> str:
    return quote(ref.ref or "HEAD", safe="/")


def _below(site: str, url: str) -> str:
    """The path of a repository at this site, whatever port and protocol it is asked at; `""`: it is not there."""
    start, plain = spellings.plain_address(f"{site}/-").removesuffix("-"), spellings.plain_address(url)
    return plain[len(start) :] if plain.lower().startswith(start.lower()) else ""


def _of_gist(ref: RepoRef, sites: Sites) -> Names:
    """By its id alone, where it is one: whose it is need not be in its address, nor be true there."""
    path = _below(sites.gist, ref.url)
    return (("gist", f"{NOBODY}/{_id(path)}/{_after(ref)}"),) if path else ()


def _id(gist: str) -> str:
    return gist.rpartition("/")[2].lower()


def _own(ref: RepoRef, sites: Sites) -> tuple[str, str] | None:
    at_sites = [
        site(sites) + "/" + quote(path) for site, _ in SITE_PAGES.values() if (path := _below(site(sites), ref.url))
    ]
    for address in (ref.url, spellings.plain_address(ref.url), *at_sites):
        try:
            found = parse_url(address, ref.ref, sites)
        except LauncherError:
            continue
        if found.provider not in {ref.provider, "git"}:
            return found.provider, found.spec
    return None
