"""The table of builders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders.guix.builder import Guix
from builders.guix.keeping import GuixKeeper
from builders.nix.builder import NixBuilder
from builders.nix.keeping import NixKeeper
from builders.repo2docker.builder import Repo2Docker

if TYPE_CHECKING:
    from builders.interface import Builder
    from builders.site_cache import Keeper

BUILDERS: tuple[Builder, ...] = (Repo2Docker(), NixBuilder(), Guix())
KEEPERS: tuple[Keeper, ...] = (NixKeeper(), GuixKeeper())
"""Those that fill a site's own cache."""
