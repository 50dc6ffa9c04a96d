"""What a run of the tests makes in the container engine: noted before it is made, looked for when the run ends.

Each fixture removes what it made; this finds what a fixture that broke has left. A run that was killed is tidied up by
the next one on this machine. Runs at the same time never touch what is another's: a note is its process's own, and what
is removed carries the label of an installation that is noted there.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import psutil
import requests.exceptions

from launcher.operate.installation import SERVICE
from launcher.operate.noted import Noted, find, signal_group

if TYPE_CHECKING:
    import pytest

NOTES = Path(tempfile.gettempdir()) / "repolaunch-test-runs"
AWAY = (docker.errors.DockerException, requests.exceptions.RequestException)


def note(made: str | Path) -> None:
    """An installation's id, or the data folder that will have one."""
    NOTES.mkdir(exist_ok=True)
    with _mine().open("a") as notes:
        notes.write(f"{made}\n")


def remove_installation(client: docker.DockerClient, installation: str) -> list[str]:
    """Remove all that carries the installation's label, by id. Returns what it was."""
    label: dict[str, Any] = {"label": f"repolaunch.installation={installation}"}
    removed = []
    for container in client.containers.list(all=True, filters=label, ignore_removed=True):
        with contextlib.suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)
        removed.append(f"container {container.name}")
    for network in client.networks.list(filters=label):
        network.remove()
        removed.append(f"network {network.name}")
    for volume in client.volumes.list(filters=label):
        volume.remove()
        removed.append(f"volume {volume.name}")
    # By id: one that another of the same name has replaced has no name any more.
    for image in {one["Id"]: one for one in client.api.images(filters=label)}.values():
        with contextlib.suppress(docker.errors.APIError):
            client.api.remove_image(image["Id"], force=True)
        removed.append(f"image {image['Id']}")
    # Images that carry nothing of an installation have its name: another one's may be the very same image.
    for image in client.api.images(filters={"reference": f"repolaunch-{installation}-env"}):
        for name in image.get("RepoTags") or ():
            if name.startswith(f"repolaunch-{installation}-env:"):
                with contextlib.suppress(docker.errors.APIError):
                    client.api.remove_image(name)
                removed.append(f"image {name}")
    return removed


def pytest_sessionstart() -> None:
    """Tidy up after runs that were killed."""
    for notes in NOTES.glob("*-*"):
        pid, _, began = notes.name.partition("-")
        if not Noted("a run", int(pid), float(began)).runs:
            _tidy(notes)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tidy up after this run, and say what its fixtures have left."""
    del session
    for one in _tidy(_mine()) if _mine().exists() else []:
        print(f"\ntests: left in the engine and removed now: {one}")


def _mine() -> Path:
    return NOTES / f"{os.getpid()}-{psutil.Process().create_time()}"


def _tidy(notes: Path) -> list[str]:
    removed = []
    try:
        lines = notes.read_text().splitlines()
    except FileNotFoundError:
        return []  # another run, which began at the same moment, was faster
    try:
        with contextlib.closing(docker.from_env()) as client:
            for line in dict.fromkeys(lines):
                removed += remove_installation(client, ended(Path(line)) if "/" in line else line)
    except AWAY as error:
        return [*removed, f"the engine does not answer: {error}"]
    notes.unlink(missing_ok=True)
    return removed


def ended(data: Path) -> str:
    """The id of the installation in this folder, of which nothing runs any more."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        said = json.loads((data / "run" / SERVICE).read_text())
        up = Noted("up", int(said["pid"]), float(said["began"]))
        if up.runs:
            os.kill(up.pid, signal.SIGKILL)
    for left in find(data / "run" / "children.json"):
        signal_group(left.noted.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        return (data / "secrets" / "installation").read_text().strip()
    return "none"
