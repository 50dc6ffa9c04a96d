"""Which file of a directory declares a Nix environment. Looks only: they are programs, and never run here.

A flake beside a `default.nix` or a `shell.nix` is the declaration: the other two are then usually a few lines that read
the flake for people who have no flakes. A `default.nix` beside a `shell.nix` is a conflict: no rule says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builders.errors import EnvironmentConflict
from builders.folders import chosen, present

if TYPE_CHECKING:
    from pathlib import Path

FLAKE, LOCK = "flake.nix", "flake.lock"
DEFAULT, SHELL = "default.nix", "shell.nix"


@dataclass(frozen=True, slots=True)
class NixFiles:
    """What there is, relative to the directory."""

    environment: str
    """The flake, the `default.nix` or the `shell.nix`."""
    lock: str = ""
    """The flake's lock file; `""`: there is none."""

    @property
    def folder(self) -> str:
        """Where they are, with a slash at its end; `""`: the root."""
        return self.environment.rpartition("/")[0] and self.environment.rpartition("/")[0] + "/"

    @property
    def is_flake(self) -> bool:
        """Say whether it is a flake."""
        return self.environment == f"{self.folder}{FLAKE}"

    @property
    def evidence(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted(filter(None, (self.environment, self.lock))))


def look(directory: Path) -> NixFiles | None:
    """None: nothing for Nix. Raises EnvironmentConflict, EnvironmentBroken."""
    folder = chosen(directory)
    if flake := present(directory, folder, (FLAKE,)):
        lock = present(directory, folder, (LOCK,))
        return NixFiles(flake[0], lock[0] if lock else "")
    found = present(directory, folder, (DEFAULT, SHELL))
    if len(found) > 1:
        raise EnvironmentConflict(found)
    return NixFiles(found[0]) if found else None
