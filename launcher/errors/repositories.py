"""What can go wrong with a repository and its checkout."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.errors.base import LauncherError


@dataclass(eq=False)
class HostUnreachable(LauncherError):
    """The git host did not answer, or not with git."""

    url: str
    reason: str


@dataclass(eq=False)
class RepositoryMissing(LauncherError):
    """The git host says that there is no such repository."""

    url: str


@dataclass(eq=False)
class RepositoryPrivate(LauncherError):
    """The git host asks for a login."""

    url: str


@dataclass(eq=False)
class RefMissing(LauncherError):
    """The repository has no branch, tag or commit of that exact name."""

    url: str
    ref: str
    similar: tuple[str, ...] = ()


@dataclass(eq=False)
class RefAmbiguous(LauncherError):
    """More than one branch, tag or commit has that name."""

    url: str
    ref: str
    candidates: tuple[str, ...]


@dataclass(eq=False)
class RepositoryTooLarge(LauncherError):
    """A limit of the checkout was passed: `what` is bytes, files, seconds, submodules, …."""

    url: str
    what: str
    limit: int


@dataclass(eq=False)
class CheckoutRefused(LauncherError):
    """The commit's files cannot be used: a name or a link climbs out of the tree, …."""

    url: str
    path: str
    reason: str


@dataclass(eq=False)
class SubmoduleFailed(LauncherError):
    """A submodule of the repository `url` cannot be had: `cause` is what its own address would be answered with."""

    url: str
    path: str
    cause: LauncherError


@dataclass(eq=False)
class LfsFailed(LauncherError):
    """A file of Git LFS in the repository `url` cannot be had."""

    url: str
    path: str
    cause: LauncherError


@dataclass(eq=False)
class RateLimited(LauncherError):
    """A provider answers no more questions from here for a while; `wait` says for how long, or is `""`."""

    url: str
    wait: str = ""


@dataclass(eq=False)
class RecordGone(LauncherError):
    """The provider says that the record was taken away."""

    url: str


@dataclass(eq=False)
class RecordUnfit(LauncherError):
    """What the link leads to is no record that can be launched."""

    url: str
    reason: str


@dataclass(eq=False)
class RecordElsewhere(RecordUnfit):
    """A DOI leads to a page at `host` that is of no archive known here."""

    host: str


@dataclass(eq=False)
class RecordDamaged(LauncherError):
    """A file of a record cannot be had, or is not what the record says that it is."""

    url: str
    path: str
    reason: str
