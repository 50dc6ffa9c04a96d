"""What must be true after every kill, and what in the end."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import psutil

from launcher.operate.noted import PART, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fixtures.service import Service

CHECKOUTS = 8
"""Kept for the next launch (`launcher/repos/checkouts.py`)."""


def ports(service: Service) -> dict[str, int]:
    """The ports of the inner parts."""
    found: dict[str, int] = json.loads((service.data / "ports.json").read_text())
    return found


def builds_apart(service: Service) -> bool:
    """Whether builds have an engine of their own here."""
    return (service.data / "run" / "builds" / "walls.nft").exists()


def names(service: Service) -> list[str]:
    """What `up` keeps running."""
    return sorted({one.name for one in read(service.data / "run" / "children.json")})


def parts(service: Service, wanted_names: Sequence[str]) -> list[str]:
    """One process each, listening once; nothing of an earlier one."""
    note = service.data / "run" / "children.json"
    noted = read(note)
    wrong = [f"{name} is noted {n} times" for name, n in Counter(one.name for one in noted).items() if n > 1]
    running = Counter(name for name, _ in marked(note))
    wrong += [f"{name} runs {running[name]} times" for name in {*wanted_names, *running} if running[name] != 1]
    numbers = ports(service)
    wanted = {numbers[name] for name in ("proxy_api", "hub", "launcher", "registry")} | {service.port}
    listening = Counter(
        one.laddr.port
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port in wanted
    )
    return wrong + [f"port {port} listens {listening[port]} times" for port in wanted if listening[port] != 1]


def marked(note: Path) -> list[tuple[str, int]]:
    """Name and process id of everything that an `up` with this note started itself."""
    found = []
    for process in psutil.process_iter():
        try:
            name, _, where = process.environ().get(PART, "").partition("@")
            if where == str(note) and os.getsid(process.pid) == process.pid:
                found.append((name, process.pid))
        except (psutil.Error, OSError):
            continue
    return found


def strays(service: Service) -> list[str]:
    """Processes that work below the data folder and descend from no part of the service."""
    ours = {pid for _, pid in marked(service.data / "run" / "children.json")}
    wrong = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            if not any(str(service.data) in word for word in process.info["cmdline"] or ()):
                continue
            line = {process.pid, *(one.pid for one in process.parents())}
            if not line & (ours | {os.getpid()}):
                wrong.append(f"a stray process: {' '.join(process.info['cmdline'])[:120]}")
        except psutil.Error:
            continue
    return wrong


class Engine:
    """What the engine has of one installation."""

    def __init__(self, service: Service) -> None:
        self._service, self._client = service, docker.from_env()
        self._label = f"repolaunch.installation={service.id}"

    def containers(self, kind: str, *statuses: str) -> list[dict[str, Any]]:
        filters: dict[str, Any] = (
            {"label": [self._label], "status": list(statuses)} if statuses else {"label": self._label}
        )
        found: list[dict[str, Any]] = self._client.api.containers(all=True, filters=filters)
        return [one for one in found if one["Labels"].get("repolaunch.kind", "") == kind]

    def running(self) -> dict[str, str]:
        """Running sessions: container → project."""
        found = self.containers("session", "running", "paused")
        return {one["Id"]: one["Labels"]["repolaunch.project"] for one in found}

    def pid(self, container: str) -> int:
        pid: int = self._client.api.inspect_container(container)["State"]["Pid"]
        return pid

    def log(self, project: str) -> str:
        """The last that a session's server wrote."""
        for container, known in self.running().items():
            if known == project:
                text: bytes = self._client.api.logs(container, tail=40)
                return text.decode(errors="replace")
        return "(it does not run)"

    def two_on_one(self) -> list[str]:
        """Workspaces that two running containers have mounted: never, not for a moment."""
        uses = Counter(
            mount["Name"]
            for one in self.containers("session", "running")
            for mount in one["Mounts"]
            if mount.get("Name")
        )
        return [f"{n} containers use {name}" for name, n in uses.items() if n > 1]

    def left(self) -> list[str]:
        """In the end, with no session and no launch: what is there that should not be."""
        mine = {"label": self._label}
        wrong = [f"a builder's container {one['Id'][:12]}" for kind in ("", "look") for one in self.containers(kind)]
        wrong += [
            f"a session's container was never started: {one['Id'][:12]}"
            for one in self.containers("session", "created")
        ]
        kept = Counter(one["Labels"]["repolaunch.project"] for one in self.containers("session"))
        wrong += [f"{n} containers of {project}" for project, n in kept.items() if n > 1]
        networks = [one.name for one in self._client.networks.list(filters=mine)]
        builds = {"builds"} if builds_apart(self._service) else set()
        wrong += [f"networks: {networks}"] if len(networks) != 1 + len(builds) else []
        folders = {path.name for path in (self._service.data / "workspaces").iterdir()} | builds
        volumes = {str(one.name).rpartition("-")[2] for one in self._client.volumes.list(filters=mine)}
        wrong += [f"volumes without workspace: {volumes - folders}"] if volumes - folders else []
        wrong += [f"running: {self.running()}"] if self.running() else []
        return wrong


def database(service: Service) -> list[str]:
    """In the end: what is under way in the database although nothing is."""
    wrong = []
    with closing(sqlite3.connect(f"file:{service.data}/launcher/repolaunch.sqlite?mode=ro", uri=True)) as rows:
        for table in ("launches", "builds"):
            left = rows.execute(f"SELECT id FROM {table} WHERE state = 'running'").fetchall()  # noqa: S608  # two names
            wrong += [f"{table} still under way: {left}"] if left else []
        gaps = "SELECT stream FROM events GROUP BY stream HAVING count(*) <> max(n) - min(n) + 1"
        spliced = {one for (one,) in rows.execute("SELECT DISTINCT stream FROM splices")}
        wrong += [f"the log of {one[0]} has a gap" for one in rows.execute(gaps) if one[0] not in spliced]
    return wrong


def folders(service: Service) -> list[str]:
    """In the end: temporary folders, half-made workspaces, more checkouts than are kept, half-written files."""
    data = service.data
    wrong = [f"temporary: {path.name}" for path in (*(data / "tmp").iterdir(), *(data / "contents").glob(".*.new"))]
    projects = {one for (one,) in _projects(data)}
    wrong += [f"half-made: {path.name}" for path in (data / "workspaces").iterdir() if path.name not in projects]
    checkouts = list((data / "checkouts").iterdir())
    wrong += [f"{len(checkouts)} checkouts"] if len(checkouts) > CHECKOUTS else []
    wrong += [f"half-written: {path.name}" for path in (data / "run").rglob("*.new")]
    return wrong


def _projects(data: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(f"file:{data}/launcher/repolaunch.sqlite?mode=ro", uri=True)) as rows:
        return rows.execute("SELECT id FROM projects").fetchall()


def mounts(service: Service) -> list[str]:
    """What is mounted for this installation."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if service.id in line or str(service.data) in line]


def packet_filter(service: Service) -> list[str]:
    """The tables of this installation."""
    if shutil.which("nft") is None:
        return []
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if service.id in line]
