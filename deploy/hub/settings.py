"""What the hub is told by its environment. The supervisor (`repolaunch up`) sets these.

| variable REPOLAUNCH_HUB_… | meaning | if missing |
|---|---|---|
| PUBLIC_URL | address that people type | required |
| BIND_URL | where the hub listens: `http://<gateway of the sessions' bridge>:<port>` | required |
| CONNECT_URL | where sessions, launcher and proxy find the hub | BIND_URL |
| DB_URL | SQLAlchemy address of the hub's database | required |
| COOKIE_SECRET_FILE | file (mode 0600) with 32 random bytes as hexadecimal digits; made if missing | required |
| PROXY_API_URL | API of the proxy; its token is in CONFIGPROXY_AUTH_TOKEN | required |
| LAUNCHER_URL | where the proxy and the hub find the launcher | required |
| LAUNCHER_TOKEN | token by which the launcher uses the hub's API | required |
| SUPERVISOR_TOKEN | token by which `repolaunch up` uses the hub's API | nobody but the launcher does |
| RESOLVE_SECRET | secret by which the hub asks the launcher's `/internal/resolve` | required |
| OAUTH_REDIRECT | where the hub sends people back to the launcher | `/api/v1/oauth_callback` |
| INSTALLATION | id that labels everything in Docker | required |
| NETWORK | Docker network of the sessions | required |
| WORKSPACES | folder of the projects' workspaces: sessions see no other folder of this machine | required |
| FILES | folder in which the hub keeps the files that it writes for sessions | required |
| STORES | folder of the Nix and Guix stores, of whose views sessions see their environment's | they see none |
| CERTIFICATES | file with the certificate authorities that sessions are to trust | the image's own |
| START_TIMEOUT_S | seconds that a server may take to answer | `180` |
| GUESTS | `1`: people who have not signed in get in as guests; `0`: they do not | `0` |
| GUESTS_PER_ADDRESS, GUESTS_IN_ALL | new guests within ten minutes, from one address and in all; `0`: no limit | `0` |
| TRUSTED_PROXIES | addresses of proxies in front of ours, separated by commas; they say who the visitor is | none |
| AUTHENTICATOR | `shared-password`, another name that JupyterHub knows, or `module.Class` | `shared-password` |
| SHARED_PASSWORD | password of `shared-password` | nobody can sign in |
| MEMBERS | who may be a member: `*` (whoever signs in), names separated by commas, or nothing (the authenticator's own settings) | `*` with `shared-password`, else nothing |
| EXTRA_CONFIG | a JupyterHub configuration file read last, for the authenticator's own settings | none |
| WILDCARD_URL | address whose every subdomain leads here (`https://hub.example.org`); sessions then get subdomains | none |
| REGISTRY_USERNAME, REGISTRY_PASSWORD | for pulling images that the engine does not have | none |
| POLICY | the operator's policy file, whose banner is above the hub's pages too | none |
| LOG_LEVEL | `debug`, `info`, `warning` or `error` | `info` |
| LOG_FORMAT | `human` or `json` | `human` |
"""  # noqa: E501  # a table

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from launcher.rates import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "REPOLAUNCH_HUB_"
SHARED_PASSWORD = "shared-password"  # noqa: S105  # the name of an authenticator


class HubSettingMissing(Exception):
    """The supervisor did not say something that the hub cannot do without."""


@dataclass(frozen=True, slots=True)
class HubSettings:
    """The table above, parsed."""

    public_url: str
    bind_url: str
    db_url: str
    cookie_secret_file: str
    proxy_api_url: str
    launcher_url: str
    launcher_token: str
    resolve_secret: str
    installation: str
    network: str
    workspaces: str
    files: str
    stores: str = ""
    supervisor_token: str = ""
    connect_url: str = ""
    oauth_redirect: str = "/api/v1/oauth_callback"
    start_timeout_s: str = "180"
    guests: str = "0"
    guests_per_address: str = "0"
    guests_in_all: str = "0"
    trusted_proxies: str = ""
    authenticator: str = SHARED_PASSWORD
    shared_password: str = ""
    members: str = ""
    extra_config: str = ""
    wildcard_url: str = ""
    registry_username: str = ""
    registry_password: str = ""
    certificates: str = ""
    policy: str = ""
    log_level: str = "info"
    log_format: str = "human"

    @property
    def trusted(self) -> tuple[str, ...]:
        """Whose word about a visitor's address is taken, beside our own proxy's."""
        return (*LOOPBACK, *(one.strip() for one in self.trusted_proxies.split(",") if one.strip()))

    @property
    def allow_all(self) -> bool:
        """Whether everybody who signs in is a member."""
        return self.members == "*" or (not self.members and self.authenticator == SHARED_PASSWORD)

    @property
    def allowed_users(self) -> set[str]:
        """The members by name, if they were named."""
        return {name.strip() for name in self.members.split(",") if name.strip()} - {"*"}


REQUIRED = 12
"""The first fields have no default."""


def read(environ: Mapping[str, str]) -> HubSettings:
    """Read the environment. Raises HubSettingMissing with the names of all that is missing."""
    names = [field.name for field in fields(HubSettings)]
    values = {name: environ[PREFIX + name.upper()] for name in names if environ.get(PREFIX + name.upper())}
    if missing := [PREFIX + name.upper() for name in names[:REQUIRED] if name not in values]:
        raise HubSettingMissing(f"The hub cannot start without {', '.join(missing)}.")
    return HubSettings(**values)


def headers(settings: HubSettings) -> dict[str, str]:
    """What every answer of the hub carries besides its own policy, which lets nobody frame it."""
    found = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin"}
    if settings.public_url.startswith("https:"):
        more = "; includeSubDomains" if settings.wildcard_url else ""
        found["Strict-Transport-Security"] = f"max-age=31536000{more}"
    return found
