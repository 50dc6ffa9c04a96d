"""What can go wrong, as facts. The sentences are in `launcher/explain.py`.

Errors are dataclasses but never frozen: a frozen exception turns into FrozenInstanceError inside a context manager.
No fact carries a credential, a token or a path of the host.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class LauncherError(Exception):
    """The root of everything that the launcher explains to people."""

    def __post_init__(self) -> None:
        """Give the exception its arguments, so that it pickles and prints."""
        super().__init__(*vars(self).values())


# --------------------------------------------------------------------------- links
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


# --------------------------------------------------------------------------- repositories
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


# --------------------------------------------------------------------------- environments and builds
@dataclass(eq=False)
class EnvironmentConflict(LauncherError):
    """Two or more declarations and no rule between them (`binder/` and `.binder/`)."""

    found: tuple[str, ...]


@dataclass(eq=False)
class EnvironmentMissing(LauncherError):
    """Nothing in the repository declares an environment that a builder understands."""

    looked_for: tuple[str, ...]


@dataclass(eq=False)
class EnvironmentBroken(LauncherError):
    """A declaration cannot be read."""

    path: str
    reason: str


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


# --------------------------------------------------------------------------- projects and sessions
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
class SpawnFailed(LauncherError):
    """The server started and ended, or could not start; `tail` is its last lines."""

    reason: str
    tail: tuple[str, ...] = ()


@dataclass(eq=False)
class SpawnTimeout(LauncherError):
    """The server did not answer in time."""

    seconds: int


# --------------------------------------------------------------------------- room
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
class DatabaseDown(LauncherError):
    """The database does not answer, or takes no changes."""

    reason: str


# --------------------------------------------------------------------------- asking
@dataclass(eq=False)
class LaunchMissing(LauncherError):
    """No launch has that id (or none that you may see)."""

    id: str


@dataclass(eq=False)
class ProjectMissing(LauncherError):
    """No project has that id (or none that you may see)."""

    id: str


@dataclass(eq=False)
class LoginRequired(LauncherError):
    """Who asks is not known, and has to be."""

    login: str


@dataclass(eq=False)
class Forbidden(LauncherError):
    """Who asks is known and may not do `what`."""

    what: str


@dataclass(eq=False)
class TooOften(LauncherError):
    """A limit of so many within ten minutes is reached: `what` names it; there is room again after `seconds`."""

    what: str
    seconds: int


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
