"""What the web needs, as interfaces; `launcher/compose/web.py` fills them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from launcher.errors import LauncherError
    from launcher.model import Account, Project, RepoRef, Role
    from launcher.standings import Standing
    from launcher.web.pieces import Told
    from launcher.web.views import Answer, CredentialView, LaunchView, ProjectView, SessionView, Turn


class Standings(Protocol):
    """Where launch links stand (`launcher.standings.Standings`)."""

    def of(self, ref: RepoRef) -> Standing:
        """What is known of this link."""
        ...


class Launches(Protocol):
    """Launches under way and ended."""

    @property
    def standings(self) -> Standings: ...

    async def start(
        self, account: Account, ref: RepoRef, urlpath: str = "", *, afresh: bool = False, build_only: bool = False
    ) -> LaunchView:
        """Begin a launch; returns at once. It does not end with the request that began it."""
        ...

    def building(self, account: Account, ref: RepoRef) -> LaunchView | None:
        """A launch under way that ends with this link's image, and that this account would join."""
        ...

    async def get(self, launch: str) -> LaunchView:
        """The launch with this id. Raises LaunchMissing."""
        ...

    async def list(self, account: str | None = None) -> Sequence[LaunchView]:
        """The launches of the account with this name, or all; the newest first, a bounded number."""
        ...

    async def log(self, launch: str) -> Told:
        """What it has told and tells, for any number of readers. Raises LaunchMissing."""
        ...

    async def cancel(self, launch: str, by: str) -> LaunchView:
        """Stop the launch, as the person with this name; no effect on one that has ended. Raises LaunchMissing."""
        ...


class Projects(Protocol):
    """Projects and their people (`launcher.store.projects.ProjectRows`)."""

    async def get(self, project: str) -> ProjectView | None: ...
    async def list(self, account: str | None = None) -> Sequence[ProjectView]: ...
    async def role(self, project: str, account: str) -> Role | None: ...
    async def find(self, owner: str, url: str, ref: str) -> Project | None: ...


class Shelf(Protocol):
    """Names of projects, and which are archived (`launcher.store.shelf.Shelf`)."""

    async def rename(self, project: str, title: str) -> None: ...
    async def archive(self, project: str) -> None: ...

    async def take_back(self, project: str) -> str | None:
        """Not where its owner has another project for its link by now: then the title of that one."""
        ...


class Sessions(Protocol):
    """The servers of projects (`launcher.sessions.sessions.HubSessions`)."""

    async def list(self) -> Sequence[SessionView]:
        """All that exist now; a project that is not here is stopped. Raises HubDown."""
        ...

    async def stop(self, project: str) -> None:
        """Stop the server of this project. Raises HubDown."""
        ...

    async def token_for(self, project: Project) -> str:
        """A fresh token for this project's server alone. Raises HubDown."""
        ...


class HubLogin(Protocol):
    """People as the hub knows them (`launcher.web.hub.OAuthHub`)."""

    async def identify(self, token: str) -> Account | None:
        """Whom this hub token belongs to; None: nobody who may come in. Raises HubDown."""
        ...

    def authorize_url(self, state: str, challenge: str) -> str:
        """Where a browser asks the hub who it is (local path)."""
        ...

    async def redeem(self, code: str, verifier: str) -> str | None:
        """The access token for an OAuth code; None if the code is not good. Raises HubDown."""
        ...


class Resolver(Protocol):
    """Answers the hub: what a spawn may have, whose turn it is (`launcher.sessions`: `Resolve`, `Leasing`)."""

    async def answer(self, question: object) -> Answer:
        """200 with an allowance or a lease, or a refusal."""
        ...


class Leases(Protocol):
    """Who may write in workspaces (`launcher.store.leases.LeaseRows`)."""

    async def give_up(self, project: str) -> bool:
        """Nobody holds it any more; False where nobody did."""
        ...


class Storage(Protocol):
    """What is known of workspaces' sizes (`launcher.projects.watch.Watch`)."""

    def held(self, project: str) -> int | None:
        """Bytes, as last measured; None: that is not known."""
        ...

    def notice(self, project: str) -> LauncherError | None:
        """What people have to know; None: nothing."""
        ...


class Credentials(Protocol):
    """People's own credentials (`launcher.credentials.keyring.Keyring`)."""

    async def list(self, account: str) -> Sequence[CredentialView]:
        """This person's, the newest first."""
        ...

    async def keep_token(self, account: str, host: str, username: str, token: str) -> CredentialView:
        """Keep one, in place of another for the same host. Raises BadRequest, CredentialsFull."""
        ...

    async def keep_key(self, account: str, repository: str) -> CredentialView:
        """Make a key for one repository, in place of another. Raises BadRequest, CredentialsFull."""
        ...

    @property
    def applications(self) -> Sequence[str]:
        """The git hosts (`host[:port]`) that give a token to this site when a person agrees."""
        ...

    def connect_url(self, place: str, back: str, state: str, challenge: str) -> str:
        """Where a person lets us read at a host. Raises BadRequest."""
        ...

    async def connect(self, account: str, place: str, code: str, verifier: str, back: str) -> CredentialView:
        """Keep what the host gives for the code. Raises BadRequest, ConnectFailed, CredentialsFull."""
        ...

    async def remove(self, account: str, credential: str) -> None:
        """Forget it. Raises CredentialMissing."""
        ...


class Collection(Protocol):
    """What nobody uses (`launcher.builds.collecting.Collecting`). Raises RegistryDown, EngineDown, BuildBroken."""

    async def look(self, *, every: bool = False) -> Sequence[Any]:
        """What `collect` would do: a `launcher.builds.collecting.Report` for each place."""
        ...

    async def collect(self, *, every: bool = False) -> Sequence[Any]:
        """Make room; what became of it."""
        ...


class Forgetting(Protocol):
    """What is held of one repository (`launcher.builds.forgetting.Forgetting`).

    Raises RegistryDown, EngineDown, BuildBroken.
    """

    async def look(self, url: str) -> Any:
        """What `forget` would do: a `launcher.builds.forgetting.Forgotten`."""
        ...

    async def forget(self, url: str) -> Any:
        """Forget it; what became of it."""
        ...


class Queue(Protocol):
    """Who waits for a place (`launcher.gate.places.Places`)."""

    @property
    def taken(self) -> int:
        """Places that are taken."""
        ...

    async def admit(self, account: Account, has_session: Callable[[], Awaitable[str | None]]) -> None:
        """Raises QueueFull where nobody else can wait; who has a session is let through."""
        ...

    def turn(self, launch: str) -> Turn | None:
        """None: it does not wait."""
        ...

    def overview(self) -> Sequence[Turn]:
        """In the order of their places."""
        ...


class Durations(Protocol):
    """How long stages took (`launcher.store.durations.Durations`)."""

    async def of(self, url: str) -> Mapping[str, float]:
        """Stage → seconds, the last time that this repository was launched."""
        ...
