"""Requests per second of each light route of the running service, asked of the launcher itself.

Prints one JSON object as the last line: for each route `per_second` (requests answered, by sixteen visitors who keep
their connections) and `p99_ms`. The visitors are a process of their own (`--generate`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path = [one for one in sys.path if not one.endswith("/benchmarks")]  # http.py is there, which is not Python's own

import aiohttp  # noqa: E402  # after that

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.telling import say  # noqa: E402  # run as a script from anywhere
from launcher.operate.installation import find_installation, free_port  # noqa: E402  # the same
from tests.fixtures.repos import start_git_daemon  # noqa: E402  # the same
from tests.fixtures.service import Service  # noqa: E402  # the same

if TYPE_CHECKING:
    from collections.abc import Mapping

VISITORS = 16
WARM_S = 0.5
PUBLIC = {
    "/": "/",
    "/v2/{provider}/{spec}": "/v2/gh/ada/nice/main",
    "/badge_logo.svg": "/badge_logo.svg",
    "/health": "/health",
    "/metrics": "/metrics",
    "/versions": "/versions",
    "/api/repoproviders": "/api/repoproviders",
    "/api/v1/openapi.json": "/api/v1/openapi.json",
}
"""By route: the address that is asked."""


@dataclass(frozen=True)
class Order:
    """What the visitors are to do."""

    port: int
    path: str
    headers: dict[str, str]
    seconds: float


@dataclass
class Visitor:
    """Asks again as soon as it was answered."""

    order: Order
    until: float
    seconds: list[float] = field(default_factory=list)

    async def ask(self) -> None:
        """Until the time is over."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.order.port)
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.order.headers.items())
        request = f"GET {self.order.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode()
        while (began := time.perf_counter()) < self.until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status != 200:  # noqa: PLR2004  # OK
                sys.exit(f"{self.order.path} answered {status}")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            self.seconds.append(time.perf_counter() - began)
        writer.close()


async def generate(order: Order) -> dict[str, float]:
    """All visitors, once to warm up and once to count."""
    visitors: list[Visitor] = []
    for seconds in (WARM_S, order.seconds):
        visitors = [Visitor(order, time.perf_counter() + seconds) for _ in range(VISITORS)]
        await asyncio.gather(*(one.ask() for one in visitors))
    took = [each for one in visitors for each in one.seconds]
    return {
        "per_second": round(len(took) / order.seconds, 1),
        "p99_ms": round(statistics.quantiles(took, n=100)[98] * 1000, 1),
    }


async def visit(order: Order) -> dict[str, float]:
    """The same in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--generate"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate(json.dumps(asdict(order)).encode())
    if child.returncode:
        sys.exit("the visitors failed")
    found: dict[str, float] = json.loads(out)
    return found


async def a_launch(port: int, folder: Path, operator: Mapping[str, str]) -> str:
    """The id of a launch that has ended, with no session: its link leads nowhere."""
    host, daemon = start_git_daemon(folder)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=operator) as http:
            body = {"url": f"{host.base}/nothing.git", "ref": "main"}
            async with http.post("/api/v1/launches", json=body) as answer:
                launch: dict[str, Any] = await answer.json()
                answer.raise_for_status()
            async with http.get(launch["events"]) as events:
                await events.read()
            return str(launch["id"])
    finally:
        daemon.terminate()
        daemon.wait()


async def measure(service: Service, folder: Path, seconds: float) -> dict[str, Any]:
    """One route after the other."""
    port = find_installation(service.data).ports.launcher
    launch = await a_launch(port, folder, service.operator)
    known = {"/api/v1/launches/{id}": f"/api/v1/launches/{launch}", "/api/v1/launches": "/api/v1/launches"}
    result = {}
    for routes, headers in ((PUBLIC, {}), (known, service.operator)):
        for route, path in routes.items():
            result[route] = await visit(Order(port, path, headers, seconds))
            say(f"{route:<24} {result[route]['per_second']:>8} a second, 99 % within {result[route]['p99_ms']} ms")
    return result


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print only the JSON object, as the last line")
    parser.add_argument("--generate", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=5, help="for each route (default 5)")
    asked = parser.parse_args()
    if asked.generate:
        print(json.dumps(asyncio.run(generate(Order(**json.load(sys.stdin))))))
        return
    with tempfile.TemporaryDirectory(prefix="repolaunch-bench-") as folder:
        Path(folder).chmod(0o755)
        service = Service(Path(folder) / "data", free_port(), {"REPOLAUNCH_BUILD_ENGINE": "shared"})
        try:
            service.start()
            result = asyncio.run(measure(service, Path(folder), asked.seconds))
        finally:
            service.remove()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
