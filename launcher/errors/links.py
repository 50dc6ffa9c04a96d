"""What can be wrong with a launch link."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.errors.base import LauncherError


@dataclass(eq=False)
class UnknownProvider(LauncherError):
    """A launch path names a provider that is not in the table."""

    provider: str
    known: tuple[str, ...]


@dataclass(eq=False)
class BadSpec(LauncherError):
    """A launch path's spec does not have its provider's form."""

    provider: str
    spec: str
    form: str
    reason: str


@dataclass(eq=False)
class BadUrl(LauncherError):
    """An address that cannot be a repository's: `reason` says why (bad escape, no host, `ext::`, …)."""

    url: str
    reason: str


@dataclass(eq=False)
class LocalPath(BadUrl):
    """A path on somebody's own computer."""


@dataclass(eq=False)
class PublicationId(BadUrl):
    """The id or page of a publication, which holds no files. `kind`: whose ids are of that form."""

    kind: str


@dataclass(eq=False)
class SiteUnknown(BadUrl):
    """A page of a site whose files nobody here can fetch."""

    site: str


@dataclass(eq=False)
class ArchiveFile(BadUrl):
    """The address of an archive's file. `form`: zip, tar.gz, …."""

    form: str


@dataclass(eq=False)
class BadRef(LauncherError):
    """A reference that git could not have, or that looks like an option."""

    ref: str
    reason: str


@dataclass(eq=False)
class ProtocolRefused(LauncherError):
    """A protocol that is never used, or that the operator has not allowed."""

    url: str
    protocol: str
    allowed: tuple[str, ...]


@dataclass(eq=False)
class AddressRefused(LauncherError):
    """A host that is, or resolves to, an address that the operator has not opened."""

    host: str
    address: str
    kind: str
    """loopback, private, link-local, multicast, reserved, unspecified."""
    via: str = ""
    """The address that redirected there, or `""`."""
