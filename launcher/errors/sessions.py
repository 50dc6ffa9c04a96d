"""What can go wrong with workspaces, the hub, sessions and the room that they need."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.errors.base import LauncherError


@dataclass(eq=False)
class WorkspaceFailed(LauncherError):
    """A workspace could not be made or reached; nothing half-made is left."""

    reason: str


@dataclass(eq=False)
class HubDown(LauncherError):
    """JupyterHub does not answer."""

    reason: str


@dataclass(eq=False)
class SpawnRefused(LauncherError):
    """The hub would not start the server."""

    reason: str


@dataclass(eq=False)
class SessionsFull(LauncherError):
    """As many sessions run as the operator lets run."""


@dataclass(eq=False)
class SpawnFailed(LauncherError):
    """The server started and ended, or could not start; `tail` is its last lines."""

    reason: str
    tail: tuple[str, ...] = ()


@dataclass(eq=False)
class SpawnTimeout(LauncherError):
    """The server did not answer in time."""

    seconds: int


@dataclass(eq=False)
class DiskLow(LauncherError):
    """A disk has less room than a new launch is given; `free` and `floor` are sizes in words (`80 MiB`)."""

    place: str
    free: str
    floor: str


@dataclass(eq=False)
class DiskFull(LauncherError):
    """Something could not be written: the disk of `place` is full. A build tells its step and its last lines."""

    place: str
    step: str = ""
    tail: tuple[str, ...] = ()


@dataclass(eq=False)
class WorkspaceNearlyFull(LauncherError):
    """A workspace holds nearly what it may; both are sizes in words."""

    held: str
    limit: str


@dataclass(eq=False)
class WorkspaceOver(LauncherError):
    """A workspace holds more than it may; its session runs for some `minutes` more, in which files can be deleted."""

    held: str
    limit: str
    minutes: int


@dataclass(eq=False)
class WorkspaceStopped(LauncherError):
    """A session was stopped because its workspace held more than it may; started again it has so many `minutes`."""

    held: str
    limit: str
    minutes: int


@dataclass(eq=False)
class DatabaseDown(LauncherError):
    """The database does not answer, or takes no changes."""

    reason: str
