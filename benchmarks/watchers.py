"""Ten thousand watchers of one build, over the real service.

Prints one JSON object as the last line:

| key | meaning |
|---|---|
| `watchers` | who followed; one half the launch's events, the other `/build/…?build_only=true`; no session starts |
| `builds` | builds that ran (1) |
| `events`, `lines`, `seconds` | what each was sent, lines of the build's log, how long it took |
| `lost_events` | events that a watcher was not sent, or not in order, over all watchers (0) |
| `p99_over_idle_ms` | how much later than without watchers 99 % of other requests were answered, from the first watcher to the last event (at most 50); `p99_ms`, `idle_p99_ms`, `requests`: what it is made of |
| `kib_per_watcher` | what the launcher's resident memory grew by, at its largest, by watcher (at most 30) |
| `idle_rss_mib` | its resident memory before the first launch (at most 100) |
| `cpu` | processor seconds of the launcher by second |

The watchers are in processes of their own (`--generate`), which yield to the service (nice 10) as another machine would.
They speak to the launcher itself, not through the proxy. Each process needs a descriptor for each of its watchers.
"""  # noqa: E501  # a table

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import itertools
import json
import os
import re
import resource
import statistics
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path = [one for one in sys.path if not one.endswith("/benchmarks")]  # http.py is there, which is not Python's own

import aiohttp  # noqa: E402  # after that

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.telling import say, tell  # noqa: E402  # run as a script from anywhere
from launcher.operate.installation import find_installation, free_port  # noqa: E402  # the same
from tests.fixtures.repos import start_git_daemon  # noqa: E402  # the same
from tests.fixtures.service import Service, read_events  # noqa: E402  # the same

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psutil

PROCESSES = 2
SPARE = 200
"""Descriptors that a process needs besides."""
PROBE_S = 0.05
PACE_S = 0.1
"""Between two lines of the build."""
SETTLE_S = 10
ENV = {"REPOLAUNCH_BUILD_ENGINE": "shared"}
EVENT_ID = re.compile(rb"^id: ([0-9]+)", re.MULTILINE)


# --------------------------------------------------------------------------- the watchers, in their own processes
@dataclass(frozen=True)
class Order:
    """What one process of watchers is to do."""

    port: int
    paths: tuple[str, ...]
    headers: dict[str, str]
    count: int
    per_second: float


@dataclass
class Tally:
    """What became of them."""

    began: float = field(default_factory=time.time)
    connected: float = 0.0
    refused: int = 0
    disordered: int = 0
    received: dict[str, int] = field(default_factory=dict)
    """How many watchers were sent so many events, by `path number`."""


class Watcher(asyncio.Protocol):
    """Reads one stream and checks its numbers."""

    def __init__(self, head: bytes, done: asyncio.Future[None], tally: Tally) -> None:
        """`head` is the request."""
        self._head, self.done, self._tally = head, done, tally
        self.next = 1
        self._rest = b""

    async def connect(self, port: int) -> None:
        """Begin; who is refused has ended."""
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)
        except OSError:
            self._tally.refused += 1
            self.done.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        transport.write(self._head)  # type: ignore[attr-defined]  # TCP's

    def data_received(self, data: bytes) -> None:
        """Count the events that are whole."""
        whole, _, self._rest = (self._rest + data).rpartition(b"\n\n")
        found = [int(one) for one in EVENT_ID.findall(whole)]
        if found != list(range(self.next, self.next + len(found))):
            self._tally.disordered += 1
        self.next += len(found)

    def connection_lost(self, exc: Exception | None) -> None:
        """That was all."""
        del exc
        if not self.done.done():
            self.done.set_result(None)


async def generate(order: Order) -> Tally:
    """Connect at the pace that was asked for; stay until every stream has ended."""
    tally, loop = Tally(), asyncio.get_running_loop()
    watchers: list[tuple[str, Watcher]] = []
    headers = "".join(f"{name}: {value}\r\n" for name, value in order.headers.items())
    for number in range(order.count):
        path = order.paths[number % len(order.paths)]
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n{headers}\r\n"
        watcher = Watcher(head.encode(), loop.create_future(), tally)
        await watcher.connect(order.port)
        watchers.append((path, watcher))
        await asyncio.sleep(1 / order.per_second)  # who was kept waiting does not come in a crowd
    tally.connected = time.time()
    await asyncio.gather(*(watcher.done for _, watcher in watchers))
    for path, watcher in watchers:
        key = f"{path} {watcher.next - 1}"
        tally.received[key] = tally.received.get(key, 0) + 1
    return tally


def enough_descriptors(watchers: int) -> None:
    """Raise this process's limit. Ends it with a sentence where that is not enough."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < watchers + SPARE:
        sys.exit(f"one process may open {hard} files here, which is too few for {watchers} watchers (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# --------------------------------------------------------------------------- everybody else
class Others:
    """Somebody who asks for other things meanwhile, a new connection each time."""

    def __init__(self, http: aiohttp.ClientSession, paths: tuple[str, ...]) -> None:
        """Ask for each of `paths` in turn."""
        self._http, self._paths = http, itertools.cycle(paths)
        self.seconds: list[float] = []

    async def ask(self) -> None:
        """For ever."""
        while True:
            began = time.perf_counter()
            async with self._http.get(next(self._paths), headers={"Connection": "close"}) as answer:
                await answer.read()
                if answer.status != 200:  # noqa: PLR2004  # OK
                    sys.exit(f"{answer.url} answered {answer.status}")
            self.seconds.append(time.perf_counter() - began)
            await asyncio.sleep(PROBE_S)

    def p99_ms(self) -> float:
        """So many milliseconds did 99 of 100 requests take at most."""
        return statistics.quantiles(self.seconds, n=100)[98] * 1000


@asynccontextmanager
async def asking(others: Others) -> AsyncIterator[Others]:
    """`others` ask within."""
    task = asyncio.create_task(others.ask())
    try:
        yield others
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def grown(launcher: psutil.Process, stop: asyncio.Event) -> int:
    """The launcher's largest resident memory until `stop`."""
    most = 0
    while not stop.is_set():
        most = max(most, launcher.memory_info().rss)
        await asyncio.sleep(0.25)
    return most


async def watch(order: Order, count: int) -> list[Tally]:
    """So many watchers, in processes."""

    async def one(share: int) -> Tally:
        argv = (sys.executable, __file__, "--generate")
        child = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, preexec_fn=lambda: os.nice(10)
        )
        told = {**asdict(order), "count": share, "per_second": order.per_second / PROCESSES}
        out, _ = await child.communicate(json.dumps(told).encode())
        if child.returncode:
            sys.exit("a process of watchers failed")
        return Tally(**json.loads(out))

    shares = [count // PROCESSES + (number < count % PROCESSES) for number in range(PROCESSES)]
    return list(await asyncio.gather(*(one(share) for share in shares)))


def repository(folder: Path, lines: int) -> tuple[Any, str]:
    """A daemon and the spec of a repository whose build says so many lines, one after the other."""
    host, daemon = start_git_daemon(folder)
    says = f'RUN for i in $(seq {lines}); do echo "$i of {lines} {time.time_ns()}"; sleep {PACE_S}; done\n'
    repo = host.make_repo(files={"Dockerfile": f"FROM localhost/repolaunch/base:1\n{says}", "a.txt": "a"})
    return daemon, str(repo.spec)


async def first_line(http: aiohttp.ClientSession, build: str) -> str:
    """Begin the build, leave as soon as it says something. Returns the launch's id."""
    async with http.get(build, headers={"Accept": "text/event-stream"}) as answer:
        launch = ""
        async for line in answer.content:
            if line.startswith(b"id: "):
                launch = line.decode().split("-")[1]
            event = json.loads(line[6:]) if line.startswith(b"data: ") else {}
            if event.get("phase") in {"failed", "ready"}:
                sys.exit(f"there was no build: {event}")
            if " of " in event.get("message", "") and event["phase"] == "building":
                return launch
    sys.exit("the stream ended before the build began")


async def measure(service: Service, folder: Path, count: int, lines: int, per_second: float) -> dict[str, Any]:
    """All figures, in one run."""
    launcher = service.child("launcher")
    port = find_installation(service.data).ports.launcher
    daemon, spec = repository(folder, lines)
    limit = aiohttp.ClientTimeout(total=None, sock_read=600)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=limit) as http:
            await asyncio.sleep(SETTLE_S)
            idle_rss = launcher.memory_info().rss
            async with asking(Others(http, ("/versions", "/", "/badge.svg"))) as idle:
                await asyncio.sleep(2 * SETTLE_S)
            build = f"/build/git/{spec}/main?build_only=true"
            launch = await first_line(http, build)
            events = f"/api/v1/launches/{launch}/events"
            order = Order(port, (events, build), service.operator, count, per_second)
            before, cpu, began = launcher.memory_info().rss, sum(launcher.cpu_times()[:2]), time.perf_counter()
            stop = asyncio.Event()
            growing = asyncio.create_task(grown(launcher, stop))
            async with asking(Others(http, ("/versions", "/", "/badge.svg"))) as busy:
                tallies = await watch(order, count)
            stop.set()
            seconds = time.perf_counter() - began
            used = sum(launcher.cpu_times()[:2]) - cpu
            async with http.get(events, headers=service.operator) as answer:
                told = [event async for event in read_events(answer)]
            async with http.get("/metrics") as answer:
                builds = re.search(r"^repolaunch_build_seconds_count (\S+)", await answer.text(), re.MULTILINE)
    finally:
        daemon.terminate()
        daemon.wait()
    last = [dt.datetime.fromisoformat(event["at"]).timestamp() for event in told if _is_line(event)][-1]
    early = last - max(one.connected for one in tallies)
    say(f"all had come {early:.0f} s before the last line, then {told[-1]['type']}")
    say(f"received: {json.dumps([one.received for one in tallies])}")
    return {
        "watchers": count,
        "builds": int(float(builds[1])) if builds else 0,
        "lost_events": lost(tallies, len(told)),
        "p99_over_idle_ms": round(busy.p99_ms() - idle.p99_ms(), 1),
        "kib_per_watcher": round((await growing - before) / count / 1024, 1),
        "idle_rss_mib": round(idle_rss / 2**20, 1),
        "p99_ms": round(busy.p99_ms(), 1),
        "idle_p99_ms": round(idle.p99_ms(), 1),
        "requests": len(busy.seconds),
        "events": len(told),
        "lines": sum(_is_line(event) for event in told),
        "seconds": round(seconds, 1),
        "cpu": round(used / seconds, 2),
    }


def _is_line(event: dict[str, Any]) -> bool:
    return event["type"] == "log" and " of " in event["message"]


def lost(tallies: list[Tally], told: int) -> int:
    """Events that some watcher was not sent; what came out of order counts as one."""
    missing = sum(
        watchers * abs(told - int(key.rpartition(" ")[2])) for one in tallies for key, watchers in one.received.items()
    )
    return missing + sum(one.disordered for one in tallies)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    parser.add_argument("--generate", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--watchers", type=int, default=10_000, help="how many (default 10,000)")
    parser.add_argument("--lines", type=int, default=900, help="lines of the build's log (default 900)")
    parser.add_argument("--per-second", type=float, default=300, help="watchers who come in a second (default 300)")
    asked = parser.parse_args()
    if asked.generate:
        order = Order(**json.load(sys.stdin))
        enough_descriptors(order.count)
        print(json.dumps(asdict(asyncio.run(generate(order)))))
        return
    enough_descriptors(asked.watchers)  # the launcher, with the same limit, has them all
    with tempfile.TemporaryDirectory(prefix="repolaunch-bench-") as folder:
        Path(folder).chmod(0o755)
        service = Service(Path(folder) / "data", free_port(), ENV)
        try:
            service.start()
            result = asyncio.run(measure(service, Path(folder), asked.watchers, asked.lines, asked.per_second))
        finally:
            service.remove()
    tell(result, only_json=asked.json)


if __name__ == "__main__":
    main()
