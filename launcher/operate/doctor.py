"""`repolaunch doctor`: looks at everything that the service stands on and says what to do for each."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import ssl
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import docker.errors
import requests.exceptions
from cryptography import x509
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from builders.sockets import open_socket
from launcher.disks import free_bytes, size
from launcher.operate import build_engine, engine, passwords, policy, stores
from launcher.operate.egress import note
from launcher.operate.installation import InstallationError
from launcher.operate.noted import read
from launcher.settings import SettingWrong

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from launcher.operate.installation import Installation
    from launcher.settings import Settings

DISK_WANTED = 10 * 2**30
DESCRIPTORS_WANTED = 4096
DAY_S = 86400
CERTIFICATE_DAYS = 7
"""Fewer days than this are told."""
NO_ANSWER = 599  # tornado's own status for a request that took too long
CLOCK_EARLIEST = 1_767_225_600  # 2026-01-01: certificates and tokens fail on a clock that is before the project


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: whether it is well, what was seen, what to do if it is not."""

    name: str
    ok: bool
    seen: str
    todo: str = ""


async def examine(installation: Installation, settings: Settings) -> list[Finding]:
    """Look at everything, at the same time."""
    local: tuple[Callable[[], Finding], ...] = (
        _engine,
        _buildx,
        _base_image,
        lambda: _disk("disk", installation.folder, "the data folder", settings.disk_floor_bytes),
        lambda: _engine_disk(settings.disk_floor_bytes),
        lambda: _runtime(settings.session_runtime),
        lambda: _egress(installation, settings),
        lambda: _stores(installation, settings),
        lambda: _finding("policy", policy.problem(installation, settings)),
        lambda: Finding("credentials", ok=True, seen=passwords.credentials(settings)),
        _clock,
        _descriptors,
        _programs,
        *((_proxies,) if _telling() else ()),
        *((lambda: _certificate(settings.tls_certificate),) if settings.tls_certificate else ()),
    )
    return [
        *await asyncio.gather(*(asyncio.to_thread(look) for look in local)),
        *await asyncio.gather(
            _registry(installation, settings), *_parts(installation), asyncio.to_thread(_builds, installation, settings)
        ),
    ]


def _finding(name: str, found: tuple[str, str]) -> Finding:
    return Finding(name, ok=not found[1], seen=found[0], todo=found[1])


def _telling() -> list[str]:
    """The variables that tell of a proxy by an address with a password."""
    return [name for name in build_engine.PROXIES if urlsplit(os.environ.get(name, "")).password]


def _proxies() -> Finding:
    seen = f"{', '.join(_telling())} has a password in it, which every build is told"
    return Finding("builds' proxy", ok=False, seen=seen, todo="Let builds use a proxy that asks for no password.")


def _parts(installation: Installation) -> tuple[Awaitable[Finding], ...]:
    """The parts that `up` starts: asked where its own note says that they are."""
    try:
        noted = installation.service()
    except InstallationError:
        return tuple(_away(name) for name in ("proxy", "hub", "worker", "launcher"))
    host = urlsplit(noted["base_url"]).netloc
    restarts = {one.name: one.restarts for one in read(installation.folder / "run" / "children.json")}
    asked = (
        _answers("proxy", HTTPRequest(f"http://127.0.0.1:{installation.ports.proxy_api}/api/routes")),
        _answers("hub", HTTPRequest(f"{noted['hub_api_url']}/")),
        _worker(installation),
        _answers("launcher", HTTPRequest(f"{noted['local_url']}/health", headers={"Host": host})),
    )
    return tuple(_with_restarts(one, restarts) for one in asked)


async def _with_restarts(asked: Awaitable[Finding], restarts: dict[str, int]) -> Finding:
    """How often `up` had to start it again is worth a look, though it answers now."""
    found = await asked
    times = restarts.get(found.name, 0)
    often = "once" if times == 1 else f"{times} times"
    return replace(found, seen=f"{found.seen}; it ended {often} and was started again") if times else found


async def _worker(installation: Installation) -> Finding:
    """It answers on a socket that only the launcher's user may open."""
    try:
        _, writer = await open_socket(installation.folder / "run" / "worker" / "worker.sock")
        writer.transport.abort()
    except PermissionError:
        return Finding("worker", ok=True, seen="is there; only the launcher may ask it")
    except OSError:
        return Finding("worker", ok=False, seen="does not answer", todo="Look at logs/worker.log.")
    return Finding("worker", ok=True, seen="answers")


async def _away(name: str) -> Finding:
    return Finding(name, ok=False, seen="does not run on this data folder", todo="Start it with `repolaunch up`.")


async def _registry(installation: Installation, settings: Settings) -> Finding:
    """The registry that is configured, or our own."""
    if not settings.registry:
        return await _answers("registry", HTTPRequest(f"http://127.0.0.1:{installation.ports.registry}/v2/"))
    scheme = "https" if settings.registry_tls else "http"
    url = f"{scheme}://{settings.registry}/v2/"
    todo = f"Look whether {settings.registry} runs, and at the settings registry, registry_tls and registry_ca_file."
    try:
        request = HTTPRequest(url, ca_certs=settings.registry_ca_file or None)
        found = await _answers("registry", request)
    except (ssl.SSLError, ValueError):
        found = Finding("registry", ok=False, seen="its certificate cannot be checked")
    return replace(found, seen=f"{settings.registry} {found.seen}", todo="" if found.ok else todo)


def _engine() -> Finding:
    try:
        version = engine.connect().version()
    except InstallationError as error:
        return Finding("engine", ok=False, seen="no answer", todo=error.sentence)
    return Finding("engine", ok=True, seen=f"Docker Engine {version['Version']}")


def _buildx() -> Finding:
    path = shutil.which("docker")
    if path is None:
        return Finding("buildx", ok=False, seen="there is no docker command", todo="Install the Docker command line.")
    folders = ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")
    plugins = [Path(folder, "docker/cli-plugins/docker-buildx") for folder in folders]
    plugins.append(Path.home() / ".docker/cli-plugins/docker-buildx")
    found = next((plugin for plugin in plugins if plugin.exists()), None)
    if found is None:
        return Finding(
            "buildx",
            ok=False,
            seen="the plugin is missing",
            todo="Run `make setup`, or install docker-buildx.",
        )
    return Finding("buildx", ok=True, seen=str(found))


def _base_image() -> Finding:
    try:
        client = engine.connect()
        missing = [name for name in (engine.BASE_IMAGE, engine.PYTHON_IMAGE) if not engine.is_here(client, name)]
    except (InstallationError, docker.errors.DockerException, requests.exceptions.RequestException):
        return Finding("base image", ok=False, seen="the engine does not answer", todo="See `engine`.")
    if missing:
        return Finding("base image", ok=False, seen=f"missing: {', '.join(missing)}", todo="Run `make setup`.")
    return Finding("base image", ok=True, seen=engine.BASE_IMAGE)


def _runtime(name: str) -> Finding:
    try:
        engine.check_runtime(engine.connect(), name)
    except (InstallationError, docker.errors.DockerException, requests.exceptions.RequestException):
        return Finding("runtime", ok=False, seen="the engine does not answer", todo="See `engine`.")
    except SettingWrong as error:
        return Finding("runtime", ok=False, seen=f"{name} is not there", todo=str(error))
    return Finding("runtime", ok=True, seen=name or "the engine's own")


def _egress(installation: Installation, settings: Settings) -> Finding:
    if settings.egress == "open":
        return Finding("egress", ok=True, seen="open, as the setting says")
    found = note.read(installation.folder / "run")
    todo = "" if found.ok else "`repolaunch up` sets the rules; it needs root and nftables, or the setting egress."
    return Finding("egress", ok=found.ok, seen=f"filtered by {found.seen}" if found.ok else found.seen, todo=todo)


def _stores(installation: Installation, settings: Settings) -> Finding:
    """Whether sessions see the stores, as was found when the service started."""
    if not settings.mount_stores:
        return Finding("stores", ok=True, seen="sessions get whole images, as the setting says")
    try:
        seen = installation.service().get("views")
    except InstallationError:
        return Finding("stores", ok=True, seen="looked at when the service starts")
    if seen:
        return Finding("stores", ok=True, seen="sessions see them")
    return Finding("stores", ok=False, seen="the container engine does not see their folder", todo=stores.TODO)


def _disk(name: str, folder: Path, place: str, floor: int) -> Finding:
    free = free_bytes(folder)
    seen = f"{size(free)} free at {place}"
    if free < floor:
        return Finding(name, ok=False, seen=f"{seen}: no new launch begins", todo=f"Make room: {size(floor)} or more.")
    todo = "" if free >= DISK_WANTED else f"Make room: images and workspaces want {DISK_WANTED // 2**30} GiB or more."
    return Finding(name, ok=not todo, seen=seen, todo=todo)


def _engine_disk(floor: int) -> Finding:
    try:
        root = engine.root(engine.connect())
        return _disk("engine disk", Path(root), "the container engine's folder", floor)
    except (InstallationError, docker.errors.DockerException, requests.exceptions.RequestException):
        return Finding("engine disk", ok=False, seen="the engine does not answer", todo="See `engine`.")
    except OSError:
        return Finding("engine disk", ok=True, seen="the engine keeps its images where this machine cannot look")


def _clock() -> Finding:
    now = time.time()
    seen = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    todo = "" if now >= CLOCK_EARLIEST else "Set the clock: certificates and tokens do not work in the past."
    return Finding("clock", ok=not todo, seen=seen, todo=todo)


def _descriptors() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= DESCRIPTORS_WANTED
    todo = "" if enough else f"Raise the limit of open files (`ulimit -Hn`) to {DESCRIPTORS_WANTED} or more."
    return Finding("descriptors", ok=enough, seen=f"at most {hard} open files", todo=todo)


def _programs() -> Finding:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    missing = [name for name in ("git", "curl", "node") if shutil.which(name, path=path) is None]
    todo = f"Install {' and '.join(missing)}." if missing else ""
    return Finding(
        "programs", ok=not missing, seen="git, curl, node" if not missing else f"no {', '.join(missing)}", todo=todo
    )


def _certificate(file: str) -> Finding:
    todo = "Renew it; the proxy takes the new files without a restart."
    try:
        ends = x509.load_pem_x509_certificate(Path(file).read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return Finding("certificate", ok=False, seen=f"{file} cannot be read", todo=todo)
    days = (ends.timestamp() - time.time()) / DAY_S
    seen = f"valid until {ends:%Y-%m-%d}"
    return Finding("certificate", ok=days >= CERTIFICATE_DAYS, seen=seen, todo="" if days >= CERTIFICATE_DAYS else todo)


def _builds(installation: Installation, settings: Settings) -> Finding:
    """Where builds go."""
    place = build_engine.place(installation, settings)
    if place is None:
        return Finding("build engine", ok=True, seen="the engine of the sessions, where builds have no limits")
    well = place.answers(5)
    todo = "" if well else f"Look at the log of the container repolaunch-{installation.id}-builds, and whether it runs."
    return Finding("build engine", ok=well, seen="answers" if well else "does not answer", todo=todo)


async def _answers(name: str, request: HTTPRequest) -> Finding:
    request.follow_redirects, request.request_timeout = False, 5
    try:
        await AsyncHTTPClient().fetch(request)
    except HTTPClientError as error:
        if error.code in {401, 403}:  # it answers; it only wants to know who asks
            return Finding(name, ok=True, seen="answers")
        if error.code == NO_ANSWER:
            return Finding(name, ok=False, seen="does not answer in time", todo=f"Look at logs/{name}.log.")
        return Finding(name, ok=False, seen=f"answers with status {error.code}", todo=f"Look at logs/{name}.log.")
    except ssl.SSLError:
        return Finding(name, ok=False, seen="has a certificate that is not trusted")
    except OSError:
        return Finding(name, ok=False, seen="does not answer", todo="Start the service with `repolaunch up`.")
    return Finding(name, ok=True, seen="answers")
