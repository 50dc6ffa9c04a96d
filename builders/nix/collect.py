"""Nix's own collector, run in a pair of containers: what has no root goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders.errors import BuildBroken
from builders.lines import Log, Step
from builders.nix.tool import NIX
from builders.sandbox import daemon, evaluator
from builders.text import clean, without_paths

if TYPE_CHECKING:
    from builders.interface import Workshop
    from builders.lines import Tell

_SHOWN = 300


async def collect(workshop: Workshop, tell: Tell) -> None:
    """Collect, where there is a store; only while nobody builds: a build's paths have no root until it ends.

    Raises BuildBroken, EngineDown.
    """
    if not (workshop.stores / "nix" / "store").is_dir():
        return
    tell(Step("collecting the store of Nix"))
    last = ""
    async with daemon(NIX, workshop, network=False, tell=tell) as of, evaluator(of, ("nix-store", "--gc")) as running:
        async for line in running.child.lines():
            last = clean(line) or last
        ending = await running.ending()
    if ending.status:
        raise BuildBroken(f"Nix could not collect its store: {without_paths(last)[:_SHOWN]}")
    tell(Log(last))
