"""The single-user server of assembled images: built at set-up, kept as a signed cache, given to a store when wanted.

Nix and Guix images have the same server, whatever their authors declare (deploy/closure). What is kept belongs to
whoever runs the service, not to one store: `<kept>/current/` holds `server.json`, which says what the server is, and
`cache/`, files from which any store is filled in seconds without the network.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from builders.errors import BuildBroken, ServerNotBuilt
from builders.lines import Progress
from builders.oci.closure import Closure, checked_closure, is_store_path
from builders.sandbox import Tool, daemon, evaluator
from builders.sandbox_commands import SOCKETS, WORK
from builders.variables import CLOSURE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from builders.interface import Workshop
    from builders.lines import Tell

IMAGE = "localhost/repolaunch/nix:1"
PROGRAM = "repolaunch-singleuser"
CURRENT, ABOUT, CACHE, PUBLIC_KEY = "current", "server.json", "cache", "public-key"
MACHINES = Path("/var/cache/repolaunch/closure")
"""Where root keeps it: services that run as somebody else may read there."""
_MOUNTED = "server-cache"
"""The cache's folder in the stores while one is filled: a build engine sees nothing else of this machine."""
_ROOT = "nix/var/nix/gcroots/repolaunch-server"
_POLL_S = 0.2
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Server:
    """What an image needs of it."""

    program: str
    """The store path whose `bin` holds PROGRAM and nothing else: it goes to the end of PATH."""
    tools: str
    """The store path whose `bin` holds a `sh`, an `env` and what else a terminal lacks without."""
    variables: Mapping[str, str]
    closure: Closure
    """Of both."""

    @property
    def identity(self) -> str:
        """Equal text, same server: a part of every key."""
        return f"{self.program} {self.tools}"

    @property
    def shell(self) -> str:
        """The path of its `sh`."""
        return f"{self.tools}/bin/sh"


def own_folder() -> Path:
    """Where set-up keeps it: as it was told, else the machine's cache for root, else that of whoever runs this."""
    if told := os.environ.get(CLOSURE):
        return Path(told)
    if os.geteuid() == 0:
        return MACHINES
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "repolaunch", "closure")


def kept_folder() -> Path:
    """Where it is: one's own, else what root has built for all of this machine."""
    own = own_folder()
    only = bool(os.environ.get(CLOSURE)) or (own / CURRENT).exists() or not (MACHINES / CURRENT).exists()
    return own if only else MACHINES


def kept_server() -> Server:
    """The server that set-up built. Raises ServerNotBuilt, BuildBroken."""
    try:
        text = (kept_folder() / CURRENT / ABOUT).read_bytes()
    except OSError:
        raise ServerNotBuilt from None
    return parse_server(text)


def parse_server(text: str | bytes) -> Server:
    """What a `server.json` says. Raises BuildBroken."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise _broken("it is no JSON object")
    closure = checked_closure(body.get("closure"))
    program, tools = (_own(closure, body.get(name)) for name in ("program", "tools"))
    variables = body.get("variables")
    if not isinstance(variables, dict) or not all(isinstance(value, str) for value in variables.values()):
        raise _broken("its variables are no text")
    return Server(program, tools, variables, closure)


def _own(closure: Closure, path: object) -> str:
    if not isinstance(path, str) or not is_store_path(path) or path not in closure.paths:
        raise _broken(f"{str(path)[:_SHOWN]!r} is not in its closure")
    return path


def described(server: Server) -> dict[str, Any]:
    """As `parse_server` reads it."""
    return {
        "program": server.program,
        "tools": server.tools,
        "variables": dict(server.variables),
        "closure": server.closure.to_json(),
    }


async def server_in(workshop: Workshop, tell: Tell) -> Server:
    """The server, in this store: filled from what is kept, where it lacks it. Raises ServerNotBuilt, BuildBroken."""
    server = kept_server()
    kept = kept_folder() / CURRENT
    about = (kept / ABOUT).read_bytes()
    if _has(workshop.stores, about):
        return server
    async with _alone(workshop.stores):
        if not _has(workshop.stores, about):
            tell(Progress("Copying the notebook server into this site's store, once"))
            await fill(workshop, kept, (server.program, server.tools))
            await asyncio.to_thread(_note, workshop.stores, server, about)
    return server


def _has(stores: Path, about: bytes) -> bool:
    """Whether the store was filled with this server, and nobody has removed it."""
    try:
        server = parse_server(about)
        return (stores / ABOUT).read_bytes() == about and (stores / server.program[1:]).is_dir()
    except OSError:
        return False


def _note(stores: Path, server: Server, about: bytes) -> None:
    root = stores / _ROOT
    new = root.with_name(f"{root.name}-{secrets.token_hex(4)}")
    new.parent.mkdir(parents=True, exist_ok=True)
    new.symlink_to(server.program)
    new.replace(root)
    written = stores / f"{ABOUT}-{secrets.token_hex(4)}"
    written.write_bytes(about)
    written.replace(stores / ABOUT)


@asynccontextmanager
async def _alone(stores: Path) -> AsyncIterator[None]:
    """One process at a time fills a store."""
    with await asyncio.to_thread(_lock_file, stores) as lock:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            await asyncio.sleep(_POLL_S)
        yield


def _lock_file(stores: Path) -> IO[str]:
    stores.mkdir(parents=True, exist_ok=True)
    return (stores / "server.lock").open("w")


# --------------------------------------------------------------------------- filling a store
async def fill(workshop: Workshop, kept: Path, paths: tuple[str, ...]) -> None:
    """Copy these store paths, and what they refer to, out of a kept cache; its signatures count. Raises BuildBroken."""
    mounted = workshop.stores / _MOUNTED
    try:
        await asyncio.to_thread(_lay_out, kept / CACHE, mounted)
        tool = _filler((kept / PUBLIC_KEY).read_text().strip())
        async with (
            daemon(tool, workshop, network=False) as running,
            evaluator(running, ("nix-store", "--realise", *paths)) as asked,
        ):
            said = [line async for line in asked.child.lines()]
            ending = await asked.ending()
    except OSError as error:
        raise BuildBroken(f"the kept notebook server cannot be read: {error.strerror}") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, mounted, ignore_errors=True)
    if ending.status:
        raise BuildBroken(f"the notebook server could not be copied into the store: {' '.join(said)[-_SHOWN:]}")


def _lay_out(cache: Path, mounted: Path) -> None:
    shutil.rmtree(mounted, ignore_errors=True)
    shutil.copytree(cache, mounted)


def _filler(public_key: str) -> Tool:
    """A Nix that builds nothing and copies from the cache alone."""
    return nix(
        {
            "max-jobs": "0",
            "substituters": f"file:///{_MOUNTED}",
            "trusted-public-keys": public_key,
        },
        folders={"nix": "/nix", _MOUNTED: f"/{_MOUNTED}"},
    )


def nix(settings: Mapping[str, str], *, folders: Mapping[str, str] | None = None) -> Tool:
    """A Nix for what is our own, with the sandbox on."""
    socket = f"{SOCKETS}/socket"
    config = {
        "sandbox": "true",
        "sandbox-fallback": "false",
        "build-users-group": "",
        "trusted-users": "",
        "build-dir": WORK,
        "substituters": "",
        "require-sigs": "true",
        "builders": "",
        "experimental-features": "nix-command",
        **settings,
    }
    return Tool(
        name="server",
        image=IMAGE,
        folders=folders or {"nix": "/nix"},
        daemon=("nix", "daemon"),
        socket="socket",
        daemon_env={"NIX_REMOTE": "local", "NIX_DAEMON_SOCKET_PATH": socket, "NIX_CONFIG": _written(config)},
        # No settings of its own: what a client sets, it asks of the daemon.
        evaluator_env={"NIX_REMOTE": f"unix://{socket}"},
    )


def _written(settings: Mapping[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


def _broken(reason: str) -> BuildBroken:
    return BuildBroken(f"what set-up wrote of the notebook server cannot be read: {reason}")
