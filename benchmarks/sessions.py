"""How long it takes from a built environment to a session in it: by an image in the engine, and by a view of the stores.

`make bench-sessions` prepares what this needs and runs it. The closure is that of `benchmarks/images.py`, with a shell.
Built means: in the store. Ready means: a container with the walls and limits of a session has run a program that read a
file of every store path. The two ways are taken in turns, and nothing is left of one round for the next. The last line is
one JSON object:

| key | meaning |
|---|---|
| `bytes`, `entries`, `paths` | of the closure |
| `image_s` | median seconds from built to ready where the engine is given the whole image |
| `view_s` | where it is given a view |
| `image_over_view` | their ratio |
| `image_again_s`, `view_again_s`, `again_view_over_image` | the same of the second session, and their ratio |
| `start_1_s`, `start_300_s`, `start_1000_s` | median seconds of a container's start with one mount, and with 300 and 1000 as one for each store path would need |
| `each_over_one_300`, `each_over_one_1000` | ratios of these |
"""  # noqa: E501  # a table

from __future__ import annotations

import argparse
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path = [one for one in sys.path if not one.endswith("/benchmarks")]  # http.py is there, which is not Python's own

import docker  # noqa: E402  # after that
from docker.types import Mount  # noqa: E402  # after that

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.images import environments  # noqa: E402  # run as a script from anywhere
from benchmarks.telling import say, tell  # noqa: E402  # the same
from builders.oci import view  # noqa: E402  # the same
from builders.oci.load import load  # noqa: E402  # the same
from builders.oci.table import Table  # noqa: E402  # the same
from builders.sandbox_files import remove  # noqa: E402  # the same
from deploy.hub.seccomp import profile  # noqa: E402  # the same
from tests.fixtures.closures import Shelf, settle  # noqa: E402  # the same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builders.lines import Line
    from builders.oci.image import Recipe

LABEL = "repolaunch.installation"
READ = 'for path in /nix/store/*; do find "$path" -type f | head -n 1 | xargs -r cat; done >/dev/null; echo ready'
PROGRAMS = ("sh", "env", "cat", "find", "head", "xargs", "sleep")


@dataclass(frozen=True)
class Way:
    """Seconds from built to ready, and of another session after that."""

    first: float
    again: float


class Bench:
    """The containers and images of one run."""

    def __init__(self, folder: Path) -> None:
        """Work below `folder`."""
        self.folder = folder
        self.client = docker.APIClient(timeout=900)
        self.label = {LABEL: secrets.token_hex(4)}

    def session(self, image: str, mounts: Mapping[str, str]) -> None:
        """Start a container as sessions are, and wait until its program has said that it is ready."""
        files = [Mount(target, source, type="bind", read_only=True) for target, source in mounts.items()]
        host = self.client.create_host_config(
            mounts=files,
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true", f"seccomp={profile()}"],
            init=True,
            mem_limit=2**30,
            pids_limit=256,
        )
        made = self.client.create_container(image, ["sh", "-c", READ], host_config=host, user="1000", labels=self.label)
        try:
            self.client.start(made["Id"])
            self.client.wait(made["Id"])
            said = self.client.logs(made["Id"])
            if said != b"ready\n":
                raise SystemExit(f"a session did not become ready: {said!r}")
        finally:
            self.client.remove_container(made["Id"], force=True)

    def by_image(self, recipe: Recipe) -> Way:
        """The engine is given all of it."""
        name = f"repolaunch-bench:{secrets.token_hex(8)}"
        with closing(Table(self.folder / f"{secrets.token_hex(4)}.sqlite")) as table:
            began = time.perf_counter()
            image = load(recipe, name, table, _silent).engine_id
            return self._way(image, name, {}, began)

    def by_view(self, recipe: Recipe) -> Way:
        """The engine is given what is not in the store."""
        name = f"repolaunch-bench:{secrets.token_hex(8)}"
        with closing(Table(self.folder / f"{secrets.token_hex(4)}.sqlite")) as table:
            began = time.perf_counter()
            image = load(view.without_closure(recipe), name, table, _silent).engine_id
            view.make(recipe, image)
            found = view.find(recipe.stores, image)
            if found is None:
                raise SystemExit("this disk has no views")
            way = self._way(image, name, found.mounts, began)
        remove(found.folder)
        return way

    def _way(self, image: str, name: str, mounts: Mapping[str, str], began: float) -> Way:
        try:
            self.session(image, mounts)
            ready = time.perf_counter()
            self.session(image, mounts)
            return Way(ready - began, time.perf_counter() - ready)
        finally:
            self.client.remove_image(name, force=True)

    def start(self, count: int) -> float:
        """Seconds of a container's start with so many mounts."""
        store = self.folder / "mounts"
        for number in range(count):
            (store / str(number)).mkdir(parents=True, exist_ok=True)
        mounts = [
            Mount(f"/nix/store/{one}", str(store / str(one)), type="bind", read_only=True) for one in range(count)
        ]
        host = self.client.create_host_config(mounts=mounts, network_mode="none", read_only=True, init=True)
        began = time.perf_counter()
        image = "localhost/repolaunch/base:1"
        made = self.client.create_container(image, ["sleep", "60"], entrypoint=[], host_config=host, labels=self.label)
        try:
            self.client.start(made["Id"])
            return time.perf_counter() - began
        finally:
            self.client.remove_container(made["Id"], force=True)


def with_shell(recipe: Recipe, folder: Path) -> Recipe:
    """The same environment with a shell, a static one."""
    folder.mkdir()
    for argv in (["apt-get", "download", "busybox-static"], ["sh", "-c", "dpkg-deb -x busybox-static*.deb ."]):
        subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    shelf = Shelf(recipe.stores)
    files: dict[str | bytes, bytes | str] = {f"bin/{name}": "busybox" for name in PROGRAMS}
    shell = shelf.add("busybox", {"bin/busybox": (folder / "bin" / "busybox").read_bytes(), **files})
    closure = recipe.closure.union(shelf.closure())
    env = {"PATH": f"{shell}/bin"}
    return replace(recipe, closure=closure, shell=f"{shell}/bin/sh", env=env)  # noqa: S604  # a field: nothing is run


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """All figures, in one run."""
    recipe = with_shell(environments(folder / "stores").first, folder / "shell")
    settle(recipe.stores / "nix" / "store")
    bench = Bench(folder)
    images, views = list[Way](), list[Way]()
    starts: dict[int, list[float]] = {1: [], 300: [], 1000: []}
    for number in range(rounds):
        images.append(bench.by_image(recipe))
        views.append(bench.by_view(recipe))
        for count, took in starts.items():
            took += [bench.start(count) for _ in range(3)]
        say(f"round {number + 1}: image {images[-1].first:.2f} s, view {views[-1].first:.2f} s")
    image_s, view_s = (statistics.median(way.first for way in ways) for ways in (images, views))
    image_again, view_again = (statistics.median(way.again for way in ways) for ways in (images, views))
    one, some, many = (statistics.median(took) for took in starts.values())
    files = [path for path in (recipe.stores / "nix" / "store").rglob("*") if str(path) not in recipe.closure.paths]
    return {
        "bytes": sum(path.lstat().st_size for path in files if path.is_file()),
        "entries": len(files),
        "paths": len(recipe.closure.paths),
        "rounds": rounds,
        "image_s": round(image_s, 3),
        "view_s": round(view_s, 3),
        "image_over_view": round(image_s / view_s, 3),
        "image_again_s": round(image_again, 3),
        "view_again_s": round(view_again, 3),
        "again_view_over_image": round(view_again / image_again, 3),
        "start_1_s": round(one, 3),
        "start_300_s": round(some, 3),
        "start_1000_s": round(many, 3),
        "each_over_one_300": round(some / one, 3),
        "each_over_one_1000": round(many / one, 3),
    }


def _silent(_: Line) -> None:
    pass


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    parser.add_argument("--rounds", type=int, default=3, help="of both ways (default 3)")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="repolaunch-bench-"))
    try:
        result = measure(folder, asked.rounds)
    finally:
        remove(folder)
        shutil.rmtree(folder, ignore_errors=True)
    tell(result, only_json=asked.json)


if __name__ == "__main__":
    main()
