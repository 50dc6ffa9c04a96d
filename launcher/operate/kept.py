"""A container of an installation that stays: made when it is missing, made anew when what it is made from has changed.

Restarts: the engine starts one that crashed again (`on-failure`), but never one that `stop` stopped, and none after a
restart of the machine or the engine: the folders may not be mounted by then. `ensure` does that. Synchronous.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import docker.errors
import requests.exceptions
from docker.types import LogConfig, Mount

from launcher.operate.installation import InstallationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from docker import DockerClient
    from docker.models.containers import Container

log = logging.getLogger(__name__)
FLAVOUR = "repolaunch.flavour"
"""Label with the digest of what a container was made from: another digest, another container."""
FOREIGN = (docker.errors.DockerException, requests.exceptions.RequestException)


@dataclass(frozen=True, slots=True)
class Code:
    """A program of ours that is mounted, not part of the image."""

    source: Path
    copy: Path
    """Where the engine finds it: a copy in the data folder, for we may be in a container of our own."""
    place: str
    """Where the container finds it."""

    def copied(self) -> Mount:
        """Make the copy; what mounts it."""
        shutil.copytree(self.source, self.copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        return Mount(self.place, str(self.copy), type="bind", read_only=True)

    def digest(self) -> dict[str, str]:
        """Of each file."""
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(self.source.glob("*.py"))}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a container is made from, and no more: whatever changes here makes another container."""

    title: str
    """As sentences name it: `the volume helper`."""
    kind: str
    """Value of the label `repolaunch.kind`."""
    image: str
    code: Code
    options: Mapping[str, Any]
    """More arguments of docker-py's `containers.create`; nothing but what JSON can say."""
    mounts: tuple[Mount, ...] = ()
    besides: str = ""
    """Text that the container reads when it starts."""
    advice: str = ""
    """A sentence for those with whom it does not start."""
    volumes: tuple[str, ...] = field(default=())
    """Named volumes that are ours and are made first."""


class Kept:
    """One such container."""

    def __init__(self, client: DockerClient, installation: str, name: str) -> None:
        """`installation` is an id; `name` is the container's."""
        self._client, self._installation, self.name = client, installation, name

    @property
    def labels(self) -> dict[str, str]:
        """What everything of ours carries."""
        return {"repolaunch.installation": self._installation}

    def ensure(self, recipe: Recipe) -> Container:
        """It runs when this returns; whether it answers is another question. Raises InstallationError."""
        try:
            container = self._current(recipe) or self._create(recipe)
            if container.status != "running":
                container.start()
        except docker.errors.ImageNotFound:
            sentence = f"The image of {recipe.title}, {recipe.image}, is missing. Run `make setup`."
            raise InstallationError(sentence) from None
        except FOREIGN as error:
            raise failed(recipe, sentence_of(error)) from None
        return container

    def find(self) -> Container | None:
        """The container, if there is one. Raises what docker-py does."""
        try:
            return self._client.containers.get(self.name)
        except docker.errors.NotFound:
            return None

    def stop(self, grace_s: int) -> None:
        """Stop and remove it; no error if there is none. What lies on volumes and in folders stays."""
        try:
            container = self.find()
            if container is not None:
                container.stop(timeout=grace_s)
                container.remove(force=True)
        except docker.errors.NotFound:
            return
        except FOREIGN as error:
            log.warning("%s cannot be stopped: %s", self.name, sentence_of(error))

    def _current(self, recipe: Recipe) -> Container | None:
        """The container, if it is one that `_create` would make now; another is removed."""
        container = self.find()
        if container is not None and container.labels.get(FLAVOUR) != self._flavour(recipe):
            container.remove(force=True)
            return None
        return container

    def _create(self, recipe: Recipe) -> Container:
        for volume in recipe.volumes:
            self._client.volumes.create(volume, labels=self.labels | {"repolaunch.kind": recipe.kind})
        return self._client.containers.create(
            recipe.image,
            name=self.name,
            labels=self.labels | {"repolaunch.kind": recipe.kind, FLAVOUR: self._flavour(recipe)},
            mounts=[*recipe.mounts, recipe.code.copied()],
            restart_policy={"Name": "on-failure", "MaximumRetryCount": 10},
            log_config=LogConfig(type="json-file", config={"max-size": "5m", "max-file": "2"}),
            **recipe.options,
        )

    def _flavour(self, recipe: Recipe) -> str:
        image = self._client.images.get(recipe.image).id
        parts = [image, recipe.code.digest(), recipe.options, recipe.mounts, recipe.besides]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def failed(recipe: Recipe, reason: str) -> InstallationError:
    """Why it does not start."""
    return InstallationError(f"{recipe.title.capitalize()} cannot be started: {reason}. {recipe.advice}".rstrip())


def sentence_of(error: Exception) -> str:
    """What the engine said."""
    return str(getattr(error, "explanation", None) or error).splitlines()[0][:300].rstrip(".")
