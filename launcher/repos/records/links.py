"""How links to records are read: the rest of a launch path, and what a person pasted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.repos import urls
from launcher.repos.records.dois import doi_in

if TYPE_CHECKING:
    from launcher.repos.providers import Sites

_ZENODO_PAGE = re.compile(
    r"(?:https?://)?(?:www\.)?zenodo\.org/(?:records?/(?P<id>[0-9]+)|doi/(?P<doi>10\.[0-9.]+/[^?#/]+))/?(?:[?#/].*)?"
)
_PREFIXES: tuple[tuple[str, str], ...] = (
    ("10.5281/zenodo.", "zenodo"),
    ("10.22002/", "zenodo"),
)
"""Beginnings of DOIs whose provider is known; what another one leads to is found out when it is launched."""


def parse_doi(spec: str, sites: Sites) -> tuple[str, str, str]:
    """As Provider.parse, of every provider whose records have DOIs."""
    doi = doi_in(urls.decode(spec))
    if not doi:
        msg = "it is not a DOI"
        raise ValueError(msg)
    return doi, f"{sites.doi}/{doi}", ""


def pasted(text: str) -> tuple[str, str] | None:
    """The provider and the spec of a record that somebody pasted, or None."""
    if page := _ZENODO_PAGE.fullmatch(text):
        return "zenodo", f"10.5281/zenodo.{page['id']}" if page["id"] else page["doi"]
    if doi := doi_in(text):
        return next((name for start, name in _PREFIXES if doi.lower().startswith(start)), "zenodo"), doi
    return None
