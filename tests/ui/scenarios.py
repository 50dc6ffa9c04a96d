"""Launches by script: what the pages are shown, without a launcher behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

FINAL = ("ready", "failed", "cancelled")
COMMIT = "9f2c1e7ab04d4c55a3b0f6d7e8c9a1b2c3d4e5f6"
Event = dict[str, Any]


@dataclass
class PlayedLaunch:
    """One launch: a numbered log that a test (or a scenario) writes and any number of pages follow."""

    id: str
    spec: str
    log: list[Event] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ago: float = 0
    """How many seconds before now an event is told to have happened."""
    afresh: bool = False

    def tell(self, kind: str, **fields: Any) -> None:
        """Append an event and wake every follower."""
        at = (datetime.now(UTC) - timedelta(seconds=self.ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.log.append({"n": len(self.log) + 1, "at": at, "type": kind, **fields})
        self.news.set()
        self.news = asyncio.Event()

    @property
    def state(self) -> str:
        last = self.log[-1]["type"] if self.log else ""
        return str(last) if last in FINAL else "running"

    @property
    def body(self) -> dict[str, Any]:
        """The launch as the API shows it."""
        owner, name, ref = (*self.spec.split("/"), "", "")[:3]
        return {
            "id": self.id,
            "state": self.state,
            "provider": "gh",
            "spec": self.spec,
            "url": f"https://github.com/{owner}/{name}",
            "ref": ref,
            "commit": COMMIT,
            "project": None,
            "created": "2026-03-01T12:00:00Z",
            "ended": None,
            "events": f"/api/v1/launches/{self.id}/events",
            "link": f"/v2/gh/{self.spec}",
            "page": f"/launches/{self.id}",
            "usual": {"resolve": 0.6, "build": 214.0, "session": 2.2},
        }


NEARLY_FULL = {
    "code": "workspace-nearly-full",
    "title": "The workspace is nearly full",
    "seen": "It holds 18.4 GiB and may hold 20.0 GiB.",
    "todo": "Delete what you no longer need: beyond 20.0 GiB its session is stopped.",
}


def project(name: str, title: str, state: str, days_ago: float = 0.0) -> Event:
    """A project as the API shows it; a running one's workspace is nearly full."""
    used = datetime.now(UTC) - timedelta(days=days_ago)
    return {
        "id": name,
        "title": title,
        "url": f"https://github.com/example/{title}.git",
        "ref": "main",
        "commit": COMMIT,
        "image": "",
        "state": state,
        "created": "2026-03-01T12:00:00.000Z",
        "used": used.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "temporary": False,
        "link": f"/v2/gh/example/{title}/main",
        "archived": None,
        "session": None if state == "stopped" else f"/user/project-{name}/",
        "workspace_bytes": None,
        "notice": NEARLY_FULL if state == "running" else None,
    }


Scenario = Callable[[PlayedLaunch], None]


def waiting(launch: PlayedLaunch) -> None:
    """The first stage has begun."""
    launch.tell("started", stage="resolve", message="Asking github.com for main")


def until_build(launch: PlayedLaunch) -> None:
    """Everything before the build, which began a while ago."""
    launch.ago = 96
    waiting(launch)
    launch.ago = 94
    launch.tell("ended", stage="resolve", message="main is commit 9f2c1e7ab0", seconds=0.42)
    launch.tell("started", stage="checkout", message="")
    launch.tell("ended", stage="checkout", message="148 files, 3.1 MB", seconds=1.31)
    launch.tell("started", stage="detect", message="")
    launch.tell(
        "declared",
        stage="detect",
        message="The environment is not pinned: it may be another one tomorrow",
        builder="repo2docker",
        evidence=["binder/Dockerfile"],
        pinning="not-pinned",
        loose=[
            "binder/Dockerfile:1: FROM debian:trixie names an image by a tag, which can move",
            "binder/Dockerfile:7: RUN may download what is another thing tomorrow",
        ],
        advice=["FROM name@sha256:… instead of FROM name:tag"],
        tree=["binder/Dockerfile: its commands may read any file"],
    )
    launch.tell("ended", stage="detect", message="repo2docker, from binder/Dockerfile", seconds=0.2)
    launch.tell("started", stage="image", message="")
    launch.tell("ended", stage="image", message="No image of this environment yet", seconds=0.05)
    launch.tell("started", stage="build", message="repo2docker builds the image")


def build_lines(count: int) -> Iterator[str]:
    """What a build looks like; every line carries its number."""
    packages = ("numpy-2.3.1", "pandas-3.0.0", "matplotlib-3.11.0", "scipy-1.18.2", "jupyterlab-4.6.1")
    for n in range(1, count + 1):
        package = packages[n % len(packages)]
        size = (n * 37) % 190 / 10 + 0.3
        yield f"#{n:04d} Downloading {package}-cp313-cp313-manylinux_2_28_x86_64.whl ({size:.1f} MB)"


def building(launch: PlayedLaunch) -> None:
    """In mid-build, with 2,000 lines."""
    until_build(launch)
    launch.ago = 0
    for line in build_lines(2000):
        launch.tell("log", stage="build", message=line + "\n")
    launch.tell("progress", stage="build", message="Step 7 of 12: RUN pip install -r requirements.txt", percent=58)


def failed(launch: PlayedLaunch) -> None:
    """The build ends with an error that holds what a hostile repository could have put there."""
    until_build(launch)
    for line in build_lines(40):
        launch.tell("log", stage="build", message=line + "\n")
    launch.ago = 0
    launch.tell("log", stage="build", message="ERROR: No matching distribution found for nunpy==2.3\n")
    launch.tell("log", stage="build", message="<img src=x onerror=alert(1)><script>alert(2)</script>\n")
    launch.tell(
        "failed",
        stage="build",
        code="build-failed",
        status=422,
        title="The environment could not be built",
        seen="The step “RUN pip install -r requirements.txt” of binder/Dockerfile ended with status 1: "
        "No matching distribution found for nunpy==2.3 <b>bold</b>",
        todo="Correct the line in requirements.txt, commit, and launch again. The log shows what the step wrote.",
        link="/docs/reference/errors#build-failed",
    )


def ready(launch: PlayedLaunch) -> None:
    """A launch that found everything ready."""
    launch.ago = 2.5
    waiting(launch)
    launch.tell("ended", stage="resolve", message="main is commit 9f2c1e7ab0", seconds=0.42)
    launch.ago = 0
    launch.tell(
        "declared",
        stage="detect",
        message="",
        builder="nix",
        evidence=["flake.lock", "flake.nix"],
        pinning="reproducible",
        loose=[],
        advice=[],
        tree=[],
    )
    launch.tell("started", stage="session", message="")
    launch.tell("ended", stage="session", message="The server answers", seconds=1.6)
    launch.tell("ready", url="/user/project-abc/lab", project="abc", image="sha256:1", message="Ready")


def loose(launch: PlayedLaunch) -> None:
    """What is not pinned found its image ready; asked for afresh, it is built."""
    until_build(launch)
    if not launch.afresh:
        launch.ago = 0
        about = {"built": "2026-03-01T12:00:00.000Z", "pinning": "not-pinned"}
        launch.tell("ready", url="/user/project-abc/lab", project="abc", image="sha256:1", message="Ready", **about)


def cancelled(launch: PlayedLaunch) -> None:
    """Somebody stopped it."""
    until_build(launch)
    launch.ago = 0
    launch.tell("cancelled", message="Cancelled")


def queued(launch: PlayedLaunch) -> None:
    """Third in the queue for a session."""
    launch.ago = 40
    waiting(launch)
    launch.tell("ended", stage="resolve", message="main is commit 9f2c1e7ab0", seconds=0.42)
    launch.tell("started", stage="queue", message="")
    launch.ago = 0
    in_queue(launch, 3)


def in_queue(launch: PlayedLaunch, place: int) -> None:
    """It is told its place."""
    launch.tell("queued", stage="queue", message=f"Place {place}", place=place, ahead=place - 1, reason="sessions")


SCENARIOS: dict[str, Scenario] = {
    "queued": queued,
    "waiting": waiting,
    "building": building,
    "failed": failed,
    "ready": ready,
    "loose": loose,
    "cancelled": cancelled,
}
