"""What can go wrong with people's own credentials. None of the facts is a secret."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.errors.base import LauncherError


@dataclass(eq=False)
class CredentialRefused(LauncherError):
    """The host does not open the repository to the person's credential, or that is not kept any more."""

    url: str


@dataclass(eq=False)
class HostKeyUnknown(LauncherError):
    """The host of `url` shows a key (of its own) that this site does not know: it may be another one."""

    url: str


@dataclass(eq=False)
class ConnectFailed(LauncherError):
    """A git host at which a person agreed gives no token."""

    site: str
    reason: str


@dataclass(eq=False)
class CredentialMissing(LauncherError):
    """This person keeps no credential of that id."""

    id: str


@dataclass(eq=False)
class CredentialDamaged(LauncherError):
    """A credential cannot be opened: it was locked with another key of the installation."""


@dataclass(eq=False)
class PrivateNotHere(LauncherError):
    """Where the engine of the sessions builds, a build of anybody's may start from every image."""


@dataclass(eq=False)
class NamesNotProven(LauncherError):
    """Whoever may sign in takes any name, so what a name keeps would be everybody's."""


@dataclass(eq=False)
class CredentialsFull(LauncherError):
    """This person keeps as many as one may."""

    limit: int
