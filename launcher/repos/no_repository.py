"""What people paste that is no repository, though it has the form of an address: told for what it is."""

from __future__ import annotations

import re
from typing import Final

from launcher.errors import ArchiveFile, LocalPath, PublicationId, SiteUnknown
from launcher.repos.urls import redact

_LOCAL = re.compile(r"(?is)[a-z]:[\\/].*|\\\\.+|~[\w.-]*(?:[\\/].*)?|\.{1,2}[\\/].*|/.*|file:.*")
_AS_THE_OPERATOR_SAYS = re.compile(r"(?is)/.*|file:.*")
_ARCHIVE = re.compile(r"(?i)https?://[^?#]+\.(?P<form>zip|tar|tgz|tbz2|txz|7z|rar|tar\.(?:gz|bz2|xz|zst))/?(?:[?#].*)?")
_DOI = r"(?:doi:\s*|(?:https?://)?(?:dx\.|www\.)?doi\.org/)?"
_PUBLICATIONS: Final = tuple(
    (kind, re.compile(f"(?is){pattern}"))
    for kind, pattern in (
        ("arXiv", rf"arxiv:\s*\S.*|(?:https?://)?(?:[a-z]+\.)?arxiv\.org/.*|{_DOI}10\.48550/.*"),
        ("the Handle System", r"(?:hdl|handle):\s*\S.*|(?:https?://)?hdl\.handle\.net/.*"),
        ("PubMed", r"(?:pmid|pmcid):\s*\S.*|(?:https?://)?(?:pubmed|pmc|www)\.ncbi\.nlm\.nih\.gov/.*"),
        ("ISBN", r"isbn(?:-1[03])?:\s*\S.*|urn:isbn:.*"),
        ("bioRxiv and medRxiv", r"(?:https?://)?(?:www\.)?(?:bio|med)rxiv\.org/.*"),
    )
)
_SITES: Final = tuple(
    (site, re.compile(rf"(?is)(?:https?://)?(?:{pattern}).*"))
    for site, pattern in (
        ("OSF", rf"(?:[a-z]+\.)?osf\.io/|{_DOI}10\.17605/osf\.io/"),
        ("Dryad", rf"(?:www\.)?datadryad\.org/|{_DOI}10\.5061/dryad\."),
        ("Kaggle", r"(?:www\.)?kaggle\.com/"),
        ("Google Drive", r"(?:drive|docs)\.google\.com/|colab\.research\.google\.com/drive/"),
        ("Dropbox", r"(?:www\.)?dropbox\.com/"),
    )
)
"""Of each what is said of it: its beginning, as an address or as the DOI of what lies there."""


def check(text: str, protocols: tuple[str, ...]) -> None:
    """Raises LocalPath, PublicationId and SiteUnknown; `protocols`: `file` may be one of them."""
    if _LOCAL.fullmatch(text) and not ("file" in protocols and _AS_THE_OPERATOR_SAYS.fullmatch(text)):
        raise LocalPath(redact(text), "it is a path on one computer")
    for kind, pattern in _PUBLICATIONS:
        if pattern.fullmatch(text):
            raise PublicationId(redact(text), "it names a publication", kind)
    for site, pattern in _SITES:
        if pattern.fullmatch(text):
            raise SiteUnknown(redact(text), "it is a page of a site that is not known here", site)


def check_file(text: str) -> None:
    """Raises ArchiveFile. What is a page of a record or of a repository was known before."""
    if found := _ARCHIVE.fullmatch(text):
        raise ArchiveFile(redact(text), "it is the address of a file", found["form"].lower())
