"""The interfaces of a launch, in the order in which it meets them.

Owned by the code that uses them (`launcher/launch.py`). A stage returns its value and *tells* progress
to a callable that never blocks. Errors are those of `launcher/errors/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from launcher.events import Event, Failed, Stage

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from launcher.model import Account, Checkout, Environment, Image, Project, RepoRef, ResolvedRepo, Session

Tell = Callable[[Event], None]

Explain = Callable[[BaseException, Stage | None], Failed]
"""What an error is to people (`launcher/explain/`); the stage is where it happened, if that is known."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A launch as the story is given it: who asked for what, and where in the session to arrive (`lab/tree/x`)."""

    id: str
    account: Account
    ref: RepoRef
    urlpath: str
    afresh: bool = False
    """Build what is not pinned again, and move the project to that."""
    build_only: bool = False
    """The image is all that is wanted: no project, no session."""


class LaunchTell(Protocol):
    """What a launch tells its log with; also a `Tell`.

    A launch's log is its own events and, in between, those of a build that it shares with other launches:
    spliced, not copied.
    """

    def __call__(self, event: Event) -> None:
        """Append an event. Never blocks. Ends a splice that is open."""
        ...

    def splice(self, stream: str) -> None:
        """From here on the log shows that of `stream`: all of it, or what this launch has not shown before."""
        ...

    def resume(self, last: int) -> None:
        """End the splice after the stream's event number `last`; the log's own events follow."""
        ...


class StoryTell(LaunchTell, Protocol):
    """What the story of a launch tells with."""

    def hide(self) -> None:
        """It is of a private repository: where its link stands is told to nobody else."""
        ...


class Room(Protocol):
    """Knows whether there is room for more."""

    async def check(self) -> None:
        """Raises DiskLow where a new launch is not to begin."""
        ...


class Resolver(Protocol):
    """Turns what may move into what cannot."""

    async def resolve(self, ref: RepoRef, account: Account) -> ResolvedRepo:
        """Ask the repository, exactly; with the account's own credentials where it does not open to everybody.

        Raises RepositoryMissing, CredentialRefused, RefMissing, RefAmbiguous, AddressRefused, HostUnreachable.
        """
        ...


class Checkouts(Protocol):
    """Shares the files of commits on disk."""

    def open(self, repo: ResolvedRepo) -> AbstractAsyncContextManager[Checkout]:
        """Lease the files of one commit. Simultaneous leases share one folder; the last one out cleans up."""
        ...


class Detector(Protocol):
    """Says what a checkout declares."""

    async def detect(self, checkout: Checkout, tell: Tell, *, afresh: bool = False) -> Environment:
        """Look, and evaluate where that is what a declaration is for; no image is built. `afresh`: remember nothing.

        Tells Log and Progress of stage DETECT. Raises EnvironmentConflict, EnvironmentMissing, EnvironmentBroken and
        its kin, and what a build raises.
        """
        ...


class Images(Protocol):
    """Finds or makes the image of an environment."""

    async def get(
        self, repo: ResolvedRepo, environment: Environment, tell: LaunchTell, *, afresh: bool = False
    ) -> Image:
        """One request to the registry; else one build per key, however many ask.

        `afresh`: a build in any case; the image that there was stays with those who use it, and the new one is the
        key's from then on.
        Tells Progress of stage IMAGE, and splices the log of the build, which has its own Started and Ended
        of stage BUILD. Cancelling the caller stops the build only when nobody else waits for it, and never
        the push. Raises BuildFailed and its kin, EngineDown, ServerMissing, UserUnfit.
        """
        ...


class Published(Protocol):
    """Knows when an image is in the registry."""

    async def published(self, image: Image) -> Image:
        """The image by its registry digest, when its push has ended. Raises RegistryDown where that takes too long."""
        ...


class Projects(Protocol):
    """Finds, makes and remembers projects and their workspaces."""

    async def find(self, account: Account, ref: RepoRef) -> Project | None:
        """The project that this account already has for this link, the most recently used one."""
        ...

    async def create(self, asked: Asked, repo: ResolvedRepo, image: Image) -> Project:
        """Make a project with a seeded workspace: either wholly there or not at all. Raises WorkspaceFailed.

        A launch that was killed and runs again goes on with what it has made. Where another launch of this account
        has made a project for this link meanwhile, that one is returned as it is.
        """
        ...

    async def move(self, project: Project, image: Image) -> Project:
        """Let the project's sessions start from this image from now on; its files stay."""
        ...

    async def use(self, project: Project) -> Project:
        """The project as it should be started now: its image's registry digest filled in where the push has ended."""
        ...


class Places(Protocol):
    """So many sessions at one time."""

    def hold(self, asked: Asked, project: Project, tell: Tell) -> AbstractAsyncContextManager[None]:
        """Have a place for the project's session while it starts; then the session has it until it ends.

        Waits, in turn, where there is none, and tells Started, Queued and Ended of stage QUEUE then. Who has a session
        already has its place. Raises QueueFull.
        """
        ...


class Sessions(Protocol):
    """Starts and stops the servers of projects."""

    async def start(self, project: Project, account: Account, tell: Tell) -> Session:
        """Start the project's server, or join the one that runs; let `account` enter it.

        Raises HubDown, SessionsFull, SpawnRefused, SpawnFailed, SpawnTimeout.
        """
        ...

    async def stop(self, project: str) -> None:
        """Stop the server of the project with this id; the workspace stays. No error if none runs. Raises HubDown."""
        ...
