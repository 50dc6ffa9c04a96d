"""How long a launch takes, against the floor: `docker run` of the same image.

`make bench-launch` prepares what this needs and runs it. The last line is one JSON object:

| key | meaning |
|---|---|
| `cold_s` | median seconds from the request to `ready` where the image has to be built |
| `cached_s` | the same where the registry has the image; each launch makes a new project and workspace |
| `floor_s` | median seconds of `docker run` with the same image, command, environment and limits and an empty volume, until `/api/status` answers |
| `cached_over_floor` | the ratio of the two medians; the two are interleaved |
| `idle_rss_mib` | resident memory of the launcher before the first launch |
"""  # noqa: E501  # a table

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

sys.path = [one for one in sys.path if not one.endswith("/benchmarks")]  # http.py is there, which is not Python's own

import aiohttp  # noqa: E402  # after that
import docker  # noqa: E402  # after that

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.telling import say, tell  # noqa: E402  # run as a script from anywhere
from launcher.operate import build_engine  # noqa: E402  # the same
from launcher.operate.installation import free_port  # noqa: E402  # run as a script from anywhere
from tests.fixtures.repos import Repo, start_git_daemon  # noqa: E402  # the same
from tests.fixtures.service import Service, read_events  # noqa: E402  # the same

if TYPE_CHECKING:
    import psutil

BASE = "FROM localhost/repolaunch/base:1\n"
SETTLE_S = 1.5
WORKSPACE = "/workspace"


@dataclass(frozen=True)
class Launched:
    """One launch: how long it took and which project it made."""

    seconds: float
    project: str


async def launch(http: aiohttp.ClientSession, repo: Repo) -> Launched:
    """Launch as a program without a cookie does; the clock stops when the server itself has answered."""
    began = time.perf_counter()
    async with http.get(f"/build/git/{repo.spec}/main", headers={"Accept": "text/event-stream"}) as answer:
        event: dict[str, Any] = {}
        async for event in read_events(answer):
            if event.get("phase") in {"ready", "failed"}:
                break
    if event.get("phase") != "ready":
        sys.exit(f"a launch failed: {event}")
    path = urlsplit(event["url"]).path
    async with http.get(f"{path}api/status", headers={"Authorization": f"token {event['token']}"}) as status:
        if status.status != 200:  # noqa: PLR2004  # OK
            sys.exit(f"the server answered {status.status}")
    seconds = time.perf_counter() - began
    return Launched(seconds, path.split("/")[2].removeprefix("project-"))


class Floor:
    """`docker run` of what a session's container runs, with a volume of its own."""

    def __init__(self, service: Service) -> None:
        self._engine: Any = docker.from_env()
        self._service = service

    def configuration(self, project: str) -> dict[str, Any]:
        """The session's container as the engine describes it."""
        label: dict[str, Any] = {"label": f"repolaunch.installation={self._service.id}"}
        for one in self._engine.containers.list(filters=label):
            if f"JUPYTERHUB_USER=project-{project}" in one.attrs["Config"]["Env"]:
                attrs: dict[str, Any] = one.attrs
                return attrs
        sys.exit("the session's container was not found")

    async def measure(self, session: dict[str, Any]) -> float:
        """Seconds from `docker run` until `/api/status` answers."""
        labels = {"repolaunch.installation": self._service.id}
        volume = self._engine.volumes.create(labels=labels)
        make = f"mkdir {WORKSPACE}/work {WORKSPACE}/home && chown 1000:1000 {WORKSPACE}/*"
        self._engine.containers.run(
            session["Image"], ["sh", "-c", make], entrypoint=[], user="0", remove=True, working_dir="/",
            labels=labels, network_mode="none", volumes={volume.name: {"bind": WORKSPACE}},
        )  # fmt: skip
        config, host = session["Config"], dict(session["HostConfig"])
        mounts = [one for one in host.get("Mounts") or [] if one["Target"] != WORKSPACE]
        host["Mounts"] = [*mounts, {"Type": "volume", "Source": volume.name, "Target": WORKSPACE}]
        host["Binds"] = [one for one in host.get("Binds") or [] if f":{WORKSPACE}" not in one]
        body = {name: config[name] for name in ("Cmd", "Entrypoint", "Env", "Image", "User", "WorkingDir")}
        began = time.perf_counter()
        container = self._engine.api.create_container_from_config({**body, "Labels": labels, "HostConfig": host})
        self._engine.api.start(container)
        try:
            address = self._address(container["Id"])
            prefix = next(one for one in config["Env"] if one.startswith("JUPYTERHUB_SERVICE_PREFIX=")).partition("=")[
                2
            ]
            await self._answers(f"http://{address}:8888{prefix}api/status")
            return time.perf_counter() - began
        finally:
            self._engine.api.remove_container(container, force=True)
            volume.remove()

    def _address(self, container: str) -> str:
        networks = self._engine.api.inspect_container(container)["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    async def _answers(self, url: str) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http, asyncio.timeout(60):
            while True:
                try:
                    async with http.get(url):
                        return
                except (aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(0.01)


async def measure(service: Service, daemon_root: Path, rounds: int, colds: int) -> dict[str, Any]:
    """All figures, in one run."""
    host, daemon = start_git_daemon(daemon_root)
    launcher = service.child("launcher")
    await asyncio.sleep(5)
    result: dict[str, Any] = {"idle_rss_mib": round(launcher.memory_info().rss / 2**20, 1)}
    say(f"idle: {result['idle_rss_mib']} MiB, imported: {', '.join(imported(service, launcher))}")
    floor = Floor(service)
    try:
        limit = aiohttp.ClientTimeout(total=600)
        async with aiohttp.ClientSession(service.base_url, timeout=limit) as http:

            async def stop(one: Launched) -> None:
                async with http.delete(f"/api/v1/sessions/{one.project}", headers=service.operator) as answer:
                    answer.raise_for_status()
                await asyncio.sleep(SETTLE_S)

            cold, cached, floors = [], [], []
            repo = host.make_repo(files={"Dockerfile": BASE})
            for _ in range(colds):
                repo = host.make_repo(files={"Dockerfile": f"{BASE}RUN echo {time.time_ns()}\n", "a.txt": "a"})
                cold.append(one := await launch(http, repo))
                await stop(one)
            await asyncio.sleep(5)  # the last push ends
            for number in range(rounds):
                cached.append(one := await launch(http, repo))
                session = floor.configuration(one.project)
                await stop(one)
                floors.append(await floor.measure(session))
                await asyncio.sleep(SETTLE_S)
                say(f"round {number + 1}: cached {one.seconds:.2f} s, floor {floors[-1]:.2f} s")
    finally:
        daemon.terminate()
        daemon.wait()
    result |= {
        "cold_s": round(statistics.median(one.seconds for one in cold), 3),
        "cached_s": round(statistics.median(one.seconds for one in cached), 3),
        "floor_s": round(statistics.median(floors), 3),
        "rounds": rounds,
        "busy_rss_mib": round(launcher.memory_info().rss / 2**20, 1),
    }
    result["cached_over_floor"] = round(result["cached_s"] / result["floor_s"], 3)
    return result


def imported(service: Service, launcher: psutil.Process) -> list[str]:
    """What the idle launcher has imported, by its own word (SIGUSR1 makes it write a note)."""
    note = service.data / "launcher" / "imported.json"
    launcher.send_signal(signal.SIGUSR1)
    for _ in range(50):
        if note.exists():
            names: list[str] = json.loads(note.read_text())
            return [name for name in names if name not in sys.stdlib_module_names]
        time.sleep(0.1)
    return ["(no note was written)"]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    parser.add_argument("--rounds", type=int, default=12, help="launches and floors (default 12)")
    parser.add_argument("--colds", type=int, default=3, help="cold launches (default 3)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="repolaunch-bench-") as folder:
        Path(folder).chmod(0o755)
        service = Service(Path(folder) / "data", free_port(), {"REPOLAUNCH_BUILD_ENGINE": build_engine.OWN})
        try:
            service.start()
            # As a service that has been up for a while: its build engine has the base image.
            asyncio.run(build_engine.fill(build_engine.Place(service.data / "run" / "builds"), say))
            result = asyncio.run(measure(service, Path(folder), asked.rounds, asked.colds))
        finally:
            service.remove()
    tell(result, only_json=asked.json)


if __name__ == "__main__":
    main()
