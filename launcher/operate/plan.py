"""What each part is started with: its command, its environment and the address that tells that it is ready.

A child gets only what is named here; nothing of the operator's environment but the variables in PASSED and ENGINE.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builders.variables import VIEWS
from launcher.operate import build_engine, example, hub_database, leftovers, registry, sessions, worker
from launcher.operate.account import DATABASE, LAUNCHER, account, prepare
from launcher.operate.children import Child, identity
from launcher.operate.helper_container import Folders
from launcher.operate.installation import CERTIFICATES, SERVICE, InstallationError, write_private
from launcher.operate.noted import Noted
from launcher.operate.passwords import shared_password

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.operate.build_engine import Place
    from launcher.operate.installation import Installation
    from launcher.settings import Settings

ROOT = Path(__file__).parents[2]
HUB_CONFIG = ROOT / "deploy" / "hub" / "jupyterhub_config.py"
PROXY = ROOT / "deploy" / "proxy" / "node_modules" / ".bin" / "configurable-http-proxy"
PROXY_ESCAPES = ROOT / "deploy" / "proxy" / "escapes.mjs"
DIST = ROOT / "frontend" / "dist"
LOOPBACK = "127.0.0.1"
HTTPS = 443

PASSED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_CONFIG_FILE",
)
LAUNCHER_SECRETS = {
    "TOKEN": "launcher-token",
    "RESOLVE_SECRET": "resolve-secret",
    "COOKIE_SECRET": "cookie-secret",
    "OPERATOR_TOKEN": "operator-token",
    "CREDENTIALS_KEY": "credentials-key",
    "NAMESPACE_SECRET": "namespace-secret",
}
"""What the launcher is told of the folder of secrets, which it may not read."""
ENGINE = ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_CONFIG")
"""Where the container engine is: for those who speak to it, which the launcher does not."""


def passed() -> dict[str, str]:
    """What every child may know of the operator's environment."""
    return {name: os.environ[name] for name in PASSED if name in os.environ}


def passed_with_engine() -> dict[str, str]:
    """The same for those who speak to the container engine."""
    return passed() | {name: os.environ[name] for name in ENGINE if name in os.environ}


def database_url(installation: Installation, settings: Settings) -> str:
    """The launcher's database."""
    return settings.database_url or f"sqlite:///{installation.folder / LAUNCHER / DATABASE}"


async def migrate(installation: Installation, settings: Settings) -> None:
    """Bring the database's tables to what this version knows. Raises InstallationError with the reason."""
    who = account(settings)
    await asyncio.to_thread(prepare, installation, who)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "launcher.store", "upgrade"),
        env=passed() | {"REPOLAUNCH_DATABASE_URL": database_url(installation, settings)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        **identity(who),
    )
    _, errors = await child.communicate()
    if child.returncode:
        lines = errors.decode(errors="replace").strip().splitlines() or ["no reason was given"]
        raise InstallationError(f"The database cannot be used. {lines[-1]}")


def folders(installation: Installation, settings: Settings) -> Folders:
    """Where the volume helper works, and for whom."""
    data, who = installation.folder, account(settings)
    places = (data / "workspaces", data / "checkouts", data / "contents", data / "run" / "volumes")
    return Folders(*places, (who.user, who.group))


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of one installation. `gateway` is the address of the sessions' bridge, where the hub listens."""

    installation: Installation
    settings: Settings
    gateway: str
    engine_root: str = ""
    """Where the engine keeps its images, as it says itself."""
    builds: Place | None = None
    """Where images are built; None: by the engine of the sessions."""
    views: bool = False
    """Whether sessions see the stores (`stores.are_seen`)."""

    @property
    def hub_url(self) -> str:
        """Where sessions, proxy and launcher find the hub."""
        return f"http://{self.gateway}:{self.installation.ports.hub}"

    @property
    def hub_api_url(self) -> str:
        """The hub's REST interface."""
        return f"{self.hub_url}{self.settings.base_path}/hub/api"

    @property
    def launcher_url(self) -> str:
        """Where the proxy and the hub find the launcher."""
        return f"http://{LOOPBACK}:{self.installation.ports.launcher}"

    @property
    def local_url(self) -> str:
        """Where the command line asks: the public proxy, or the launcher where a certificate names another host."""
        return self.launcher_url if self.settings.tls_certificate else self.settings.local_url

    @property
    def registry(self) -> str:
        """host:port of the registry."""
        return self.settings.registry or f"{LOOPBACK}:{self.installation.ports.registry}"

    def children(self, *, with_example: bool) -> Iterator[Child]:
        """Every part, in order of start."""
        for make in self._makers(with_example=with_example).values():
            yield make()

    def part(self, name: str) -> Child:
        """One part, by itself; of the others nothing need be there. Raises InstallationError."""
        make = self._makers(with_example=False).get(name)
        if make is None:
            raise InstallationError(f"There is no {name} to run: the settings name one elsewhere.")
        return make()

    def _makers(self, *, with_example: bool) -> dict[str, Callable[[], Child]]:
        """How each part is described, in order of start."""
        found: dict[str, Callable[[], Child]] = {}
        if not self.settings.registry:
            found["registry"] = lambda: registry.child(self.installation, passed_with_engine())
        if with_example:
            found["example"] = lambda: example.child(self.installation, passed())
        return found | {
            "proxy": self._proxy,
            "hub": self._hub,
            "worker": self._worker,
            "launcher": partial(self._launcher, with_example=with_example),
        }

    def _worker(self) -> Child:
        engines = passed_with_engine() | build_engine.told(self.builds, self.installation)
        engines |= {VIEWS: "1"} if self.views else {}
        return worker.child(self.installation, self.settings, self.registry, engines)

    def note(self) -> None:
        """Write down where the service is, for the command line and for the other parts."""
        settings = self.settings
        facts = {
            "base_url": settings.base_url,
            "local_url": self.local_url,
            "hub_api_url": self.hub_api_url,
            "engine_root": self.engine_root,
            "views": "1" if self.views else "",
            "pid": str(os.getpid()),
            "began": str(Noted.of("up", os.getpid(), 0).began),
        }
        write_private(self.installation.path("run") / SERVICE, json.dumps(facts))

    def _proxy(self) -> Child:
        if not PROXY.exists():
            raise InstallationError("The proxy is not installed. Run `make setup`.")
        api = self.installation.ports.proxy_api
        argv = (
            str(PROXY),
            *("--ip", self.settings.host, "--port", str(self.settings.port)),
            *("--api-ip", LOOPBACK, "--api-port", str(api)),
            *("--error-target", f"{self.launcher_url}/proxy-error", "--log-level", "warn"),
            # What has no route is the launcher's: after a restart too, and on a stopped session's own subdomain.
            *("--default-target", self.launcher_url),
            *(("--host-routing",) if self.settings.wildcard_url else ()),
            *self._tls(),
        )
        env = passed() | {
            "REPOLAUNCH_TLS_CERTIFICATE": self.settings.tls_certificate,
            "REPOLAUNCH_TLS_KEY": self.settings.tls_key,
            "REPOLAUNCH_BASE_PATH": self.settings.base_path,
            "CONFIGPROXY_AUTH_TOKEN": self.installation.secret("proxy-token"),
            "NODE_OPTIONS": f"--import={PROXY_ESCAPES.as_uri()}",
        }
        return Child("proxy", argv, env, f"http://{LOOPBACK}:{api}/api/routes", restarted=self._restore_routes)

    def _tls(self) -> tuple[str, ...]:
        settings = self.settings
        if not settings.tls_certificate:
            return ()
        # People type the port of the public address, which another machine may lead to ours.
        typed = urlsplit(settings.base_url).port or HTTPS
        redirect = ("--redirect-port", str(settings.redirect_port), "--redirect-to", str(typed))
        pair = ("--ssl-cert", settings.tls_certificate, "--ssl-key", settings.tls_key)
        return (*pair, *(redirect if settings.redirect_port else ()))

    async def end_unknown_sessions(self) -> None:
        """End the sessions that a killed hub was just starting."""
        await leftovers.end_unknown_sessions(self.hub_api_url, self.installation)

    async def _restore_routes(self) -> None:
        """The proxy keeps its routes in memory; the hub knows them."""
        await sessions.restore_routes(self.hub_api_url, self.installation)

    def _hub(self) -> Child:
        installation, settings = self.installation, self.settings
        folder = installation.path("hub")
        username, password = registry.login(installation, settings)
        values = {
            "PUBLIC_URL": settings.base_url,
            "BIND_URL": self.hub_url,
            "DB_URL": f"sqlite:///{hub_database.path(installation)}",
            "COOKIE_SECRET_FILE": str(folder / "cookie-secret"),
            "PROXY_API_URL": f"http://{LOOPBACK}:{installation.ports.proxy_api}",
            "LAUNCHER_URL": self.launcher_url,
            "OAUTH_REDIRECT": f"{settings.base_path}/api/v1/oauth_callback",
            "LAUNCHER_TOKEN": installation.secret("launcher-token"),
            "SUPERVISOR_TOKEN": installation.secret("supervisor-token"),
            "RESOLVE_SECRET": installation.secret("resolve-secret"),
            "INSTALLATION": installation.id,
            "NETWORK": installation.network,
            "WORKSPACES": str(installation.folder / "workspaces"),
            "FILES": str(folder / "files"),
            "STORES": str(worker.stores(installation, settings)) if self.views else "",
            "CERTIFICATES": str(CERTIFICATES) if CERTIFICATES.exists() else "",
            "START_TIMEOUT_S": f"{settings.session_start_timeout_s:.0f}",
            "GUESTS": "1" if settings.guests else "0",
            "GUESTS_PER_ADDRESS": str(settings.guests_per_address),
            "GUESTS_IN_ALL": str(settings.guests_in_all),
            "TRUSTED_PROXIES": ",".join(settings.trusted_proxies),
            "AUTHENTICATOR": settings.authenticator,
            "SHARED_PASSWORD": shared_password(installation, settings),
            "MEMBERS": ",".join(settings.members),
            "EXTRA_CONFIG": settings.hub_config,
            "WILDCARD_URL": settings.wildcard_url,
            "REGISTRY_USERNAME": username,
            "REGISTRY_PASSWORD": password,
            "LOG_LEVEL": settings.log_level,
            "LOG_FORMAT": settings.log_format,
        }
        env = passed_with_engine() | {f"REPOLAUNCH_HUB_{name}": value for name, value in values.items() if value}
        env["CONFIGPROXY_AUTH_TOKEN"] = installation.secret("proxy-token")
        argv = (sys.executable, "-m", "jupyterhub", "--config", str(HUB_CONFIG))
        return Child("hub", argv, env, f"{self.hub_api_url}/", stop_s=30, restarted=self.end_unknown_sessions)

    def _launcher(self, *, with_example: bool) -> Child:
        installation, settings = self.installation, self.settings
        endpoints = list(settings.allowed_endpoints)
        if with_example:
            endpoints.append(f"{LOOPBACK}:{installation.ports.example}")
        chosen = settings.model_copy(
            update={
                "allowed_endpoints": tuple(endpoints),
                "database_url": database_url(installation, settings),
                # The worker's and the hub's business alone.
                "registry_username": "",
                "registry_password": "",
                "shared_password": "",
            }
        )
        env = passed() | {
            "REPOLAUNCH_LAUNCHER_SETTINGS": chosen.model_dump_json(),
            "REPOLAUNCH_LAUNCHER_DATA": str(installation.folder),
            "REPOLAUNCH_LAUNCHER_INSTALLATION": installation.id,
            "REPOLAUNCH_LAUNCHER_PORT": str(installation.ports.launcher),
            **{f"REPOLAUNCH_LAUNCHER_{name}": installation.secret(file) for name, file in LAUNCHER_SECRETS.items()},
            "REPOLAUNCH_LAUNCHER_HUB_API": self.hub_api_url,
            "REPOLAUNCH_LAUNCHER_REGISTRY": self.registry,
            "REPOLAUNCH_LAUNCHER_ENGINE_ROOT": self.engine_root,
        }
        argv = (sys.executable, "-m", "launcher.compose")
        # Checkouts are read by the volume helper as the session's user: their modes are as git makes them.
        ready, who = f"{self.launcher_url}/versions", account(settings)
        if not who.is_ours:
            env |= {"HOME": str(installation.path(LAUNCHER)), "TMPDIR": "/tmp"}  # noqa: S108  # the machine's own
        return Child("launcher", argv, env, ready, stop_s=30, umask=0o022, account=who)
