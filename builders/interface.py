"""What a builder is: what it is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from builders.lines import LOOSE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from builders.lines import Found, Tell


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one builder found in a directory."""

    evidence: tuple[str, ...]
    """The files that declare the environment, relative to the directory, sorted."""
    tree: tuple[str, ...] = ()
    """Why the build sees every file of the directory, each as `file:line: what`: the key is then the tree's. None: it
    sees the evidence only, or what evaluating it reads."""

    @property
    def whole_tree(self) -> bool:
        """Say whether every file counts."""
        return bool(self.tree)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the image of a declaration depends on besides builder and platform, and how firmly that is pinned."""

    digest: str
    """Equal text, same image."""
    pinning: str = LOOSE
    loose: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    """As `Found` has them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What all steps of one build together may use. All but `log` need the build engine."""

    memory: int = 4 * 2**30
    """Bytes."""
    cpus: float = 2.0
    processes: int = 2048
    """And threads."""
    disk: int = 10 * 2**30
    """Bytes that the steps write."""
    log: int = 8 * 2**20
    """Bytes of output."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where builders work: the same for every directory."""

    stores: Path
    """Folder with `nix/` and `gnu/`, which containers see as `/nix` and `/gnu`: what was built stays there. It need not
    exist."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Labels of every container that is made, so that a killed builder's are found."""
    limits: Limits = field(default_factory=Limits)
    views: bool = False
    """Whether sessions are given views of the stores: the engine then gets an image without what is in them."""
    space: str = ""
    """Namespace of the private repository that the directory is of; `""`: everybody's."""
    site: Path | None = None
    """Where `stores` are a private repository's own: the site's."""

    @property
    def common(self) -> Path:
        """The site's stores: turns are taken there, and what the site has chosen and keeps for all is there."""
        return self.site or self.stores


@dataclass(frozen=True, slots=True)
class Order:
    """One build: of what, as what. Carries no user, no URL and no secret."""

    directory: Path
    found: Found
    inputs: Inputs
    name: str
    """The image's local name, with a tag."""
    labels: Mapping[str, str]
    date: int
    """Seconds since the epoch: the SOURCE_DATE_EPOCH of the build."""
    workshop: Workshop
    local_images: tuple[str, ...] = ()
    """Patterns: which images of the sessions' engine may be built on, where another engine builds."""
    afresh: bool = False
    """Use nothing that an earlier build has left: what is not pinned may be something else by now."""


@runtime_checkable
class Grounded(Protocol):
    """A builder whose inputs depend on something of this machine, besides the directory."""

    async def ground(self) -> str:
        """Another text, perhaps other inputs."""
        ...


@runtime_checkable
class Bare(Protocol):
    """A builder that has an environment for a directory which declares none."""

    def bare(self) -> Declaration:
        """What such a directory is taken to declare: no files."""
        ...


class Builder(Protocol):
    """Turns a directory into an image."""

    @property
    def name(self) -> str:
        """As events, labels and keys name it."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same directory would become another image."""
        ...

    @property
    def evaluates(self) -> bool:
        """Whether `inputs` runs what was declared: that takes minutes."""
        ...

    @property
    def looks_for(self) -> tuple[str, ...]:
        """The names of the files that it understands."""
        ...

    def detect(self, directory: Path) -> Declaration | None:
        """What the directory declares for this builder. Looks only. Raises EnvironmentConflict, EnvironmentBroken."""
        ...

    async def inputs(
        self, directory: Path, declared: Declaration, platform: str, workshop: Workshop, tell: Tell
    ) -> Inputs:
        """What the key covers. May evaluate what was declared, which is running it: behind walls, and cancellable.

        Raises EnvironmentBroken, and what `build` raises.
        """
        ...

    async def build(self, order: Order, tell: Tell) -> str:
        """Build; the image's engine id. Cancelling it stops everything that it started.

        Raises BuildFailed, BaseImageMissing, BuildBroken, EngineDown, and the error of a limit that was passed.
        """
        ...
