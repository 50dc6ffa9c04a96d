"""What one checkout may take, and what is taken: by the repository, its submodules and its large files together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.errors import RepositoryTooLarge
from launcher.repos import tree
from launcher.repos.programs import MEMORY_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """What one checkout may take, submodules and files of Git LFS included."""

    bytes: int = 2 * 2**30
    """Of the files, and, counted apart, of what is fetched to get them."""
    files: int = 200_000
    seconds: float = 600
    submodules: int = 100
    depth: int = 10
    """How deep submodules may lie in one another."""
    memory: int = MEMORY_LIMIT
    """Bytes of data that one process of git may have: it unpacks what it is sent in memory."""


@dataclass(eq=False, slots=True)
class Budget:
    """The limits of the repository `url`, and what is taken already."""

    url: str
    limits: Limits
    bytes: int = 0
    files: int = 0
    submodules: int = 0
    fetched: dict[Path, int] = field(default_factory=dict)
    """Bytes, by the folder that they came into."""

    def take_files(self, count: int, size: int) -> None:
        """Raises RepositoryTooLarge."""
        self.files += count
        self.bytes += size
        self._check("files", self.files, self.limits.files)
        self._check("bytes", self.bytes, self.limits.bytes)

    def take_submodule(self, depth: int) -> None:
        """Raises RepositoryTooLarge."""
        self.submodules += 1
        self._check("submodules", self.submodules, self.limits.submodules)
        self._check("levels of submodules", depth, self.limits.depth)

    def guard(self, folder: Path) -> Callable[[], None]:
        """A function that raises RepositoryTooLarge when more has come into the folder than is left."""

        def guard() -> None:
            self.fetched[folder] = tree.size(folder)
            self._check("bytes", sum(self.fetched.values()), self.limits.bytes)

        return guard

    def too_many_files(self) -> RepositoryTooLarge:
        """Where counting them is too much already."""
        return RepositoryTooLarge(self.url, "files", self.limits.files)

    def _check(self, what: str, value: int, limit: int) -> None:
        if value > limit:
            raise RepositoryTooLarge(self.url, what, limit)
