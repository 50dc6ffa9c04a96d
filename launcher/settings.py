"""The settings: one typed file (TOML) plus environment variables, each documented by its definition.

Precedence: environment (`REPOLAUNCH_<NAME>`), then the file, then the default. Lists in the environment are
separated by commas. `docs/reference/settings.md` is generated from this module and a test compares them.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from launcher.binder_settings import BinderSettings
from launcher.build_settings import BuildSettings
from launcher.collect_settings import CollectSettings
from launcher.oauth_settings import OAuthSettings
from launcher.observe_settings import ObserveSettings
from launcher.provider_settings import ProviderSettings
from launcher.session_settings import SessionSettings
from launcher.setting_kinds import (
    Addresses,
    Bytes,
    Endpoints,
    Host,
    ImagePrefix,
    Networks,
    Protocols,
    PublicUrl,
    Registry,
    Url,
    http_url,
    is_address,
)

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "REPOLAUNCH_"
NOT_SETTINGS = {"REPOLAUNCH_DATA", "REPOLAUNCH_SETTINGS"}
"""Variables of the command line: where the data folder and the settings file are."""
SECRET_WORDS = ("password", "secret", "token", "key")
"""The value of an unknown setting is not shown where one of these is in its name."""


@dataclass(eq=False)
class SettingWrong(Exception):
    """A setting that stops the start: its name, the value that was seen and the reason."""

    name: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"The setting {self.name} is {self.value}, which cannot be: {self.reason}."


class Settings(
    SessionSettings, BinderSettings, BuildSettings, CollectSettings, ProviderSettings, ObserveSettings, OAuthSettings
):
    """Everything an operator may choose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # ---- addresses
    host: Host = Field("127.0.0.1", description="Address on which the public proxy listens.")
    port: int = Field(8000, ge=1, le=65535, description="Port on which the public proxy listens.")
    public_url: PublicUrl = Field(
        "",
        description="Address that people type, if it is not `http://<host>:<port>` (behind TLS, for example). With a "
        "path (`https://example.org/services/binder`) all is below that path, sessions too; what stands in front of "
        "our proxy passes the path on as it is.",
    )
    wildcard_url: Url = Field(
        "",
        description="An address whose every subdomain leads here (`https://hub.example.org`); "
        "sessions then live on subdomains of their own.",
    )
    tls_certificate: str = Field(
        "",
        description="File with the certificate of the public address and those that it was signed with (PEM); "
        "the proxy then speaks TLS. It is read again when it was renewed.",
    )
    tls_key: str = Field("", description="File with the certificate's private key (PEM, without a password).")
    redirect_port: int = Field(
        0, ge=0, le=65535, description="Port on which `http` is led to the TLS port. 0: none. Only with TLS."
    )
    # ---- repositories
    allowed_protocols: Protocols = Field(
        ("http", "https", "git", "ssh"),
        description="Protocols by which repositories are fetched. `file` opens local paths and is off by default.",
    )
    allowed_networks: Networks = Field(
        (),
        description="Networks (`10.1.0.0/16`) among the loopback, private and link-local ranges "
        "where repositories may lie. All others of those ranges are refused.",
    )
    allowed_endpoints: Endpoints = Field(
        (), description="Single servers (`127.0.0.1:9418`) where repositories may lie, by address and port."
    )
    ssh_known_hosts: str = Field(
        "",
        description="File of git hosts' keys (`known_hosts`), besides the machine's `/etc/ssh/ssh_known_hosts`. "
        "People's own SSH keys are shown to the hosts that are listed in one of them, and to no other.",
    )
    resolve_timeout_s: float = Field(
        30, gt=0, description="Seconds that a git host may take to answer what a reference is."
    )
    checkout_timeout_s: float = Field(600, gt=0, description="Seconds that fetching one commit may take.")
    checkout_max_bytes: Bytes = Field(
        2 * 2**30, description="Bytes that the files of one commit may have, with its submodules and large files."
    )
    checkout_max_files: int = Field(200_000, ge=1, description="Files that one commit may have, with its submodules.")
    checkout_max_submodules: int = Field(100, ge=0, description="Submodules that one commit may have, theirs included.")
    # ---- registry
    registry: Registry = Field(
        "", description="Registry of the images, `host[:port]`. Empty: a registry of our own on this machine."
    )
    registry_prefix: ImagePrefix = Field(
        "repolaunch", description="First part of the names of our images in the registry."
    )
    registry_username: str = Field("", description="User name at the registry.")
    registry_password: str = Field("", description="Password at the registry.", repr=False)
    registry_tls: bool = Field(
        default=True, description="Speak TLS to `registry` (always off for the registry of our own)."
    )
    registry_ca_file: str = Field("", description="File of the certificate authority of the registry.")
    # ---- people
    guests: bool = Field(
        default=True, description="Let people in who have not signed in; their projects are temporary."
    )
    authenticator: str = Field(
        "shared-password",
        description="How members sign in: `shared-password`, or the name of any JupyterHub authenticator class.",
    )
    shared_password: str = Field(
        "",
        description="Password of the `shared-password` authenticator. Empty: a random one, printed once.",
        repr=False,
    )
    members: tuple[str, ...] = Field(
        (),
        description="Names of those who may sign in, or `*` for everybody whom the authenticator knows. "
        "Empty: everybody with `shared-password`, else what the authenticator's own settings say.",
    )
    hub_config: str = Field(
        "", description="A JupyterHub configuration file that is read last, for the authenticator's own settings."
    )
    policy_file: str = Field(
        "",
        description="File that says who may launch what, how often, and how many sessions there are at one time "
        "([policy](policy.md)); it is read again when it changes. Empty: `policy.toml` in the data folder.",
    )
    # ---- how often strangers may come, within ten minutes; 0: as often as they like
    trusted_proxies: Addresses = Field(
        (),
        description="Addresses of the proxies in front of ours (`10.0.0.5`), which say who the visitor is; those on "
        "this machine always may.",
    )
    guests_per_address: int = Field(
        1200, ge=0, description="New guests from one network address within ten minutes. 0: no limit."
    )
    guests_in_all: int = Field(3000, ge=0, description="New guests within ten minutes. 0: no limit.")
    lookups_per_address: int = Field(
        600,
        ge=0,
        description="How often people who have not signed in may, within ten minutes and from one network address, see "
        "on the home page what a link leads to now. 0: no limit.",
    )
    # ---- storage
    database_url: str = Field(
        "",
        description="SQLAlchemy address of the database (`postgresql+psycopg://…`). Empty: SQLite in the data folder.",
    )
    disk_floor_bytes: Bytes = Field(
        2**30,
        description="Bytes that stay free on the disks of the data folder and of the container engine: with less, "
        "no new launch begins. Projects that exist can be opened all the same. 0: launches begin with any.",
    )
    workspace_max_bytes: Bytes = Field(
        20 * 2**30,
        description="Bytes that one workspace may hold. Those of running sessions are measured; from 90 % on people "
        "are told, and beyond it the session is stopped. No file is ever removed. 0: no limit, nothing is measured.",
    )
    image_days: float = Field(
        30,
        ge=0,
        description="Days after which the container engine gives up an image that no session used; the registry keeps "
        "it, and the next launch fetches it from there. 0: never.",
    )
    image_room_bytes: Bytes = Field(
        10 * 2**30,
        description="Bytes that are to be free on the container engine's disk: with less, images that nobody used for "
        "an hour are given up, those unused for longest first. 0: only `image_days` counts.",
    )
    # ---- operating
    launcher_user: str = Field(
        "",
        description="User of this machine as whom the launcher runs where `up` runs as root: one that may not open the "
        "container engine's socket. Empty: the same as `up`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged.")

    @field_validator("wildcard_url")
    @classmethod
    def _wildcard(cls, value: str, info: ValidationInfo) -> str:
        public = info.data.get("public_url", "")
        if value and public and value.rstrip("/") != public.rstrip("/"):
            raise ValueError("public_url is another address; sessions are below the one that people type")
        if is_address(urlsplit(value).hostname or ""):
            raise ValueError("an IP address has no subdomains; give a name")
        return value

    @property
    def base_url(self) -> str:
        """The address that people type, without a trailing slash."""
        own = http_url(self.host, self.port, tls=bool(self.tls_certificate))
        return self.public_url.rstrip("/") or self.wildcard_url.rstrip("/") or own

    @property
    def base_path(self) -> str:
        """What every path begins with: `/services/binder`, or `""`."""
        return urlsplit(self.base_url).path

    @property
    def local_url(self) -> str:
        """Where this machine reaches the public proxy, whatever stands in front of it."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # recognised, not listened on
        return http_url(everywhere.get(self.host, self.host), self.port) + self.base_path


def _shown(name: str, value: object) -> str:
    """A setting's value for a message: hidden where it is a secret, or may be one that was misspelt."""
    words = ("password", "applications") if name in Settings.model_fields else SECRET_WORDS
    return "(hidden)" if any(word in name.lower() for word in words) else repr(value)


def _from_environment(environ: dict[str, str]) -> dict[str, Any]:
    known = Settings.model_fields
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and variable not in NOT_SETTINGS and name not in known:
            raise SettingWrong(variable, _shown(variable, environ[variable]), f"there is no setting {name}")
    found: dict[str, Any] = {}
    for name, field in known.items():
        text = environ.get(PREFIX + name.upper())
        if text is None:
            continue
        is_list = str(field.annotation).startswith("tuple")
        found[name] = tuple(part.strip() for part in text.split(",") if part.strip()) if is_list else text
    return found


def _from_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise SettingWrong("settings file", str(path), "there is no such file") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingWrong("settings file", str(path), f"it is not TOML ({error})") from None


def load(
    file: Path | None = None, environ: dict[str, str] | None = None, **overrides: Any
) -> Settings:  # any setting's value
    """Read the settings; `overrides` are the command line's. Raises SettingWrong, naming the first wrong one."""
    values = _from_file(file) if file is not None else {}
    values |= _from_environment(dict(os.environ) if environ is None else environ)
    values |= {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][:1]) or "settings"
        value = _shown(name, values.get(name, first.get("input")))
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingWrong(name, value, reason[:1].lower() + reason[1:]) from None
