"""What can be wrong with a request, and with who asks."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.errors.base import LauncherError


@dataclass(eq=False)
class LaunchMissing(LauncherError):
    """No launch has that id (or none that you may see)."""

    id: str


@dataclass(eq=False)
class ProjectMissing(LauncherError):
    """No project has that id (or none that you may see)."""

    id: str


@dataclass(eq=False)
class ProjectRuns(LauncherError):
    """A project was to be archived whose session runs."""

    title: str


@dataclass(eq=False)
class ProjectArchived(LauncherError):
    """A session was wanted of a project that is archived."""

    title: str


@dataclass(eq=False)
class LinkTaken(LauncherError):
    """A project cannot be taken back: its owner has another one for its link by now, called `other`."""

    other: str


@dataclass(eq=False)
class LoginRequired(LauncherError):
    """Who asks is not known, and has to be."""

    login: str


@dataclass(eq=False)
class Forbidden(LauncherError):
    """Who asks is known and may not do `what`."""

    what: str


@dataclass(eq=False)
class NotFromOurPage(Forbidden):
    """A request that changes something by cookie does not show the login's token: `what` is that."""


@dataclass(eq=False)
class BuildTokenRefused(LauncherError):
    """A build token that was shown is not good: `reason` goes on from "The build token"."""

    reason: str


@dataclass(eq=False)
class BodyTooLarge(LauncherError):
    """A request's body has more bytes than are taken."""

    limit: int


@dataclass(eq=False)
class BadRequest(LauncherError):
    """A request that does not have its form: `where` is a field, a header or a parameter."""

    where: str
    seen: str
    form: str


@dataclass(eq=False)
class Stopped(LauncherError):
    """Somebody stopped the launch or the build."""

    by: str
