"""Collections while parts are killed: what nobody uses goes, what a project or a pin uses stays, after every round.

Two environments that no project has are built: one is pinned, the other goes with each collection and is built again.
Only time would make them old enough to go (`launcher.builds.uses.FRESH_S`): that is written into the database instead.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import docker
import docker.errors

from builders.oci.archive import commit_tag
from launcher.builds.uses import PINNED
from tests.kills.load import FINAL, operator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.repos import Repo
    from tests.fixtures.service import Service
    from tests.kills.load import World

_TRIES = 20


class Registry:
    """The files of the registry of our own: what it has, also while it is away."""

    def __init__(self, service: Service) -> None:
        self._data = service.data
        self._root = service.data / "registry" / "docker" / "registry" / "v2"
        self._archived: set[tuple[str, str]] = set()

    def tag(self, repository: str, tag: str) -> str:
        """The digest that it leads to; `""`: none."""
        return _text(self._root / "repositories" / repository / "_manifests" / "tags" / tag / "current" / "link")

    def lacks(self, repository: str, digest: str) -> str:
        """What is missing of an image or an archive; `""`: nothing."""
        revisions = self._root / "repositories" / repository / "_manifests" / "revisions"
        if not _text(revisions / digest.replace(":", "/") / "link"):
            return f"the manifest {digest[:19]}"
        try:
            body = json.loads(self._blob(digest).read_bytes())
            parts = [body["config"]["digest"], *(one["digest"] for one in body["layers"])]
        except (OSError, ValueError):
            return f"the bytes of the manifest {digest[:19]}"
        return ", ".join(f"the blob {one[:19]}" for one in parts if not self._blob(one).is_file())

    def missing(self, pinned: tuple[str, str]) -> list[str]:
        """What a project or a pin uses, and is not there. `pinned`: repository and digest; `""` before there is one."""
        wrong = []
        with closing(sqlite3.connect(f"file:{self._data}/launcher/repolaunch.sqlite?mode=ro", uri=True)) as rows:
            projects = rows.execute("SELECT id, repository, digest, engine_id, url, [commit] FROM projects").fetchall()
        for project, repository, digest, engine_id, url, commit in projects:
            lacks = self.lacks(repository, digest) if digest else self._not_in_the_engine(engine_id)
            wrong += [f"the image of project {project} went: {lacks}"] if lacks else []
            wrong += [
                f"the archived files of project {project} went: {lacks}" for lacks in self._unarchived(url, commit)
            ]
        if pinned[1] and (lacks := self.lacks(*pinned)):
            wrong.append(f"the image that is pinned went: {lacks}")
        return wrong

    def _unarchived(self, url: str, commit: str) -> Iterator[str]:
        """A commit is archived beside its launch: from then on it stays."""
        digest = self.tag("repolaunch/source", commit_tag(url, commit))
        if digest:
            self._archived.add((url, commit))
        if (url, commit) in self._archived:
            lacks = self.lacks("repolaunch/source", digest) if digest else f"commit {commit[:10]}"
            yield from [lacks] * bool(lacks)

    def _not_in_the_engine(self, engine_id: str) -> str:
        with closing(docker.from_env()) as engine:
            try:
                engine.images.get(engine_id)
            except docker.errors.ImageNotFound:
                return f"{engine_id[:19]} is in no registry yet, and not in the engine"
        return ""

    def _blob(self, digest: str) -> Path:
        _, _, digits = digest.partition(":")
        return self._root / "blobs" / "sha256" / digits[:2] / digits / "data"


class Collector:
    """An operator who collects all that nobody uses, whenever it is time."""

    def __init__(self, world: World) -> None:
        self.world, self.tally = world, world.tally
        self.registry = Registry(world.service)
        self.time = asyncio.Event()
        self.pinned = ("", "")
        self._person = operator(world)
        self._pinned, self._loose = world.repo(), world.repo()
        self._database = world.service.data / "launcher" / "repolaunch.sqlite"

    async def _pin(self) -> None:
        """Build one and pin it. The first push of all takes its time: that of the layers below."""
        pinned = await self._built(self._pinned)
        repository, _, digest = pinned.partition("/")[2].partition("@")
        policy = self.world.service.data / "policy.toml"
        policy.write_text(f'[pins]\n"{self._key(digest)}" = "what the kill machine must not lose"\n')
        self.pinned = (repository, digest)

    async def working(self, stop: asyncio.Event) -> None:
        """Build what nobody uses, collect when it is time, see that it went; and again, from nothing."""
        await self._pin()
        while not stop.is_set():
            image = await self._built(self._loose)
            while not self.time.is_set() and not stop.is_set():
                await asyncio.sleep(0.1)
            self.time.clear()
            if image and not stop.is_set():
                await self.collect(image)

    async def end(self) -> None:
        """At least one collection came to its end."""
        if not self.tally.collected:
            await self.collect(await self._built(self._loose))
        if not self.tally.collected:
            self.world.wrong("what nobody uses was never collected")
        await self._person.close()

    async def collect(self, image: str) -> None:
        """Everything that nobody uses: this image of all that is there."""
        digest = image.partition("@")[2]
        key = await asyncio.to_thread(self._key, digest)
        await asyncio.to_thread(self._age, key)
        told = await self._person.ask("POST", "/api/v1/collection", {"every": True})
        self.tally.collections += 1
        kept = {one["name"]: one["reason"] for place in told for one in place["kept"] if one["kind"] == "image"}
        # An answer that was lost may have told of it before.
        if await asyncio.to_thread(self.registry.tag, "repolaunch/env", key):
            self.world.wrong(f"nobody uses image {key[:12]}, and it stays: {kept.get(key, 'it was not looked at')}")
        else:
            self.tally.collected += 1
        for name, reason in kept.items():
            if reason == PINNED:
                await asyncio.to_thread(self._age, name)

    async def _built(self, repo: Repo) -> str:
        """The name of the image by its digest; a build whose own builder was killed is asked for again."""
        for _ in range(_TRIES):
            final = await self._person.launch(repo.url, build_only=True)
            if final["type"] == "ready":
                return str(final["image"])
            if final["type"] not in FINAL:
                break
        self.world.wrong(f"{repo.url} was not built in {_TRIES} times")
        return ""

    def _key(self, digest: str) -> str:
        with closing(sqlite3.connect(self._database, timeout=60)) as rows:
            found: tuple[str] | None = rows.execute("SELECT key FROM images WHERE digest = ?", (digest,)).fetchone()
        return found[0] if found else ""

    def _age(self, key: str) -> None:
        with closing(sqlite3.connect(self._database, timeout=60)) as rows:
            rows.execute("UPDATE images SET used = 1 WHERE key = ?", (key,))
            rows.commit()


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
