"""One repository by all its names: what is banned by one of them is not launched by another."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from launcher.errors import LauncherError
from launcher.repos.providers import PROVIDERS, parse_url

if TYPE_CHECKING:
    from launcher.model import RepoRef
    from launcher.repos.provider import Sites


def plain_address(url: str) -> str:
    """The https address that people would give: no user, usual port, `www.`, `.git`, escapes or turns in the path."""
    if "://" not in url:
        url = "ssh://" + url.replace(":", "/", 1)
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.").rstrip(".")
    path = posixpath.normpath("/" + unquote(parts.path)).lstrip("/")
    return f"https://{host}/{path.removesuffix('.git')}"


def names(ref: RepoRef, sites: Sites) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Its provider and spec as asked, and by the provider whose site it is of; then as `git` would be asked for it."""
    asked = ((ref.provider, ref.spec),)
    if PROVIDERS[ref.provider].is_record:
        return asked, ()
    plain = plain_address(ref.url)
    after = quote(ref.ref or "HEAD", safe="/")
    as_git = tuple(("git", f"{quote(one, safe='')}/{after}") for one in dict.fromkeys((ref.url, plain)))
    own = _own(ref, plain, sites)
    return (asked if own is None else (*asked, own)), as_git


def _own(ref: RepoRef, plain: str, sites: Sites) -> tuple[str, str] | None:
    for address in (ref.url, plain):
        try:
            found = parse_url(address, ref.ref, sites)
        except LauncherError:
            continue
        if found.provider not in {ref.provider, "git"}:
            return found.provider, found.spec
    return None
