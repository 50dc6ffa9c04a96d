"""Copies an image between the engine and a registry.

The tag that a push needs stays in the engine (`<registry>/<repository>:<key>`): while it is there, the engine knows the
image by its registry digest too, and does not take it for rubbish.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from builders import engine
from builders.errors import BuildBroken, DiskFull, RegistryDown
from builders.lines import Progress
from builders.oci import view
from builders.text import says_full
from builders.variables import PASSWORD, USERNAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docker import DockerClient

    from builders.lines import Tell

PULLING = "Pulling"
_EVERY_S = 1.0


def push(engine_id: str, target: str, tell: Tell) -> str:
    """Push an image as `target` (`host[:port]/repository:tag`); its digest. Blocks.

    Credentials come from the environment. Raises RegistryDown, EngineDown, BuildBroken (no such image).
    """
    repository, _, tag = target.rpartition(":")
    registry = repository.partition("/")[0]
    digest = ""
    with engine.client() as client:
        _tag(client, engine_id, repository, tag)
        if view.LABEL in client.images.get(engine_id).labels:
            raise BuildBroken("the stores no longer have what this image leaves out: launch again, and it is built")
        answers = client.api.push(repository, tag, stream=True, decode=True, auth_config=credentials())
        for answer in _watched(answers, registry, "Pushing", tell):
            digest = (answer.get("aux") or {}).get("Digest", digest)
    if not digest:
        raise RegistryDown(registry, "the push ended without a digest")
    return digest


def note(engine_id: str, target: str, digest: str, tell: Tell) -> None:
    """Give an image that was pushed without the engine the names that `push` would have given it. Blocks.

    Raises RegistryDown, EngineDown, BuildBroken.
    """
    repository, _, tag = target.rpartition(":")
    pull(f"{repository}@{digest}", tell)  # an engine that has the image fetches its manifest and nothing else
    with engine.client() as client:
        _tag(client, engine_id, repository, tag)


def pull(image: str, tell: Tell) -> None:
    """Pull `image` (`host[:port]/repository@sha256:…`). Blocks. Raises RegistryDown, EngineDown."""
    repository, _, digest = image.partition("@")
    registry = repository.partition("/")[0]
    with engine.client() as client:
        answers = client.api.pull(repository, tag=digest, stream=True, decode=True, auth_config=credentials())
        for _ in _watched(answers, registry, PULLING, tell):
            pass


def credentials() -> dict[str, str]:
    """What the engine is to show the registry; an empty one where the operator has set none."""
    username = os.environ.get(USERNAME, "")
    # Never left out: the SDK would look for a login of the person who runs this.
    return {"username": username, "password": os.environ.get(PASSWORD, "")} if username else {}


def _tag(client: DockerClient, engine_id: str, repository: str, tag: str) -> None:
    import docker.errors  # noqa: PLC0415  # see engine.py

    try:
        client.api.tag(engine_id, repository, tag)
    except docker.errors.NotFound as error:
        raise BuildBroken(f"the engine no longer has the image {engine_id[:19]}") from error


def _watched(answers: Iterable[dict[str, Any]], registry: str, verb: str, tell: Tell) -> Iterator[dict[str, Any]]:
    """The stream of a push or a pull; its progress is told, its error is raised."""
    import docker.errors  # noqa: PLC0415  # see engine.py

    layers: dict[str, tuple[int, int]] = {}
    told = (-1, 0.0)
    try:
        for answer in answers:
            if error := answer.get("error"):
                if verb == PULLING and says_full(str(error)):
                    raise DiskFull(engine.DISK)
                raise RegistryDown(registry, str(error))
            detail = answer.get("progressDetail") or {}
            if total := detail.get("total"):
                layers[answer["id"]] = (min(detail.get("current", 0), total), total)
                percent = 100 * sum(done for done, _ in layers.values()) // sum(whole for _, whole in layers.values())
                if percent != told[0] and time.monotonic() - told[1] >= _EVERY_S:
                    told = (percent, time.monotonic())
                    tell(Progress(f"{verb} the image", percent))
            yield answer
    except docker.errors.APIError as error:
        if verb == PULLING and says_full(str(error.explanation)):
            raise DiskFull(engine.DISK) from error
        # The engine answers 404 or 500 when the registry refuses or cannot be reached.
        raise RegistryDown(registry, str(error.explanation or error)) from error
