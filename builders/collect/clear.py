"""Clearing up while nobody builds or pushes: what nothing leads to any more is removed for good."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from builders.collect import registry, stores
from builders.errors import BuildBroken
from builders.guix.collect import collect as collect_guix
from builders.lines import Step
from builders.nix.collect import collect as collect_nix
from builders.process import Command, ProgramMissing, output
from builders.spaces import all_stores
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
    """Remove what no environment has, of the site's stores and of each private repository's, and stores that have none.

    Raises BuildFailed, BuildBroken, EngineDown.
    """
    site = workshop.stores
    async with alone(site / STORES):
        await asyncio.to_thread(stores.sweep, site)
        for space, folder in await asyncio.to_thread(lambda: list(all_stores(site))):
            own = replace(workshop, stores=folder, space=space, site=site)
            await asyncio.to_thread(stores.tidy, folder)
            is_gone = await asyncio.to_thread(stores.leave, folder) if space else False
            if is_gone:
                continue
            await collect_nix(own, tell)
            await collect_guix(own, tell)
            await asyncio.to_thread(clear, folder)


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
