"""How links to records are read: the rest of a launch path, and what a person pasted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from launcher.repos import urls
from launcher.repos.records.dois import doi_in

if TYPE_CHECKING:
    from launcher.repos.provider import Sites

CKAN = re.compile(
    r"(?P<base>https?://[^?#]*[^?#/])/dataset/(?P<id>[^/?#&=]+)/?"
    r"(?:\?activity_id=(?P<activity>[\w-]+)|history/(?P<history>[\w-]+))?"
)
"""The page of a dataset, maybe as it was with an activity."""
SWHID = re.compile(
    r"swh:1:(?:dir|rev|rel|snp):[0-9a-f]{40}"
    r"(?:;(?:origin|visit|anchor|path|lines|bytes)=[^;\s\x00-\x1f\x7f?#]+)*"
)
"""An id of Software Heritage with its qualifiers, of something that has files in folders."""
_CONTENT = re.compile(r"swh:1:(?:cnt|ori):.*")
_OF_ARCHIVE = re.compile(r"(?:https?://archive\.softwareheritage\.org/)?(?P<id>swh:1:[^?#]*[^?#/])/?(?:[?#].*)?")
_RESOURCE = re.compile(r"(?:https?://[^/?#]+/resource/)?(?P<id>[0-9a-f]{32})/?")
_OF_RESOURCE = re.compile(r"10\.4211/hs\.(?P<id>[0-9a-f]{32})")
_HTTP = r"(?:https?://)?(?:www\.)?"
_PAGES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(rf"{_HTTP}zenodo\.org/records?/(?P<id>[0-9]+)(?:[/?#].*)?"), "zenodo", "10.5281/zenodo.{id}"),
    (re.compile(rf"{_HTTP}zenodo\.org/doi/(?P<id>10\.[0-9.]+/[^?#/]+)/?(?:[?#].*)?"), "zenodo", "{id}"),
    (
        re.compile(rf"{_HTTP}figshare\.com/articles/(?:[^?#]+/)?(?P<id>[0-9]+)/(?P<version>[0-9]+)/?(?:[?#].*)?"),
        "figshare",
        "10.6084/m9.figshare.{id}.v{version}",
    ),
    (
        re.compile(rf"{_HTTP}figshare\.com/articles/(?:[^?#]+/)?(?P<id>[0-9]+)/?(?:[?#].*)?"),
        "figshare",
        "10.6084/m9.figshare.{id}",
    ),
    (
        re.compile(r"https?://[^?#]+/(?:citation|(?:dataset|file)\.xhtml)\?persistentId=doi:(?P<id>10\.[^&#]+)"),
        "dataverse",
        "{id}",
    ),
    (re.compile(rf"{_HTTP}hydroshare\.org/resource/(?P<id>[0-9a-f]{{32}})/?(?:[?#].*)?"), "hydroshare", "{id}"),
)
"""Pages of records: the first that fits, its provider and the spec, which the parts of the address are put into."""
_PREFIXES: tuple[tuple[str, str], ...] = (
    ("10.5281/zenodo.", "zenodo"),
    ("10.22002/", "zenodo"),
    ("10.6084/m9.figshare.", "figshare"),
    ("10.4211/hs.", "hydroshare"),
    ("10.7910/dvn/", "dataverse"),
)
"""Beginnings of DOIs whose provider is known. Others are launched as those of Dataverse, each installation of which
has its own; but they may be of anything: what a DOI leads to is found out when it is launched.
"""


_OF_OTHERS = "dataverse"


def is_any_doi(provider: str, spec: str) -> bool:
    """Whether nobody knows, without asking, of which archive a reference's DOI is."""
    return provider == _OF_OTHERS and not known_doi(spec)


def known_doi(spec: str) -> str:
    """The provider of a DOI that begins as its own do, or `""`."""
    return next((name for start, name in _PREFIXES if spec.lower().startswith(start)), "")


def parse_doi(spec: str, sites: Sites) -> tuple[str, str, str]:
    """As Provider.parse, of every provider whose records have DOIs."""
    doi = doi_in(urls.decode(spec))
    if not doi:
        msg = "it is not a DOI"
        raise ValueError(msg)
    return doi, f"{sites.doi}/{doi}", ""


def parse_hydroshare(spec: str, sites: Sites) -> tuple[str, str, str]:
    """As Provider.parse: a resource by its id, its address or its DOI."""
    text = urls.decode(spec)
    found = _OF_RESOURCE.fullmatch(doi_in(text)) or _RESOURCE.fullmatch(text)
    if found is None:
        msg = "it is not the id of a resource"
        raise ValueError(msg)
    return found["id"], f"{sites.hydroshare}/resource/{found['id']}", ""


def parse_ckan(spec: str, sites: Sites) -> tuple[str, str, str]:
    """As Provider.parse: the address of a dataset's page."""
    text = urls.decode(spec.removesuffix("/"))
    found = CKAN.fullmatch(text)
    if found is None:
        msg = "it is not the address of a dataset, https://host/dataset/name"
        raise ValueError(msg)
    address = str(urls.split_href(text, tuple(one for one in sites.protocols if one in {"http", "https"})))
    return quote(address, safe=""), address, ""


def parse_swh(spec: str, sites: Sites) -> tuple[str, str, str]:
    """As Provider.parse: an id of Software Heritage; its qualifiers are kept, and say nothing of what is launched."""
    found = _OF_ARCHIVE.fullmatch(urls.decode(spec))
    text = found["id"] if found else ""
    if _CONTENT.fullmatch(text):
        msg = "it is the id of a file or of an origin, and has no folder that could be launched"
        raise ValueError(msg)
    if not SWHID.fullmatch(text) or not text.isascii():
        msg = "it is not an id of Software Heritage, version 1"
        raise ValueError(msg)
    core, _, qualifiers = text.partition(";")
    kept = quote(qualifiers, safe=":/;=.,@~_-")
    return f"{core};{kept}" if kept else core, f"{sites.swh}/{core}", ""


def pasted(text: str) -> tuple[str, str] | None:
    """The provider and the spec of a record that somebody pasted, or None."""
    for pattern, provider, spec in _PAGES:
        if page := pattern.fullmatch(text):
            return provider, spec.format(**{name: unquote(value) for name, value in page.groupdict().items()})
    if (page := CKAN.fullmatch(text)) and (page["activity"] or page["history"]):
        return "ckan", quote(text, safe="")  # without an activity it may as well be a repository's address
    if found := _OF_ARCHIVE.fullmatch(text):
        return "swh", quote(found["id"], safe=":/;=%.,@~_-")
    if doi := doi_in(text):
        return known_doi(doi) or _OF_OTHERS, doi
    return None
