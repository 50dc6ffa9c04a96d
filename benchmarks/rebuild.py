"""What a changed notebook costs: ten commits that touch nothing else, for each builder.

`make bench-rebuild` prepares what this needs and runs it. The last line is one JSON object:

| key | meaning |
|---|---|
| `builds` | images built for ten commits that touch only notebooks, by builder, where the declaration is pure: Nix, Guix, lock files |
| `builds_tree` | the same where the build sees the whole tree: a Dockerfile |
| `ready_over_cached` | median time to `ready` of such a commit over that of launching one commit again, by builder |
| `ready_s`, `cached_s` | the medians themselves |

Guix builds for a stand-in channel (tests/fixtures/guix.py), whose packages are shell scripts: what is measured, evaluating
again and launching, is Guix's own.
What repo2docker's conda packs build has no row: a closed network does not reach their servers. That a notebook changes
neither their key nor what their build is given is shown by `tests/unit/test_r2d_purity.py`.
"""  # noqa: E501  # a table

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path = [one for one in sys.path if not one.endswith("/benchmarks")]  # http.py is there, which is not Python's own

from http import HTTPStatus  # noqa: E402  # after that

import aiohttp  # noqa: E402  # after that

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.launch import SETTLE_S  # noqa: E402  # run as a script from anywhere
from benchmarks.telling import say, tell  # noqa: E402  # the same
from builders.interface import Workshop  # noqa: E402  # the same
from launcher.operate import build_engine  # noqa: E402  # the same
from launcher.operate.installation import free_port  # noqa: E402  # the same
from tests.fixtures.authors import ANALYSIS, fill_all, layouts, publish  # noqa: E402  # the same
from tests.fixtures.guix import make_channel, make_stand_in, means_of, of_a_service  # noqa: E402  # the same
from tests.fixtures.locks import REQUIREMENTS  # noqa: E402  # the same
from tests.fixtures.repos import start_git_daemon  # noqa: E402  # the same
from tests.fixtures.service import Service, read_events  # noqa: E402  # the same

if TYPE_CHECKING:
    from tests.fixtures.repos import Files, GitHost, Repo

LIMIT_S = 1800
DOCKERFILE = "FROM localhost/repolaunch/base:1\nCOPY . /srv/x/\n"
MANIFEST = '(specifications->manifest \'("hello" "stand-in-busybox"))\n'


@dataclass
class Counted:
    """What the launches of one builder came to."""

    builds: int = 0
    ready: list[float] = field(default_factory=list)
    cached: list[float] = field(default_factory=list)


async def launched(http: aiohttp.ClientSession, service: Service, repo: Repo) -> tuple[float, bool]:
    """Launch and stop: the seconds to `ready`, and whether something was built."""
    began, built = time.perf_counter(), False
    event: dict[str, str] = {}
    async with http.get(f"/build/git/{repo.spec}/main", headers={"Accept": "text/event-stream"}) as answer:
        async for event in read_events(answer):
            built = built or event.get("phase") == "building"
            if event.get("phase") in {"ready", "failed"}:
                break
    seconds = time.perf_counter() - began
    if event.get("phase") != "ready":
        sys.exit(f"a launch failed: {event}")
    project = event["url"].split("/user/project-")[1].split("/")[0]
    await stop(http, service, project)
    return seconds, built


async def stop(http: aiohttp.ClientSession, service: Service, project: str) -> None:
    """Asked for again where a busy machine takes too long."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            async with http.delete(f"/api/v1/sessions/{project}", headers=service.operator) as stopped:
                if stopped.status != HTTPStatus.SERVICE_UNAVAILABLE:
                    stopped.raise_for_status()
                    break
            await asyncio.sleep(SETTLE_S)
    await asyncio.sleep(SETTLE_S)


def authors(host: GitHost, channels: str) -> dict[str, Repo]:
    """A repository for each way to build."""
    notebook: Files = {"notebook.ipynb": "{}"}
    return {
        "nix": publish(host, layouts(ANALYSIS)["flake binder"] | notebook),
        "guix": host.make_repo(files={"channels.scm": channels, "manifest.scm": MANIFEST} | notebook),
        "locked": host.make_repo(files={"requirements.txt": REQUIREMENTS} | notebook),
        "dockerfile": host.make_repo(files={"Dockerfile": DOCKERFILE} | notebook),
    }


async def measure(service: Service, folder: Path, commits: int, channels: str) -> dict[str, object]:
    """All figures, in one run."""
    host, daemon = start_git_daemon(folder)
    counted: dict[str, Counted] = {}
    try:
        async with aiohttp.ClientSession(service.base_url, timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as http:
            for name, repo in authors(host, channels).items():
                seconds, _ = await launched(http, service, repo)
                say(f"{name}: the first launch took {seconds:.1f} s")
                counted[name] = of = Counted()
                for number in range(commits):
                    cached, _ = await launched(http, service, repo)
                    repo.add({"notebook.ipynb": json.dumps({"cells": [], "metadata": {"n": number}})})
                    ready, built = await launched(http, service, repo)
                    of.cached.append(cached)
                    of.ready.append(ready)
                    of.builds += built
                    what = "built" if built else "nothing built"
                    say(f"{name} {number + 1}: {ready:.2f} s, {what}; again {cached:.2f} s")
    finally:
        daemon.terminate()
        daemon.wait()
    readies = {name: statistics.median(of.ready) for name, of in counted.items()}
    again = {name: statistics.median(of.cached) for name, of in counted.items()}
    return {
        "commits": commits,
        "builds": {name: of.builds for name, of in counted.items() if name != "dockerfile"},
        "builds_tree": {name: of.builds for name, of in counted.items() if name == "dockerfile"},
        "ready_s": {name: round(value, 2) for name, value in readies.items()},
        "cached_s": {name: round(value, 2) for name, value in again.items()},
        "ready_over_cached": {name: round(readies[name] / again[name], 3) for name in counted},
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    parser.add_argument("--commits", type=int, default=10, help="commits that touch only a notebook (default 10)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="repolaunch-bench-") as folder:
        Path(folder).chmod(0o755)
        channel = make_channel(Path(folder) / "channel")
        stand_in = make_stand_in(Path(tempfile.mkdtemp(dir=folder)))
        service = Service(Path(folder) / "data", free_port(), {"REPOLAUNCH_BUILD_ENGINE": build_engine.OWN})
        try:
            service.env["REPOLAUNCH_GUIX"] = of_a_service(means_of(stand_in, channel), service.data / "stores")
            service.start()
            asyncio.run(build_engine.fill(build_engine.Place(service.data / "run" / "builds"), say))
            asyncio.run(fill_all(Workshop(service.data / "stores", {"repolaunch.installation": service.id})))
            result = asyncio.run(measure(service, Path(folder), asked.commits, channel.scheme(channel.commits[0])))
        finally:
            service.remove()
    tell(result, only_json=asked.json)


if __name__ == "__main__":
    os.umask(0o022)
    main()
