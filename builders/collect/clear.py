"""Clearing up while nobody builds or pushes: what nothing leads to any more is removed for good."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from builders.collect import registry, stores
from builders.errors import BuildBroken
from builders.guix.collect import collect as collect_guix
from builders.lines import Step
from builders.nix.collect import collect as collect_nix
from builders.process import Command, ProgramMissing, output
from builders.text import clean, without_paths
from builders.turns import STORES, alone, alone_in
from builders.views import clear

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builders.interface import Workshop
    from builders.lines import Tell
    from builders.oci.registry import Repository
    from builders.turns import Own

LIMIT_S = 3600
_SHOWN = 300


async def clear_stores(workshop: Workshop, tell: Tell) -> None:
    """Remove what no environment has, of all stores. Raises BuildFailed, BuildBroken, EngineDown."""
    async with alone(workshop.stores / STORES):
        await asyncio.to_thread(stores.tidy, workshop.stores)
        await collect_nix(workshop, tell)
        await collect_guix(workshop, tell)
        await asyncio.to_thread(clear, workshop.stores)


async def clear_registry(own: Own, images: Iterable[Repository], tell: Tell) -> None:
    """Remove what no image and no commit has. Whoever pulls notices nothing. Raises RegistryDown, BuildBroken."""
    async with alone_in(own):
        tell(Step("collecting the registry"))
        for one in images:
            await asyncio.to_thread(registry.tidy, one)
        if not registry.has_anything(own):
            return  # the registry's own collector would call that a failure
        command = Command(own.collect, dict(os.environ) | {"OTEL_TRACES_EXPORTER": "none"})
        try:
            status, said = await output(command, time_limit_s=LIMIT_S)
        except (ProgramMissing, TimeoutError):
            raise BuildBroken("the registry's own collector is missing, or does not end") from None
        if status:
            raise BuildBroken(f"the registry's own collector failed: {without_paths(clean(said))[-_SHOWN:]}")
