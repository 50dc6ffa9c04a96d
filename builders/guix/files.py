"""Which files of a directory declare a Guix environment. Looks only: they are programs, and never run here.

A *manifest* (`manifest.scm`) is what `guix shell -m` would give, a *package* (`guix.scm`) what `guix shell -D -f` would
give: all that it is built with. `channels.scm` beside it says which Guix that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builders.errors import EnvironmentConflict
from builders.folders import chosen, present

if TYPE_CHECKING:
    from pathlib import Path

CHANNELS = "channels.scm"
MANIFEST, PACKAGE = "manifest.scm", "guix.scm"


@dataclass(frozen=True, slots=True)
class GuixFiles:
    """What there is, relative to the directory."""

    environment: str
    """The manifest or the package."""
    channels: str = ""
    """`""`: the author does not say which Guix it is for."""

    @property
    def is_package(self) -> bool:
        """Say whether the environment is a package's."""
        return self.environment.rpartition("/")[2] == PACKAGE

    @property
    def evidence(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted(filter(None, (self.channels, self.environment))))


def look(directory: Path) -> GuixFiles | None:
    """None: nothing for Guix. Raises EnvironmentConflict, EnvironmentBroken."""
    folder = chosen(directory)
    environment = present(directory, folder, (MANIFEST, PACKAGE))
    if not environment:
        return None
    if len(environment) > 1:
        # `guix shell` would silently take the manifest.
        raise EnvironmentConflict(tuple(sorted(environment)))
    channels = present(directory, folder, (CHANNELS,))
    return GuixFiles(environment[0], channels[0] if channels else "")
