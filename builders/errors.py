"""What can go wrong in a builder process, as facts.

Each class has the name and the facts of one in `launcher/errors/`: that is how an error crosses the process border
(`{"type":"error","error":<name>,"facts":{…}}`). `tests/contract/test_builders_errors.py` compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class BuilderError(Exception):
    """The root of everything that a builder process explains."""

    def __post_init__(self) -> None:
        """Give the exception its arguments, so that it pickles and prints."""
        super().__init__(*vars(self).values())


@dataclass(eq=False)
class EnvironmentConflict(BuilderError):
    """Two or more declarations and no rule between them."""

    found: tuple[str, ...]


@dataclass(eq=False)
class EnvironmentMissing(BuilderError):
    """Nothing in the directory declares an environment that a builder understands."""

    looked_for: tuple[str, ...]
    near: tuple[str, ...] = ()
    """Files that were perhaps meant to, each as `KIND MEANT FOUND` (builders/near.py)."""


@dataclass(eq=False)
class EnvironmentBroken(BuilderError):
    """A declaration cannot be read."""

    path: str
    reason: str


@dataclass(eq=False)
class BuildFailed(BuilderError):
    """The builder ended with an error; `step` is the last one begun, `tail` its last lines."""

    builder: str
    step: str
    tail: tuple[str, ...]
    status: int


@dataclass(eq=False)
class BaseImageMissing(BuilderError):
    """The declaration builds on an image that cannot be had."""

    image: str


@dataclass(eq=False)
class BuildTimeout(BuilderError):
    """The build ran longer than it was allowed."""

    seconds: int
    step: str


@dataclass(eq=False)
class BuildOutOfMemory(BuilderError):
    """The build's steps wanted more memory than they may have; the kernel ended one."""

    bytes: int
    step: str


@dataclass(eq=False)
class BuildTooManyProcesses(BuilderError):
    """The build's steps started more processes than they may have."""

    processes: int
    step: str


@dataclass(eq=False)
class BuildDiskFull(BuilderError):
    """The build's steps wrote more than they may."""

    bytes: int
    step: str


@dataclass(eq=False)
class BuildLogTooLong(BuilderError):
    """The build printed more than is kept."""

    bytes: int
    step: str


@dataclass(eq=False)
class BuildAddressClosed(BuilderError):
    """The build asked for an address that builds do not reach."""

    address: str
    step: str


@dataclass(eq=False)
class BuildBroken(BuilderError):
    """The builder itself broke."""

    reason: str


@dataclass(eq=False)
class EngineDown(BuilderError):
    """The container engine does not answer."""

    reason: str


@dataclass(eq=False)
class RegistryDown(BuilderError):
    """The registry does not answer, or refuses us."""

    registry: str
    reason: str


@dataclass(eq=False)
class ServerMissing(BuilderError):
    """The image has no single-user server on its PATH."""

    path: str


@dataclass(eq=False)
class UserUnfit(BuilderError):
    """The image cannot run as uid 1000."""

    reason: str


@dataclass(eq=False)
class VolumeUnfit(BuilderError):
    """The image declares a volume that no session can have."""

    volume: str
    reason: str


@dataclass(eq=False)
class EnvironmentImpure(BuilderError):
    """What declares the environment depends on something that may be another thing tomorrow, or on another machine.

    `path` with a line where that is known; `reason` is what, `advice` what to do.
    """

    path: str
    reason: str
    advice: str


@dataclass(eq=False)
class StoreUnfit(BuilderError):
    """A store path holds what an image cannot carry; `reason` goes on from its path."""

    path: str
    reason: str


@dataclass(eq=False)
class ServerNotBuilt(BuilderError):
    """Set-up has not built the notebook server of Nix and Guix images here."""


@dataclass(eq=False)
class DiskFull(BuilderError):
    """The disk of `place` is full; `step` and `tail` as in BuildFailed."""

    place: str
    step: str = ""
    tail: tuple[str, ...] = ()


@dataclass(eq=False)
class Stopped(BuilderError):
    """The process was told to stop; `by` is `signal` or `parent`."""

    by: str
