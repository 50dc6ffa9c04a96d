"""Everything behind the handlers, in one value; `launcher/compose/web.py` fills it in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from launcher.gate.gate import Gate
from launcher.gate.policy import Policy
from launcher.rates import LOOPBACK, Rates
from launcher.web import absent
from launcher.web.build_tokens import BuildTokens
from launcher.web.launch_log import LaunchLog
from launcher.web.looking import Looking
from launcher.web.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from launcher.model import RepoRef
    from launcher.repos.recognise import Recognised
    from launcher.web.health import Health
    from launcher.web.interface import (
        Collection,
        Credentials,
        Durations,
        Forgetting,
        HubLogin,
        Launches,
        Leases,
        Projects,
        Queue,
        Resolver,
        Sessions,
        Shelf,
        Storage,
    )
    from launcher.web.metrics import Metrics


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Everything behind the handlers."""

    launches: Launches
    projects: Projects
    shelf: Shelf
    sessions: Sessions
    links: Links
    hub: HubLogin
    credentials: Credentials
    resolve: Resolver
    leasing: Resolver
    leases: Leases
    health: Health
    metrics: Metrics
    secret: bytes = field(repr=False)
    """Signs cookies, event ids and XSRF tokens; the same after a restart. At least 32 bytes."""
    operator_token: str = field(repr=False)
    internal_token: str = field(repr=False)
    """What the hub shows at `/internal/`."""
    measure: Callable[[], Awaitable[None]] = absent.nothing
    """Called before the metrics are read: for numbers that have to be looked up."""
    storage: Storage = field(default_factory=absent.NotMeasured)
    collection: Collection = field(default_factory=absent.NothingHeld)
    forgetting: Forgetting = field(default_factory=absent.NobodyKnows)
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
    durations: Durations = field(default_factory=absent.NothingMeasured)
    versions: Mapping[str, Any] = field(default_factory=dict)
    """What `/versions` tells."""
    clock: Callable[[], float] = time.time
    gate: Gate = field(default_factory=lambda: Gate(Policy, time.monotonic))
    """Who may launch what, and how often."""
    queue: Queue = field(default_factory=absent.NobodyWaits)
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
