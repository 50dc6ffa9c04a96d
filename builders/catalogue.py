"""The table of builders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders.guix.builder import Guix
from builders.nix.builder import NixBuilder
from builders.repo2docker.builder import Repo2Docker

if TYPE_CHECKING:
    from builders.interface import Builder

BUILDERS: tuple[Builder, ...] = (Repo2Docker(), NixBuilder(), Guix())
