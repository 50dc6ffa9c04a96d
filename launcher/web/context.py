"""What the web needs, as interfaces and plain values; `launcher/compose/web.py` fills it in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from launcher.gate.gate import Gate
from launcher.gate.policy import Policy
from launcher.rates import LOOPBACK, Rates
from launcher.web.build_tokens import BuildTokens
from launcher.web.launch_log import LaunchLog
from launcher.web.looking import Looking
from launcher.web.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from launcher.errors import LauncherError
    from launcher.model import Account, Project, RepoRef, Role, State
    from launcher.repos.recognise import Recognised
    from launcher.standings import Standing
    from launcher.web.health import Health
    from launcher.web.metrics import Metrics
    from launcher.web.watching import Told


class LaunchView(Protocol):
    """A launch as it stands. Times are seconds since the epoch, UTC."""

    @property
    def id(self) -> str: ...
    @property
    def account(self) -> Account: ...
    @property
    def ref(self) -> RepoRef: ...
    @property
    def urlpath(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def project(self) -> str | None: ...
    @property
    def commit(self) -> str | None: ...
    @property
    def created(self) -> float: ...
    @property
    def ended(self) -> float | None: ...
    @property
    def build_only(self) -> bool: ...


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


class ProjectView(Protocol):
    """A project, and what only lists show."""

    @property
    def project(self) -> Project: ...
    @property
    def title(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def used(self) -> float: ...


class Projects(Protocol):
    """Projects and their people (`launcher.store.projects.ProjectRows`)."""

    async def get(self, project: str) -> ProjectView | None: ...
    async def list(self, account: str | None = None) -> Sequence[ProjectView]: ...
    async def role(self, project: str, account: str) -> Role | None: ...
    async def find(self, owner: str, url: str, ref: str) -> Project | None: ...


class SessionView(Protocol):
    """A server that exists now."""

    @property
    def project(self) -> str: ...
    @property
    def state(self) -> str:
        """`starting`, `running` or `stopping`."""
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


@dataclass(frozen=True, slots=True)
class Links:
    """How links are read (`launcher.repos`). All raise the errors of links."""

    parse_spec: Callable[[str, str], RepoRef]
    """(provider, raw spec: still percent-encoded) → reference."""
    recognise: Callable[[str, str], Recognised]
    """(what was pasted, reference or `""`) → reference, and where in a session to arrive."""
    folders: Callable[[Recognised], Sequence[Recognised]]
    """How else the address of a folder's page may be meant."""
    providers: Sequence[Mapping[str, Any]]
    """BinderHub's display configuration of every provider."""


class Answer(Protocol):
    """What the hub is answered: a status and a JSON object."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> Mapping[str, object]: ...


class Resolver(Protocol):
    """Answers the hub what a spawn may have (`launcher.sessions.resolve.Resolve`)."""

    async def answer(self, question: object) -> Answer:
        """200 with an allowance, or a refusal."""
        ...


class Storage(Protocol):
    """What is known of workspaces' sizes (`launcher.projects.watch.Watch`)."""

    def held(self, project: str) -> int | None:
        """Bytes, as last measured; None: that is not known."""
        ...

    def notice(self, project: str) -> LauncherError | None:
        """What people have to know; None: nothing."""
        ...


class CredentialView(Protocol):
    """A credential, without what opens."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def username(self) -> str: ...
    @property
    def public(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def used(self) -> float | None: ...


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


class Turn(Protocol):
    """How a launch stands in the queue (`launcher.gate.places.Turn`)."""

    @property
    def launch(self) -> str: ...
    @property
    def place(self) -> int: ...
    @property
    def ahead(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def since(self) -> float: ...


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


class _NobodyWaits:
    taken = 0

    async def admit(self, account: Account, has_session: Callable[[], Awaitable[str | None]]) -> None:
        """Everybody."""

    def turn(self, _launch: str) -> None:
        return None

    def overview(self) -> tuple[Turn, ...]:
        return ()


class _NothingHeld:
    async def look(self, *, every: bool = False) -> Sequence[Any]:  # noqa: ARG002  # as Collection has it
        return ()

    collect = look


class _NobodyKnows:
    async def look(self, url: str) -> Any:
        raise NotImplementedError(url)

    forget = look


class _NotMeasured:
    def held(self, _project: str) -> None:
        return None

    def notice(self, _project: str) -> None:
        return None


class Durations(Protocol):
    """How long stages took (`launcher.store.durations.Durations`)."""

    async def of(self, url: str) -> Mapping[str, float]:
        """Stage → seconds, the last time that this repository was launched."""
        ...


class _NothingMeasured:
    async def of(self, _url: str) -> Mapping[str, float]:
        return {}


async def _nothing() -> None:
    """Look nothing up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Everything behind the handlers."""

    launches: Launches
    projects: Projects
    sessions: Sessions
    links: Links
    hub: HubLogin
    credentials: Credentials
    resolve: Resolver
    health: Health
    metrics: Metrics
    secret: bytes = field(repr=False)
    """Signs cookies, event ids and XSRF tokens; the same after a restart. At least 32 bytes."""
    operator_token: str = field(repr=False)
    internal_token: str = field(repr=False)
    """What the hub shows at `/internal/`."""
    measure: Callable[[], Awaitable[None]] = _nothing
    """Called before the metrics are read: for numbers that have to be looked up."""
    storage: Storage = field(default_factory=_NotMeasured)
    collection: Collection = field(default_factory=_NothingHeld)
    forgetting: Forgetting = field(default_factory=_NobodyKnows)
    public_url: str = ""
    """Address that people type, without a trailing slash; empty: what each request says."""
    allow_origin: tuple[str, ...] = ()
    """Sites whose pages may launch and reach what they launched; `*`: all."""
    wildcard: bool = False
    """Sessions live on subdomains of the public address."""
    guests: bool = True
    """People who have not signed in come in as guests."""
    dist: Path | None = None
    """The built frontend (`frontend/dist`); None or missing: pages say so."""
    site_limits: Mapping[str, float] = field(default_factory=dict)
    """What the page about this site tells of them: a text `about.limit.<name>` of the catalogue, and a number."""
    durations: Durations = field(default_factory=_NothingMeasured)
    versions: Mapping[str, Any] = field(default_factory=dict)
    """What `/versions` tells."""
    clock: Callable[[], float] = time.time
    gate: Gate = field(default_factory=lambda: Gate(Policy, time.monotonic))
    """Who may launch what, and how often."""
    queue: Queue = field(default_factory=_NobodyWaits)
    limits: Callable[[], Policy] = Policy
    """What the operator has chosen, as of now."""
    build_tokens: BuildTokens = field(default_factory=lambda: BuildTokens(b"", Rates(0, time.monotonic), time.time))
    watching: Watching = field(default_factory=Watching)
    looking: Looking = field(default_factory=lambda: Looking(None, Rates(0, time.monotonic)))
    """Asks hosts what links lead to."""
    launch_log: LaunchLog = field(default_factory=lambda: LaunchLog(lambda _: None))
    trusted_proxies: tuple[str, ...] = LOOPBACK
    """Whose word about a visitor's address is taken."""

    @property
    def base(self) -> str:
        """What every path of this site begins with: `/services/binder`, or `""`."""
        return urlsplit(self.public_url).path.rstrip("/")

    def session_address(self, path: str) -> str:
        """Where browsers find `/user/<account>/…`: below a wildcard domain on a host of its own, else here."""
        if not self.wildcard:
            return self.base + path
        public = urlsplit(self.public_url)
        return f"{public.scheme}://{path.split('/')[2]}.{public.netloc}{path}"

    def is_sessions_host(self, host: str) -> bool:
        """Whether this name, without a port, is one below the wildcard domain."""
        return self.wildcard and host.lower().endswith(f".{urlsplit(self.public_url).hostname}")
