"""What the layers of `launcher/builds/layers.py` wrap: the verbs that touch an engine or a registry.

Each is implemented once for real (`run.py`, `images.py`) and once as a fake (`tests/fakes/builds.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from launcher.model import Environment, Image, ImageFacts, ImageRef, ResolvedRepo
    from launcher.stages import Tell


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """An environment and one commit that declares it. Requests of equal `environment.key` make the same image."""

    repo: ResolvedRepo
    environment: Environment
    afresh: bool = False
    """Nothing that an earlier build has left is used."""

    @property
    def key(self) -> str:
        """The environment's key."""
        return self.environment.key


class Build(Protocol):
    """Makes an image."""

    async def build(self, request: BuildRequest, tell: Tell) -> ImageFacts:
        """Lease the checkout, build from it, look at the image; the lease is the build's own.

        Tells Log and Progress of stage BUILD only: who wraps it tells Started and Ended. When it is cancelled,
        it stops what it started before it raises. Raises BuildFailed and its kin, EngineDown, ServerMissing,
        UserUnfit, and what `Checkouts.open` raises.
        """
        ...


class Push(Protocol):
    """Copies an image from the engine to the registry."""

    async def push(self, image: Image, tell: Tell) -> ImageRef:
        """Push under the key's name, in its namespace; again what is there already: quick, and the same answer.

        Tells Log and Progress of stage PUSH only. Raises RegistryDown, EngineDown, BuildBroken.
        """
        ...


class Inspect(Protocol):
    """Looks at an image without running it."""

    async def inspect(self, image: ImageRef, request: BuildRequest, tell: Tell) -> ImageFacts:
        """The facts of an image that is in the registry, pulled if the engine lacks it.

        Tells Log and Progress of stage IMAGE only. Raises RegistryDown, EngineDown, ServerMissing, UserUnfit.
        """
        ...


class Engine(Protocol):
    """What the container engine has."""

    async def has(self, engine_id: str) -> bool:
        """Say whether the engine has the image with this id now. Raises EngineDown."""
        ...


class Finder(Protocol):
    """Finds images in the registry by their environment key."""

    async def find(self, key: str, space: str = "") -> ImageRef | None:
        """Ask the registry, with one request; in the namespace of a private repository. Raises RegistryDown."""
        ...
