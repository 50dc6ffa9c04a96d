"""The build worker: it holds the engine's socket and the registry's password, so that the launcher need not.

It listens on a socket of the data folder. One connection is one request (`requests.py`); its answer is the lines of a
builder process (`lines.py`), the last of them the result. Who closes the connection, or its sending half, wants
the answer no longer: what was started for it is stopped, and only then is the connection closed from here. An end
without a result means that the worker went away.

`python -m builders.worker` is started by `repolaunch up` with these variables, besides those of a builder process:

| variable REPOLAUNCH_WORKER_… | meaning |
|---|---|
| SOCKET | where it listens |
| CLIENT | the user id that may ask; others are turned away |
| INSTALLATION | id that labels everything in the engine |
| CHECKOUTS | folder whose folders may be built |
| CONTENTS | folder for what images carry of their repositories |
| SCRATCH | folder for temporary files, the worker's alone |
| REGISTRY, PREFIX, TLS, CA_FILE | the registry, and the first part of the images' names in it |
| OWN_REGISTRY | of a registry that is ours to clear up: `turns.Own` as JSON |
| ARCHIVE_BYTES | what a repository's archived files may be, packed |
| BUILD_LIMIT, BUILD_TIMEOUT_S | builds at one time, seconds of one build |
| SESSION_LOG_DAYS, IMAGE_DAYS, IMAGE_ROOM | what the engine keeps (`retention.Keep`) |
| BUILD_LOCAL_IMAGES | patterns of the sessions' engine's images that builds may start from, with commas |
| BUILD_MEMORY, _CPUS, _PROCESSES, _DISK, _LOG | what one build may use (`Limits`) |
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import struct
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from builders import lines, logs, variables
from builders.errors import BuilderError
from builders.images import EngineImages
from builders.interface import Limits
from builders.leftovers import remove_containers, remove_files, remove_for_good
from builders.registry import Registry
from builders.requests import LONGEST, Request, RequestWrong, parse_request
from builders.retention import Keep, Retention
from builders.site import Site
from builders.sockets import listening
from builders.turns import OWN_REGISTRY
from builders.verbs import Verbs
from builders.views import Views

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger("builders.worker")
_PREFIX = "REPOLAUNCH_WORKER_"
_MOST = 128
"""Connections at one time; more are turned away."""
_ASK_S = 10
"""How long who connects may take to say what is wanted."""
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Given:
    """What the process was started with."""

    socket: Path
    client: int
    site: Site
    keep: Keep


_LOOKING = {"fingerprint", "find", "has", "holdings", "registry"}
"""Verbs that are asked all the time and change nothing: not worth a line of the log."""


class Worker:
    """Answers requests until it is told to stop."""

    def __init__(self, given: Given, verbs: Verbs) -> None:
        """Prepare; nothing listens yet."""
        self._given = given
        self._verbs = verbs
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop`; then whatever was asked is stopped, without an answer, and its asker asks again."""
        server = await asyncio.start_unix_server(self._connected, sock=_listening(self._given), limit=LONGEST)
        await stop.wait()
        server.close()
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError
        self._answering.add(task)
        try:
            if self._is_welcome(writer):
                await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # nobody reads any more, or the worker stops: neither is told a result
        except Exception:
            log.exception("a request broke")
        finally:
            self._answering.discard(task)
            writer.close()

    def _is_welcome(self, writer: asyncio.StreamWriter) -> bool:
        asker = peer(writer)
        if asker != self._given.client:
            log.warning("user %d was turned away", asker)
        elif len(self._answering) > _MOST:
            log.warning("more than %d requests at one time; one was turned away", _MOST)
        return asker == self._given.client and len(self._answering) <= _MOST

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_ASK_S):
                request = parse_request(await reader.readuntil(b"\n"))
        except (TimeoutError, asyncio.IncompleteReadError):
            return
        except (RequestWrong, asyncio.LimitOverrunError) as error:
            reason = error.reason if isinstance(error, RequestWrong) else "it is too long"
            log.warning("a request was refused: %s", reason)
            refusal = lines.Error("BuildBroken", {"reason": f"the build worker refused: {reason}"})
            await _send(writer, lines.format_line(refusal))
            return
        logs.LAUNCH.set(request.launch)
        began = time.monotonic()
        work = asyncio.ensure_future(self._answer(request, writer))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            work.cancel()
            # Until everything that was started for it has ended.
            await asyncio.wait({work})
        level = logging.DEBUG if request.verb in _LOOKING else logging.INFO
        log.log(level, "%s ended after %.1f s", request.verb, time.monotonic() - began)
        if not work.cancelled():
            work.result()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        async def send(text: str) -> None:
            await _send(writer, text)

        try:
            await self._verbs.run(request, send)
        except BuilderError as error:
            await _send(writer, lines.format_line(lines.Error(type(error).__name__, dict(vars(error)))))


async def _send(writer: asyncio.StreamWriter, line: str) -> None:
    writer.write(line.encode("utf-8", "replace") + b"\n")
    await writer.drain()


def peer(writer: asyncio.StreamWriter) -> int:
    """The user id of who connected, as the kernel says it."""
    connection = writer.get_extra_info("socket")
    _, user, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(user)


def _listening(given: Given) -> socket.socket:
    """The socket; it may be opened by its client only (who is asked for again at every connection)."""
    listener = listening(given.socket, 0o600, _MOST)
    if given.client != os.getuid():
        os.chown(given.socket, given.client, -1)
    return listener


def given(environ: Mapping[str, str]) -> Given:
    """Read the table above."""

    def value(name: str) -> str:
        return environ.get(_PREFIX + name, "")

    spoken = {
        variables.USERNAME: environ.get(variables.USERNAME, ""),
        variables.PASSWORD: environ.get(variables.PASSWORD, ""),
        variables.TLS: value("TLS"),
        variables.CA_FILE: value("CA_FILE"),
        OWN_REGISTRY: value("OWN_REGISTRY"),
    }
    site = Site(
        installation=environ[_PREFIX + "INSTALLATION"],
        checkouts=Path(environ[_PREFIX + "CHECKOUTS"]),
        contents=Path(environ[_PREFIX + "CONTENTS"]),
        scratch=Path(environ[_PREFIX + "SCRATCH"]),
        env={name: environ[name] for name in variables.ENVIRONMENT if name in environ},
        registry={name: text for name, text in spoken.items() if text},
        build_s=int(float(value("BUILD_TIMEOUT_S") or 3600)),
        build_limit=int(value("BUILD_LIMIT") or 2),
        client=int(value("CLIENT") or os.getuid()),
        archive_bytes=int(value("ARCHIVE_BYTES") or 0),
        limits=tuple(
            f"--{each.name}={given}" for each in fields(Limits) if (given := value(f"BUILD_{each.name.upper()}"))
        ),
        local_images=value("BUILD_LOCAL_IMAGES"),
    )
    days = (float(value("SESSION_LOG_DAYS") or 0), float(value("IMAGE_DAYS") or 0))
    keep = Keep(*days, room=int(value("IMAGE_ROOM") or 0))
    return Given(Path(environ[_PREFIX + "SOCKET"]), int(value("CLIENT") or os.getuid()), site, keep)


def registry(environ: Mapping[str, str]) -> Registry:
    """The registry of the table above."""
    ca_file = environ.get(_PREFIX + "CA_FILE")
    username, password = environ.get(variables.USERNAME, ""), environ.get(variables.PASSWORD, "")
    return Registry(
        environ[_PREFIX + "REGISTRY"],
        environ.get(_PREFIX + "PREFIX", ""),
        username=username,
        password=password,
        tls=environ.get(_PREFIX + "TLS") == "1",
        ca_file=Path(ca_file) if ca_file else None,
    )


async def run(environ: Mapping[str, str]) -> None:
    """Clear what a killed one left; serve until SIGTERM or SIGINT."""
    asked = given(environ)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    left = await asyncio.to_thread(remove_files, asked.site.scratch, asked.site.contents)
    engine, known = EngineImages(environ), registry(environ)
    retention = Retention(engine, known, asked.site.installation, asked.keep, time.time)
    verbs = Verbs(asked.site, engine, known, retention.touch)
    beside = [
        asyncio.create_task(remove_containers(engine, asked.site.installation, but_of=verbs.life)),
        asyncio.create_task(retention.run()),
        asyncio.create_task(remove_for_good(left)),
    ]
    if variables.STORE_CACHE in asked.site.env:
        beside.append(asyncio.create_task(verbs.keep()))
    if stores := asked.site.env.get(variables.STORES):
        beside.append(asyncio.create_task(Views(engine, Path(stores), asked.site.installation).run()))
    log.warning("the build worker listens")
    try:
        await Worker(asked, verbs).run(stop)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        known.close()


def main() -> None:
    """Run the build worker's process."""
    logs.begin(os.environ.get(_PREFIX + "LOG_FORMAT", logs.HUMAN), os.environ.get(_PREFIX + "LOG_LEVEL", "info"))
    asyncio.run(run(os.environ))


if __name__ == "__main__":
    main()
