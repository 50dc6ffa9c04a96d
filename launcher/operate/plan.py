"""What each part is started with: its command, its environment and the address that tells that it is ready.

A child gets only what is named here; nothing of the operator's environment but what `passed.py` names.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from builders.variables import VIEWS
from launcher.operate import build_engine, example, hub, leftovers, proxy, registry, worker
from launcher.operate.account import DATABASE, LAUNCHER, account, prepare
from launcher.operate.children import Child, identity
from launcher.operate.helper_container import Folders
from launcher.operate.installation import LOOPBACK, ROOT, SERVICE, InstallationError, write_private
from launcher.operate.noted import Noted
from launcher.operate.passed import passed, passed_with_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.operate.build_engine import Place
    from launcher.operate.installation import Installation
    from launcher.settings import Settings


LAUNCHER_SECRETS = {
    "TOKEN": "launcher-token",
    "RESOLVE_SECRET": "resolve-secret",
    "COOKIE_SECRET": "cookie-secret",
    "OPERATOR_TOKEN": "operator-token",
    "CREDENTIALS_KEY": "credentials-key",
    "NAMESPACE_SECRET": "namespace-secret",
}
"""What the launcher is told of the folder of secrets, which it may not read."""


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
        return registry.address(self.installation, self.settings)

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
            "proxy": partial(proxy.child, self),
            "hub": partial(hub.child, self),
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

    async def end_unknown_sessions(self) -> None:
        """End the sessions that a killed hub was just starting."""
        await leftovers.end_unknown_sessions(self.hub_api_url, self.installation)

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
