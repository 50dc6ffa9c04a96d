"""A created, never started container of an image: a way to read the image's files without running it."""

from __future__ import annotations

import base64
import contextlib
import json
import posixpath
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from builders.engine import TIMEOUT_S

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator, Mapping

    from docker import DockerClient
    from docker.types import Mount

MAX_FILE = 4 * 1024 * 1024
"""Bytes of a single file that is read whole (`/etc/passwd`)."""
# The kind of a file in the mode of Go's os.FileMode, which the engine answers with.
_GO_DIRECTORY = 1 << 31
_GO_LINK = 1 << 27
_GO_KIND = _GO_DIRECTORY | _GO_LINK | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19
_ANYBODY_MAY_ENTER = 0o001


@dataclass(frozen=True, slots=True)
class Stat:
    """What the engine says of a path. `target` is where a link leads in the end, an absolute path of the image."""

    mode: int
    size: int
    target: str

    @property
    def is_folder(self) -> bool:
        """Say whether it is a folder (and no link to one)."""
        return bool(self.mode & _GO_DIRECTORY)

    @property
    def is_file(self) -> bool:
        """Say whether it is a file (and no link to one)."""
        return not self.mode & _GO_KIND

    @property
    def permissions(self) -> int:
        """The nine bits."""
        return self.mode & 0o777


class ImageFiles:
    """The files and the configuration of an image."""

    def __init__(self, client: DockerClient, attributes: Mapping[str, Any], container: str) -> None:
        """Made by `opened` only."""
        self._client = client
        self._container = container
        self._stats: dict[str, Stat | None] = {}
        self.attributes = attributes

    @property
    def engine_id(self) -> str:
        """The image's id in the engine."""
        return str(self.attributes["Id"])

    @property
    def config(self) -> Mapping[str, Any]:
        """What the image says of how to run it."""
        return self.attributes.get("Config") or {}

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The image's variables."""
        pairs = (item.partition("=") for item in self.config.get("Env") or ())
        return {name: value for name, _, value in pairs}

    def stat(self, path: str) -> Stat | None:
        """What `path` (absolute) is; None: nothing. A link is not followed."""
        if path not in self._stats:
            self._stats[path] = self._ask(path)
        return self._stats[path]

    def follow(self, path: str) -> tuple[str, Stat | None]:
        """Where `path` leads in the end, and what is there."""
        found = self.stat(path)
        if found is not None and found.mode & _GO_LINK:
            return found.target, self.stat(found.target)
        return path, found

    def read(self, path: str, limit: int = MAX_FILE) -> bytes | None:
        """The first `limit` bytes of a file, links followed; None where there is none."""
        where, found = self.follow(path)
        if found is None or not found.is_file:
            return None
        with self.archive(where) as members:
            for member, archive in members:
                file = archive.extractfile(member)
                return file.read(limit) if file is not None else None
        return None

    @contextlib.contextmanager
    def archive(self, path: str) -> Iterator[Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]]:
        """The members of a folder or a file, streamed: each must be read before the next is asked for."""
        import tarfile  # noqa: PLC0415

        chunks, _ = self._client.api.get_archive(self._container, path)
        stream: Any = _Stream(chunks)
        with contextlib.closing(chunks), tarfile.open(fileobj=stream, mode="r|") as archive:
            yield ((member, archive) for member in archive)

    def closed_to(self, path: str) -> str:
        """The first folder on the way to `path`, links followed, that not everybody may enter; `""`: none."""
        where, _ = self.follow(path)
        for whole in (path, where):
            folder = "/"
            for part in posixpath.dirname(whole).split("/")[1:]:
                folder = posixpath.join(folder, part)
                _, found = self.follow(folder)
                if found is None or not found.permissions & _ANYBODY_MAY_ENTER:
                    return folder
        return ""

    def _ask(self, path: str) -> Stat | None:
        api = self._client.api
        url = f"{api.base_url}/v{api.api_version}/containers/{self._container}/archive"
        answer = api.head(url, params={"path": path}, timeout=TIMEOUT_S)
        if answer.status_code != 200:  # noqa: PLR2004
            return None
        body = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
        return Stat(body["mode"], body["size"], body.get("linkTarget") or "")


def has(client: DockerClient, image: str) -> bool:
    """Say whether the engine has an image of this id or name."""
    import docker.errors  # noqa: PLC0415  # see engine.py

    try:
        client.api.inspect_image(image)  # type: ignore[no-untyped-call]
    except docker.errors.ImageNotFound:
        return False
    return True


@contextlib.contextmanager
def opened(
    client: DockerClient, image: str, labels: Mapping[str, str], mounts: Mapping[str, str] | None = None
) -> Iterator[ImageFiles]:
    """Create a container of `image` and remove it afterwards, with the volumes that the image declares.

    `mounts`: folders of this machine by where its files are to be seen.
    """
    attributes = client.api.inspect_image(image)  # type: ignore[no-untyped-call]
    made = client.api.create_container(
        image=attributes["Id"],
        # Never run; an image without a command would be refused without one.
        entrypoint=["/never-run"],
        command=[],
        labels=dict(labels),
        network_disabled=True,
        host_config=client.api.create_host_config(mounts=_bound(mounts or {})),
    )
    try:
        yield ImageFiles(client, attributes, made["Id"])
    finally:
        client.api.remove_container(made["Id"], v=True, force=True)


def _bound(mounts: Mapping[str, str]) -> list[Mount]:
    from docker.types import Mount  # noqa: PLC0415  # see engine.py

    return [Mount(target, source, type="bind", read_only=True) for target, source in mounts.items()]


class _Stream:
    """An iterator of chunks as a file that tarfile can read forwards."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while have < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            have += len(chunk)
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]
