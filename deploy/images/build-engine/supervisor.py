"""The first process of the build engine's container: cgroups, the walls, dockerd, and a lease for every build.

It listens on a Unix socket. A connection is one request, a line of JSON:

    {"lease": {"id": …, "image": NAME, "memory": BYTES, "cpus": N, "processes": N, "disk": BYTES}}
        → {"parent": CGROUP}: pass it to the build; then, if the build passes a limit, {"limit": WHICH}, once: its steps
          have been ended. After {"ended": true} → {"verdict": WHICH or ""}. When the connection ends, so do the steps;
          the cgroup goes, and the image NAME is removed from this engine.
    {"export": {"image": ID, "name": NAME, "has": [LAYERS]}} → {"ok": true} and an archive for `docker load`
    {"ping": true} → {"ready": true} if the engine answers, else {"ready": false}

WHICH is memory, processes, disk (the build's own limit) or room (the engine's disk is full, and it wrote most).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import select
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).parent))

import cgroups
import disk
import engine
import layers

log = logging.getLogger("build-engine")
SOCKETS = Path("/run/build-engine")
CONTROL = SOCKETS / "control.sock"
WALLS = SOCKETS / "walls.nft"
STEPS = Path("/run/steps")
"""As in step.py."""
RUNC = Path("/usr/local/sbin/runc")
"""Found before the real one: step.py, which BuildKit takes for it."""
DATA = Path("/var/lib/docker")
LOOK_S = 0.1
PAUSE_S = (0.5, 2.0)
"""Between two looks at what a build has written: a tree of a million files is not looked at all the time."""
SWEEP_S = 1.0
SILENT_S = 60.0
"""How long the engine may say nothing before it is ended and started again."""
LONGEST_LINE = 1024 * 1024


@dataclass(frozen=True)
class Order:
    """What a lease asks for. Raises TypeError, ValueError for what is none."""

    id: str
    image: str
    memory: int
    cpus: float
    processes: int
    disk: int

    def __post_init__(self) -> None:
        """Look at it: the id becomes a folder's name."""
        if not self.id.isalnum() or not self.id.isascii():
            raise ValueError(self.id)
        if min(self.memory, self.cpus, self.processes, self.disk) <= 0:
            raise ValueError(self.id)


class Lease:
    """One build, from the order to its end."""

    _lock: ClassVar = threading.Lock()
    _all: ClassVar[list[Lease]] = []

    def __init__(self, order: Order, floor: int) -> None:
        """Make the build's cgroup. `floor` is how many bytes the engine's disk keeps free."""
        self.order, self._floor = order, floor
        self._written = disk.Written(DATA, STEPS, order.id)
        self.bytes = 0
        self._over = ""
        self._ended = threading.Event()
        with self._lock:
            self.cgroup = cgroups.Cgroup(order)
            self._all.append(self)
        threading.Thread(target=self._watch_disk, daemon=True).start()

    def passed(self) -> str:
        """Which limit it has passed, if any."""
        self.cgroup.stamp()
        return self.cgroup.passed() or self._over

    def close(self) -> None:
        """End what is left of it."""
        self._ended.set()
        self.cgroup.remove()
        with self._lock:
            self._all.remove(self)
        for note in STEPS.glob(f"{self.order.id}-*"):
            note.unlink(missing_ok=True)
        engine.remove(self.order.image)

    @classmethod
    def sweep(cls) -> None:
        """Again and again: what of builds that have ended is still there, or is there again. Never returns."""
        while True:
            time.sleep(SWEEP_S)
            with contextlib.suppress(OSError):  # they come and go
                with cls._lock:
                    ended = cgroups.left() - {one.order.id for one in cls._all}
                for name in ended:
                    cgroups.remove(name)

    def finished(self) -> str:
        """Which limit the finished build has passed, if any: its image's layers are looked at, whoever wrote them."""
        if not self.passed() and layers.Store(DATA).written(engine.identity(self.order.image)) > self.order.disk:
            self._over = self._over or "disk"
        return self.passed()

    def _watch_disk(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            with contextlib.suppress(OSError):  # a step has ended meanwhile
                self.bytes = self._written.look(self.cgroup.pids(), alone=len(self._all) == 1)
            free = disk.free(DATA)
            if self.bytes > self.order.disk:
                self._over = self._over or "disk"
            elif free < self._floor and self._wrote_most():
                self._over = self._over or "room"
            self._pause(3 * (time.monotonic() - began), free - (self.order.disk - self.bytes))

    def _pause(self, seconds: float, enough: int) -> None:
        """No longer than until so little is free that the limit may have been passed."""
        shortest, longest = PAUSE_S
        until = time.monotonic() + min(seconds, longest)
        self._ended.wait(shortest)
        while time.monotonic() < until and disk.free(DATA) > enough:
            self._ended.wait(LOOK_S)

    def _wrote_most(self) -> bool:
        with self._lock:
            return max(self._all, key=lambda one: one.bytes, default=self) is self


class Handler(socketserver.StreamRequestHandler):
    """One connection."""

    server: Server

    def handle(self) -> None:
        """Answer its request."""
        with contextlib.suppress(OSError):
            try:
                request = json.loads(self.rfile.readline(LONGEST_LINE))
                ((verb, asked),) = request.items()
                {"lease": self._lease, "export": self._export, "ping": self._ping}[verb](asked)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                self._say(error=f"not understood: {type(error).__name__}")

    def _say(self, **line: Any) -> None:
        self.wfile.write(json.dumps(line).encode() + b"\n")

    def _ping(self, _: object) -> None:
        self._say(ready=engine.answers())

    def _export(self, asked: dict[str, Any]) -> None:
        image, name, has = str(asked["image"]), str(asked["name"]), [str(one) for one in asked["has"]]
        if not image.removeprefix("sha256:").isalnum():
            raise ValueError(image)
        self._say(ok=True)
        try:
            layers.Store(DATA).export(image, name, has, self.wfile)
        except (layers.Damaged, OSError, ValueError, KeyError) as error:
            # The archive stays unfinished, which whoever reads it notices.
            log.warning("export of %s: %s %s", image, type(error).__name__, error)

    def _lease(self, asked: dict[str, Any]) -> None:
        order = Order(**asked)
        try:
            lease = Lease(order, self.server.floor)
        except OSError as error:
            self._say(error=f"no limits can be set: {error.strerror} ({error.filename})")
            return
        try:
            self._say(parent=lease.cgroup.parent)
            self._keep(lease)
        finally:
            lease.close()

    def _keep(self, lease: Lease) -> None:
        told = ""
        while True:
            ready, _, _ = select.select([self.connection], [], [], LOOK_S)
            told, before = told or lease.passed(), told
            if told:
                lease.cgroup.kill()
            if told and not before:
                self._say(limit=told)
            if ready:
                if not self.rfile.readline(LONGEST_LINE):
                    return
                told = told or lease.finished()
                self._say(verdict=told)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens for builders."""

    daemon_threads = True
    floor: int


def keep_engine(asked: argparse.Namespace) -> None:
    """Run dockerd; start it again when it ends or says nothing any more."""
    config = {
        "dns": asked.dns,
        "builder": {"gc": {"enabled": True, "defaultKeepStorage": f"{asked.cache}B"}},
        "log-level": "warn",
    }
    Path("/run/dockerd.json").write_text(json.dumps(config))
    # Room for all that a builder is willing to relay: BuildKit's own limit would hide why a build failed.
    output = {"BUILDKIT_STEP_LOG_MAX_SIZE": str(64 * 2**20), "BUILDKIT_STEP_LOG_MAX_SPEED": "-1"}
    argv = ("dockerd", "--config-file=/run/dockerd.json", f"--host=unix://{engine.SOCKET}", f"--group={asked.group}")
    while True:
        for note in ("/run/docker.pid", "/var/run/docker.pid"):
            Path(note).unlink(missing_ok=True)
        dockerd = subprocess.Popen(argv, env={**os.environ, **output})
        _watch(dockerd)
        log.warning("dockerd ended with status %s; it is started again", dockerd.returncode)
        time.sleep(1)


def stand_before_runc() -> None:
    """Let step.py see every step before it begins. Raises OSError, RuntimeError."""
    RUNC.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {Path(__file__).with_name("step.py")} "$@"\n')
    RUNC.chmod(0o755)
    if shutil.which("runc") != str(RUNC):
        raise RuntimeError("another runc is found first")


def _watch(dockerd: subprocess.Popen[bytes]) -> None:
    """Until it ends."""
    heard = time.monotonic()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    while dockerd.poll() is None:
        if stop.wait(0.5):
            dockerd.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                dockerd.wait(8)
            dockerd.kill()
            sys.exit(0)
        if time.monotonic() - heard < SILENT_S / 4:
            continue
        if engine.answers():
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENT_S:
            dockerd.kill()
            dockerd.wait()


def main() -> None:
    """Prepare, listen, keep the engine running."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dns", action="append", default=[], help="name server of the builds' steps")
    parser.add_argument("--group", type=int, default=0, help="whose the sockets are")
    parser.add_argument("--cache", type=int, default=20 * 2**30, help="bytes of build cache that are kept")
    parser.add_argument("--floor", type=int, default=2 * 2**30, help="bytes that stay free on the engine's disk")
    asked = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", level="INFO")
    cgroups.prepare()
    subprocess.run(("mount", "-o", "remount,bind,rw", "/proc/sys"), check=True)
    STEPS.mkdir(exist_ok=True)
    stand_before_runc()
    # What a build may reach; without it nothing is built.
    subprocess.run(("nft", "--file", str(WALLS)), check=True)
    CONTROL.unlink(missing_ok=True)
    server = Server(str(CONTROL), Handler)
    server.floor = asked.floor
    os.chown(CONTROL, 0, asked.group)
    CONTROL.chmod(0o660)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=Lease.sweep, daemon=True).start()
    keep_engine(asked)


if __name__ == "__main__":
    main()
