"""How long it takes to assemble and push an image, against `tar | sha256sum` and against Docker, of the same files.

`make bench-images` prepares what this needs and runs it. The closure is made for the run: store paths with invented, seeded
contents, in numbers and sizes as those of a real environment with its server. Every registry is a fresh one; floor, hash
and push are taken in turns. The last line is one JSON object:

| key | meaning |
|---|---|
| `bytes`, `entries`, `paths`, `layers` | of the closure, as tar has it, and of the image |
| `floor_s` | median seconds of `tar` into `sha256sum` |
| `hash_s` | of the assembler, which finds out what every layer is, knowing nothing |
| `push_s` | of a push from the store to an empty registry, by an assembler that knows nothing |
| `docker_s` | of `docker build` of the same files and `docker push` of the image to an empty registry, once |
| `hash_over_floor`, `push_over_floor`, `docker_over_push` | ratios of these |
| `second_s` | of the push of a second environment that shares 95 % of the bytes: one package and what refers to it differ |
| `second_upload_over_new` | bytes that this push uploaded, over those of the store paths that the first environment lacks |
| `scattered_upload_over_new` | the same where as many bytes differ, of packages that have nothing to do with one another: the worst that the plan of layers does |
"""  # noqa: E501  # a table

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path = [one for one in sys.path if not one.endswith("/benchmarks")]  # http.py is there, which is not Python's own
sys.path.insert(0, str(ROOT))

from benchmarks.telling import say, tell  # noqa: E402  # run as a script from anywhere
from builders.oci.access import Access  # noqa: E402  # the same
from builders.oci.closure import Closure, StorePath  # noqa: E402  # the same
from builders.oci.image import Recipe, assemble  # noqa: E402  # the same
from builders.oci.push import Tally, push  # noqa: E402  # the same
from builders.oci.registry import Repository  # noqa: E402  # the same
from builders.oci.table import Table  # noqa: E402  # the same
from tests.fixtures.closures import store_path  # noqa: E402  # the same
from tests.fixtures.registry import running_registry  # noqa: E402  # the same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from builders.lines import Line

Made = tuple[str, StorePath]
SEED = 4
PATHS, ENTRIES, BYTES = 240, 27_000, 370 * 2**20
SHARED, SERVER = 0.95, 0.25
"""Of the bytes; and of the paths, those that are the server's."""
_POOL, _PIECE, _TEXT = 16 * 2**20, 2**14, 0.87


# --------------------------------------------------------------------------- the files
class Maker:
    """Makes store paths: many small files, few large ones; gzip halves them, as slowly as real ones."""

    def __init__(self, stores: Path, seed: int) -> None:
        """Below `stores`; the same files for the same seed."""
        self.stores = stores
        self._dice = dice = random.Random(seed)  # noqa: S311  # repeatable, not secret
        words = [dice.randbytes(6).hex()[: dice.randrange(2, 12)].encode() for _ in range(8000)]
        often = [1 / (rank + 1) for rank in range(len(words))]
        self._text = b" ".join(dice.choices(words, often, k=_POOL // 6))
        self._noise = dice.randbytes(_POOL)

    def path(self, name: str, files: int, size: int, references: Iterable[str] = (), seed: str = "") -> Made:
        """A store path of `files` files, `size` bytes in all."""
        path = store_path(name, seed)
        digest = hashlib.sha256(path.encode())
        shares = [self._dice.lognormvariate(0, 1.6) for _ in range(files)]
        folder = self.stores / path[1:]
        for number, share in enumerate(shares):
            if number % 12 == 0:
                folder = self.stores / path[1:] / "lib" / f"python3.13/site-packages/{name}/part{number // 12:03}"
                folder.mkdir(parents=True)
            data = self._data(round(size * share / sum(shares)))
            (folder / f"module_{number:05}.py").write_bytes(data)
            digest.update(data)
        nar_hash = f"sha256-{base64.b64encode(digest.digest()).decode()}"
        return path, StorePath(tuple(sorted(references)), size, nar_hash)

    def _data(self, size: int) -> bytes:
        parts = []
        while size > 0:
            pool = self._text if self._dice.random() < _TEXT else self._noise
            start = self._dice.randrange(len(pool) - _PIECE)
            parts.append(pool[start : start + min(size, _PIECE)])
            size -= len(parts[-1])
        return b"".join(parts)


@dataclass(frozen=True)
class Environments:
    """The first one, and two that share 95 % of its bytes."""

    first: Recipe
    second: Recipe
    """One package and what refers to it are of other versions."""
    scattered: Recipe
    """As many bytes, of packages that have nothing to do with one another."""


def environments(stores: Path) -> Environments:
    """The same for every run."""
    maker = Maker(stores, SEED)
    dice = random.Random(SEED)  # noqa: S311  # repeatable, not secret
    # As in real closures: a few packages have most of the bytes.
    shares = sorted((dice.lognormvariate(0, 2) for _ in range(PATHS)), reverse=True)
    sizes = [max(2048, round(BYTES * share / sum(shares))) for share in shares]
    files = [max(1, round(ENTRIES * 0.9 * size**0.5 / sum(each**0.5 for each in sizes))) for size in sizes]
    paths = [maker.path(f"package-{number}", files[number], sizes[number]) for number in range(PATHS)]
    server = [path for path, _ in paths[2 :: round(1 / SERVER)]]
    mine = [number for number in range(PATHS) if paths[number][0] not in server]

    def environment(changed: Iterable[int], version: str) -> Recipe:
        about = dict(paths)
        for number in changed:
            del about[paths[number][0]]
            path, made = maker.path(f"package-{number}", files[number], sizes[number], seed=version)
            about[path] = made
        own, made = maker.path("environment", 40, 2**18, about, seed=version)
        env = {"PATH": f"{own}/bin"}
        closure = Closure({**about, own: made})
        return Recipe(stores, closure, frozenset(server), frozenset({own}), "/bin/sh", env, {}, "linux/amd64")

    return Environments(
        environment((), "1"),
        environment(_related(mine, sizes), "2"),
        environment(_scattered(mine, sizes, dice), "3"),
    )


def _related(mine: list[int], sizes: list[int]) -> list[int]:
    """The largest package that is less than 5 % of all bytes, and three of the small ones that would refer to it."""
    new = (1 - SHARED) * sum(sizes)
    return [next(number for number in mine if sizes[number] < new), *mine[-40::15]]


def _scattered(mine: list[int], sizes: list[int], dice: random.Random) -> list[int]:
    """Any packages, until they are 5 % of all bytes."""
    left = (1 - SHARED) * sum(sizes)
    chosen = []
    for number in dice.sample(mine, len(mine)):
        if sizes[number] <= left:
            chosen.append(number)
            left -= sizes[number]
    return chosen


# --------------------------------------------------------------------------- what is measured
def floor(recipe: Recipe) -> None:
    """`tar` into `sha256sum`."""
    names = "\0".join(path[1:] for path in sorted(recipe.closure.paths)).encode()
    command = "tar --create --null --files-from=- | sha256sum"
    subprocess.run(["sh", "-c", command], cwd=recipe.stores, input=names, stdout=subprocess.DEVNULL, check=True)


def hashed(recipe: Recipe, folder: Path) -> None:
    """The assembler, knowing nothing."""
    with closing(Table(folder / f"{secrets.token_hex(4)}.sqlite")) as table:
        assemble(recipe, table)


@dataclass(frozen=True)
class Pushed:
    """A push: seconds, and what became of the layers."""

    seconds: float
    tally: Tally


def pushed(made: Environments, folder: Path) -> list[Pushed]:
    """Of one environment after the other to an empty registry, by an assembler that knows nothing."""
    place = folder / secrets.token_hex(4)
    place.mkdir()
    with running_registry(place) as running, closing(Table(place / "layers.sqlite")) as table:

        def one(recipe: Recipe) -> Pushed:
            began = time.perf_counter()
            with closing(Repository(Access(running.host, tls=False), "bench/env")) as repository:
                tally = push(recipe, repository, "latest", table, _silent)[1]
            return Pushed(time.perf_counter() - began, tally)

        found = [one(recipe) for recipe in (made.first, made.second, made.scattered)]
    _remove(place)
    return found


def by_docker(recipe: Recipe, folder: Path) -> float:
    """`docker build` and `docker push` of the same files to an empty registry."""
    place = folder / secrets.token_hex(4)
    place.mkdir()
    label = secrets.token_hex(4)
    (place / "Dockerfile").write_text(f"FROM scratch\nLABEL repolaunch.installation={label}\nCOPY nix /nix\n")
    # What other environments have is none of it.
    others = sorted(
        {f"/nix/store/{path.name}" for path in (recipe.stores / "nix/store").iterdir()} - set(recipe.closure.paths)
    )
    (recipe.stores / ".dockerignore").write_text("".join(f"{path[1:]}\n" for path in others))
    with running_registry(place) as running:
        name = f"{running.host}/bench/env:{label}"
        try:
            began = time.perf_counter()
            build = ["docker", "build", "--quiet", "--no-cache", "--file", str(place / "Dockerfile"), "--tag", name]
            subprocess.run([*build, str(recipe.stores)], stdout=subprocess.DEVNULL, check=True)
            subprocess.run(["docker", "push", "--quiet", name], stdout=subprocess.DEVNULL, check=True)
            return time.perf_counter() - began
        finally:
            subprocess.run(["docker", "image", "rm", "--force", name], stdout=subprocess.DEVNULL, check=False)
            _remove(place)


def measure(made: Environments, folder: Path, rounds: int) -> dict[str, Any]:
    """All figures, in one run."""
    recipe = made.first
    floor(recipe)  # the files are in the page cache from here on, for all
    floors, hashes, pushes = [], [], list[list[Pushed]]()
    for number in range(rounds):
        floors.append(_timed(lambda: floor(recipe)))
        hashes.append(_timed(lambda: hashed(recipe, folder)))
        pushes.append(pushed(made, folder))
        took = (floors[-1], hashes[-1], pushes[-1][0].seconds)
        say("round {}: floor {:.2f} s, hash {:.2f} s, push {:.2f} s".format(number + 1, *took))
    docker_s = by_docker(recipe, folder)
    say(f"Docker: {docker_s:.2f} s")
    first, second, scattered = pushes[-1]
    floor_s, hash_s = statistics.median(floors), statistics.median(hashes)
    push_s = statistics.median(one.seconds for one, *_ in pushes)
    return {
        "bytes": sum(_size(recipe.stores, path) for path in recipe.closure.paths),
        "entries": sum(1 for path in recipe.closure.paths for _ in (recipe.stores / path[1:]).rglob("*")),
        "paths": len(recipe.closure.paths),
        "layers": first.tally.uploaded,
        "rounds": rounds,
        "floor_s": round(floor_s, 3),
        "hash_s": round(hash_s, 3),
        "push_s": round(push_s, 3),
        "docker_s": round(docker_s, 3),
        "hash_over_floor": round(hash_s / floor_s, 3),
        "push_over_floor": round(push_s / floor_s, 3),
        "docker_over_push": round(docker_s / push_s, 3),
        "second_s": round(statistics.median(one.seconds for _, one, _ in pushes), 3),
        "second_uploaded_layers": second.tally.uploaded,
        **_uploads("second", second.tally, recipe, made.second),
        **_uploads("scattered", scattered.tally, recipe, made.scattered),
    }


def _uploads(name: str, tally: Tally, first: Recipe, other: Recipe) -> dict[str, Any]:
    """What was uploaded of another environment, and what of it is new."""
    new = sum(_size(other.stores, path) for path in other.closure.paths.keys() - first.closure.paths.keys())
    return {
        f"{name}_new_bytes": new,
        f"{name}_uploaded_bytes": tally.uploaded_bytes,
        f"{name}_upload_over_new": round(tally.uploaded_bytes / new, 3),
    }


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _size(stores: Path, path: str) -> int:
    """Of a store path, as tar has it."""
    from builders.oci.tar import size_of  # noqa: PLC0415  # small

    return size_of(os.fsencode(stores / path[1:]), path[1:].encode())


def _remove(folder: Path) -> None:
    subprocess.run(["rm", "-r", "--", str(folder)], check=True)


def _silent(_: Line) -> None:
    pass


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    parser.add_argument("--rounds", type=int, default=5, help="of floor, hash and push (default 5)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="repolaunch-bench-") as text:
        folder = Path(text)
        result = measure(environments(folder / "stores"), folder, asked.rounds)
    tell(result, only_json=asked.json)


if __name__ == "__main__":
    main()
