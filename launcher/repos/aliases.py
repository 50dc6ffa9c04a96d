"""One repository by all its names: what is banned by one of them is not launched by another."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from launcher.errors import LauncherError
from launcher.model import RepoRef
from launcher.repos.providers import PROVIDERS, parse_url

if TYPE_CHECKING:
    from launcher.repos.provider import Sites

_OTHER_DOORS = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}
"""Where hosts answer ssh at the port of https: they are the same repositories."""
_RECORDS = tuple(row.id for row in PROVIDERS.values() if row.is_record)
NOBODY = "-"
"""Stands for the user of a gist, whose address works without one."""
Names = tuple[tuple[str, str], ...]
"""Each a provider and a spec."""


def plain_address(url: str) -> str:
    """The https address that people would give: no user, usual port, `www.`, `.git`, escapes or turns in the path."""
    if "://" not in url:
        url = "ssh://" + url.replace(":", "/", 1)
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.").rstrip(".")
    host = _OTHER_DOORS.get(host, host)
    path = posixpath.normpath("/" + unquote(parts.path)).lstrip("/")
    return f"https://{host}/{path.removesuffix('.git')}"


@dataclass(frozen=True, slots=True)
class Aliases:
    """Knows them at these sites. A `gate.Aliases`."""

    sites: Sites

    def one_name(self, url: str) -> str:
        """The same for each way to write a repository's address: it is counted as one."""
        return plain_address(url).lower()

    def names(self, ref: RepoRef) -> tuple[Names, Names]:
        """Its provider and spec as asked, and by the provider whose site it is of; then all others that it may go by.

        A record is found by its DOI whichever provider is named; any other repository as `git` would be asked for it.
        """
        asked = ((ref.provider, ref.spec),)
        if PROVIDERS[ref.provider].is_record:
            return asked, _of_record(ref.spec)
        plain = plain_address(ref.url)
        after = quote(ref.ref or "HEAD", safe="/")
        as_git = tuple(("git", f"{quote(one, safe='')}/{after}") for one in dict.fromkeys((ref.url, plain)))
        own = _own(ref, plain, self.sites)
        return (asked if own is None else (*asked, own)), (*as_git, *_of_gist(ref, plain, self.sites))

    def names_at(self, url: str) -> Names:
        """All names of what is at this address."""
        asked, others = self.names(RepoRef("git", f"{quote(url, safe='')}/HEAD", url, ""))
        return (*asked, *others)

    def names_of_record(self, found: str) -> Names:
        """Of a version of a record, as it is cited (`model.Record.id`): `10.5281/zenodo.3242074`."""
        cited = found.partition(" ")[0]
        return (*_of_record(cited), ("ckan", quote(f"https://{cited}", safe="")))


def _of_record(spec: str) -> Names:
    return tuple((provider, spec) for provider in _RECORDS)


def _of_gist(ref: RepoRef, plain: str, sites: Sites) -> Names:
    """By its id alone, where it is one: whose it is need not be in its address, nor be true there."""
    site, _, path = plain.rpartition(plain_address(sites.gist) + "/")
    if site or not path:
        return ()
    return (("gist", f"{NOBODY}/{path.rpartition('/')[2]}/{quote(ref.ref or 'HEAD', safe='/')}"),)


def _own(ref: RepoRef, plain: str, sites: Sites) -> tuple[str, str] | None:
    for address in (ref.url, plain):
        try:
            found = parse_url(address, ref.ref, sites)
        except LauncherError:
            continue
        if found.provider not in {ref.provider, "git"}:
            return found.provider, found.spec
    return None
