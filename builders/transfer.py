"""Images between the two engines: what a build starts from to the build engine, what it made to the sessions' engine.

Only what the other engine lacks is sent. An image keeps its id.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from typing import TYPE_CHECKING, Any

from builders import engine
from builders.errors import BuildBroken, DiskFull, EngineDown
from builders.labels import KEY_LABEL, OURS
from builders.lines import Progress
from builders.sockets import connected
from builders.text import says_full, without_paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from docker import DockerClient

    from builders.lines import Tell

SLOW_S = 900
"""Seconds for one answer while an image is packed or unpacked."""
CHUNK = 1024 * 1024


def bring(names: Iterable[str], tell: Tell) -> list[list[str]]:
    """Give the build engine those of the images that the sessions' engine has; the layers of each. Blocks.

    An environment's image is nobody's to build on: it is not brought. Raises EngineDown, BuildBroken.
    """
    layers = []
    with engine.client(SLOW_S) as sessions, engine.client(SLOW_S, engine.build_address()) as builds:
        for name in names:
            wanted = _inspected(sessions, name)
            if wanted is None or {OURS, KEY_LABEL} & set((wanted.get("Config") or {}).get("Labels") or {}):
                continue
            layers.append(list((wanted.get("RootFS") or {}).get("Layers") or []))
            if not _same(builds, name, wanted):
                with _one_at_a_time(wanted["Id"], name, tell):
                    _bring(sessions, builds, name, wanted, tell)
    return layers


def fetch(image: str, name: str, bases: list[list[str]]) -> None:
    """Give the sessions' engine an image of the build engine as `name`. Blocks. Raises EngineDown, BuildBroken."""
    with engine.client(SLOW_S) as sessions, engine.client(SLOW_S, engine.build_address()) as builds:
        made = _inspected(builds, image)
        if made is None:
            raise BuildBroken("the build engine no longer has the image that it built")
        layers = list((made.get("RootFS") or {}).get("Layers") or [])
        has = max((base for base in bases if layers[: len(base)] == base), key=len, default=[])
        try:
            load(sessions, _exported(image, name, has))
        except (BuildBroken, OSError):
            # An engine that wants every layer: all of it, the slow way.
            load(sessions, builds.api.get_image(image, chunk_size=CHUNK))
            sessions.api.tag(image, *_split(name))
        if not _same(sessions, name, made):
            raise BuildBroken("the image that was built did not arrive at the container engine")


def _bring(sessions: DockerClient, builds: DockerClient, name: str, wanted: dict[str, Any], tell: Tell) -> None:
    before = _inspected(builds, name)
    if before is not None and before["Id"] == wanted["Id"]:
        return  # somebody else has brought it meanwhile
    tell(Progress(f"The build engine is given the image {name}"))
    load(builds, sessions.api.get_image(wanted["Id"], chunk_size=CHUNK))
    builds.api.tag(wanted["Id"], *_split(name))
    if before is not None:
        import docker.errors  # noqa: PLC0415  # see engine.py

        with contextlib.suppress(docker.errors.APIError):  # something is being built on it
            builds.api.remove_image(before["Id"])


def _split(name: str) -> tuple[str, str]:
    """Repository and tag."""
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "latest")


def _inspected(client: DockerClient, name: str) -> dict[str, Any] | None:
    import docker.errors  # noqa: PLC0415  # see engine.py

    try:
        found: dict[str, Any] = client.api.inspect_image(name)  # type: ignore[no-untyped-call]
    except (docker.errors.NotFound, docker.errors.NullResource):
        return None
    return found


def _same(client: DockerClient, name: str, wanted: dict[str, Any]) -> bool:
    found = _inspected(client, name)
    return found is not None and found["Id"] == wanted["Id"]


def layers_in(client: DockerClient, image: str) -> list[str] | None:
    """The diff ids of an engine's image; None: it has no such image. Blocks. Raises EngineDown."""
    found = _inspected(client, image)
    return None if found is None else list((found.get("RootFS") or {}).get("Layers") or [])


def load(client: DockerClient, archive: Iterable[bytes]) -> None:
    """Give an engine the images of an archive. Blocks. Raises DiskFull, BuildBroken."""
    for answer in client.api.load_image(archive):  # type: ignore[no-untyped-call]
        if error := answer.get("error"):
            if says_full(str(error)):
                raise DiskFull(engine.DISK)
            raise BuildBroken(f"the image could not be handed over: {without_paths(str(error))}")


def _exported(image: str, name: str, has: list[str]) -> Iterator[bytes]:
    """The archive that the build engine's supervisor makes. Raises OSError, BuildBroken."""
    with connected(_control(), SLOW_S) as connection:
        asked = {"export": {"image": image, "name": name, "has": has}}
        connection.sendall(json.dumps(asked).encode() + b"\n")
        with connection.makefile("rb") as answer:
            if not json.loads(answer.readline() or b"{}").get("ok"):
                raise BuildBroken("the build engine does not hand the image over")
            while chunk := answer.read(CHUNK):
                yield chunk


def _control() -> Path:
    control = engine.build_control()
    if control is None:
        raise EngineDown("there is no build engine")
    return control


@contextlib.contextmanager
def _one_at_a_time(image: str, name: str, tell: Tell) -> Iterator[None]:
    """Two builds that start together bring an image once; the second one says what it waits for."""
    place = _control().with_name(f"{image.removeprefix('sha256:')[:12]}.lock")
    with place.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(Progress(f"Waiting until the build engine has the image {name}"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
