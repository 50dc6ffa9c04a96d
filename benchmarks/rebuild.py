"""What a changed notebook costs: ten commits that touch nothing else, for each builder.

`make bench-rebuild` prepares what this needs and runs it: some 80 launches with a session each, a quarter of an hour on two
cores that have nothing else to do. The last line is one JSON object:

| key | meaning |
|---|---|
| `builds` | images built for ten commits that touch only notebooks, by builder, where the declaration is pure: Nix, Guix, lock files |
| `builds_tree` | the same where the build sees the whole tree: `postBuild`, a Dockerfile |
| `ready_over_cached` | median time to `ready` of such a commit over that of launching a commit again, by builder; the two are taken in turns |
| `ready_s`, `cached_s` | the medians themselves |
| `prepared_s`, `cached_prepared_s` | of these, the seconds before the server is started: resolving, fetching, evaluating, building |
| `seconds` | of the whole run, set-up of the service included |

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

from benchmarks.telling import say, tell  # noqa: E402  # run as a script from anywhere
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
AGAIN = 2
"""Of so many commits one is launched a second time: between two that are new, so that both meet the same machine."""
SETTLE_S = 0.5
"""After a session's end, which was waited for: what the hub still does then."""
WHOLE_TREE = {"postBuild", "dockerfile"}
"""What the build sees all of, so that a notebook changes it."""
POST_BUILD = "#!/bin/sh\nls >listed\n"
DOCKERFILE = "FROM localhost/repolaunch/base:1\nCOPY . /srv/x/\n"
MANIFEST = '(specifications->manifest \'("hello" "stand-in-busybox"))\n'


@dataclass(frozen=True)
class Launched:
    """One launch."""

    seconds: float
    """To `ready`."""
    prepared: float
    """Of these, before the server was started."""
    built: bool


@dataclass
class Counted:
    """The launches of one builder."""

    ready: list[Launched] = field(default_factory=list)
    """Of a commit that nobody has launched."""
    cached: list[Launched] = field(default_factory=list)

    @property
    def builds(self) -> int:
        """How many of these commits something was built for."""
        return sum(one.built for one in self.ready)


async def launched(http: aiohttp.ClientSession, service: Service, repo: Repo) -> Launched:
    """Launch and stop."""
    began = time.perf_counter()
    came: dict[str, float] = {}
    event: dict[str, str] = {}
    async with http.get(f"/build/git/{repo.spec}/main", headers={"Accept": "text/event-stream"}) as answer:
        async for event in read_events(answer):
            came.setdefault(event.get("phase", ""), time.perf_counter() - began)
            if event.get("phase") in {"ready", "failed"}:
                break
    if event.get("phase") != "ready":
        sys.exit(f"a launch failed: {event}")
    project = event["url"].split("/user/project-")[1].split("/")[0]
    await stop(http, service, project)
    return Launched(came["ready"], came["launching"], "building" in came)


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
        "postBuild": host.make_repo(files={"requirements.txt": REQUIREMENTS, "postBuild": POST_BUILD} | notebook),
        "dockerfile": host.make_repo(files={"Dockerfile": DOCKERFILE} | notebook),
    }


async def measure(service: Service, folder: Path, commits: int, channels: str) -> dict[str, object]:
    """All figures, in one run."""
    host, daemon = start_git_daemon(folder)
    counted: dict[str, Counted] = {}
    try:
        async with aiohttp.ClientSession(service.base_url, timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as http:
            for name, repo in authors(host, channels).items():
                first = await launched(http, service, repo)
                say(f"{name}: the first launch took {first.seconds:.1f} s")
                counted[name] = of = Counted()
                for number in range(commits):
                    if number % AGAIN == 0:
                        of.cached.append(cached := await launched(http, service, repo))
                        say(f"{name} {number}: again {_took(cached)}")
                    repo.add({"notebook.ipynb": json.dumps({"cells": [], "metadata": {"n": number}})})
                    of.ready.append(ready := await launched(http, service, repo))
                    what = "built" if ready.built else "nothing built"
                    say(f"{name} {number + 1}: {_took(ready)}, {what}")
    finally:
        daemon.terminate()
        daemon.wait()
    return {"commits": commits, **_told(counted)}


def _took(one: Launched) -> str:
    return f"{one.seconds:.2f} s, {one.prepared:.2f} of them before the server"


def _told(counted: dict[str, Counted]) -> dict[str, object]:
    readies, again = _medians(counted, "ready", "seconds"), _medians(counted, "cached", "seconds")
    return {
        "builds": {name: of.builds for name, of in counted.items() if name not in WHOLE_TREE},
        "builds_tree": {name: of.builds for name, of in counted.items() if name in WHOLE_TREE},
        "ready_s": readies,
        "cached_s": again,
        "prepared_s": _medians(counted, "ready", "prepared"),
        "cached_prepared_s": _medians(counted, "cached", "prepared"),
        "ready_over_cached": {name: round(readies[name] / again[name], 3) for name in counted},
    }


def _medians(counted: dict[str, Counted], which: str, what: str) -> dict[str, float]:
    return {
        name: round(statistics.median(getattr(one, what) for one in getattr(of, which)), 2)
        for name, of in counted.items()
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    parser.add_argument("--commits", type=int, default=10, help="commits that touch only a notebook (default 10)")
    asked = parser.parse_args()
    began = time.perf_counter()
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
    result["seconds"] = round(time.perf_counter() - began)
    tell(result, only_json=asked.json)


if __name__ == "__main__":
    os.umask(0o022)
    main()
