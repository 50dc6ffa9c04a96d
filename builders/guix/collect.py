"""Guix's own collector, run in a pair of containers: what has no root goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from builders.guix.means import means
from builders.guix.source import prepare
from builders.guix.tool import STORE, Run, answers, tool
from builders.sandbox import daemon
from builders.sandbox_door import WHOLE

if TYPE_CHECKING:
    from builders.guix.means import Means
    from builders.interface import Workshop
    from builders.lines import Tell


async def collect(workshop: Workshop, tell: Tell, chosen: Means | None = None) -> None:
    """Collect, where there is a store; only while nobody builds: a build's paths have no root until it ends.

    Raises BuildFailed, BuildBroken, EngineDown.
    """
    if not (workshop.stores / STORE).is_dir():
        return
    how = chosen or means()
    async with daemon(tool(how.substitutes, how.folders), workshop, network=False) as of:
        await asyncio.to_thread(prepare, of, None)
        await answers(of, Run(("guix", "gc"), "collecting the store of Guix", WHOLE), tell)
