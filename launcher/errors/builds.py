"""What can go wrong with an environment and its build."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.errors.base import LauncherError


@dataclass(eq=False)
class EnvironmentConflict(LauncherError):
    """Two or more declarations and no rule between them (`binder/` and `.binder/`)."""

    found: tuple[str, ...]


@dataclass(eq=False)
class EnvironmentMissing(LauncherError):
    """Nothing in the repository declares an environment that a builder understands."""

    looked_for: tuple[str, ...]
    near: tuple[str, ...] = ()
    """Files that were perhaps meant to, each as `KIND MEANT FOUND` (builders/near.py)."""


@dataclass(eq=False)
class EnvironmentBroken(LauncherError):
    """A declaration cannot be read."""

    path: str
    reason: str


@dataclass(eq=False)
class AfreshPinned(LauncherError):
    """What was to be built afresh is pinned: it would be the same again."""

    evidence: tuple[str, ...]


@dataclass(eq=False)
class BuildFailed(LauncherError):
    """The builder ended with an error; `step` is the last one begun, `tail` its last lines."""

    builder: str
    step: str
    tail: tuple[str, ...]
    status: int


@dataclass(eq=False)
class BaseImageMissing(LauncherError):
    """The declaration builds on an image that cannot be had."""

    image: str


@dataclass(eq=False)
class BuildTimeout(LauncherError):
    """The build ran longer than the operator allows."""

    seconds: int
    step: str


@dataclass(eq=False)
class BuildOutOfMemory(LauncherError):
    """The build's steps wanted more memory than they may have; the kernel ended one."""

    bytes: int
    step: str


@dataclass(eq=False)
class BuildTooManyProcesses(LauncherError):
    """The build's steps started more processes than they may have."""

    processes: int
    step: str


@dataclass(eq=False)
class BuildDiskFull(LauncherError):
    """The build's steps wrote more than they may."""

    bytes: int
    step: str


@dataclass(eq=False)
class BuildLogTooLong(LauncherError):
    """The build printed more than is kept."""

    bytes: int
    step: str


@dataclass(eq=False)
class BuildAddressClosed(LauncherError):
    """The build asked for an address that builds do not reach."""

    address: str
    step: str


@dataclass(eq=False)
class BuildBroken(LauncherError):
    """The builder process itself broke (killed, or spoke nonsense)."""

    reason: str


@dataclass(eq=False)
class EngineDown(LauncherError):
    """The container engine does not answer."""

    reason: str


@dataclass(eq=False)
class RegistryDown(LauncherError):
    """The registry does not answer, or refuses us."""

    registry: str
    reason: str


@dataclass(eq=False)
class ServerMissing(LauncherError):
    """The image has no single-user server on its PATH."""

    path: str


@dataclass(eq=False)
class UserUnfit(LauncherError):
    """The image cannot run as uid 1000."""

    reason: str


@dataclass(eq=False)
class VolumeUnfit(LauncherError):
    """The image declares a volume that no session can have; `reason` goes on from its path."""

    volume: str
    reason: str


@dataclass(eq=False)
class EnvironmentImpure(LauncherError):
    """What declares the environment depends on something that may be another thing tomorrow, or on another machine."""

    path: str
    reason: str
    advice: str


@dataclass(eq=False)
class StoreUnfit(LauncherError):
    """A store path of the environment holds what an image cannot carry; `reason` goes on from its path."""

    path: str
    reason: str


@dataclass(eq=False)
class ServerNotBuilt(LauncherError):
    """Set-up has not built the notebook server of Nix and Guix images on this machine."""
