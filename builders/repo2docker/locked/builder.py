"""An environment from a lock file: what its image depends on, and what its build is given."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tarfile
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from builders import transfer
from builders.errors import BaseImageMissing, BuildBroken
from builders.interface import Inputs
from builders.lease import leased
from builders.lines import LOCKED, LOOSE, Log, Progress
from builders.repo2docker import pinning
from builders.repo2docker.locked import target
from builders.repo2docker.run import Run, image_id
from builders.turns import building

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builders.repo2docker.locked.files import Lock
    from builders.repo2docker.locked.plan import Plan, Wheel
    from builders.repo2docker.locked.wheels import Wheels
    from builders.repo2docker.render import Context

_REVISION = 1
"""Of what the steps do: raise it whenever the same lock file would become another image."""
NO_KERNEL = (
    "Warning: {lock} has no ipykernel, so notebooks have no kernel here; a terminal works. "
    "To run notebooks add ipykernel{how} and lock again."
)
_HOW = {"uv.lock": " (uv add ipykernel)"}
WHOLE = "Every file of the repository counts for this environment, because of {why}: each commit is built"


@dataclass(frozen=True, slots=True)
class Locked:
    """One lock file of one directory."""

    directory: Path
    lock: Lock
    platform: str

    async def inputs(self, files_digest: str) -> Inputs:
        """As Builder.inputs. Raises EnvironmentBroken, BaseImageMissing."""
        from builders.repo2docker.locked import plan as plans  # noqa: PLC0415  # packaging is slow, and rarely needed

        plan = await plans.plan(self.directory, self.lock, self.platform)
        ground = await self.ground()
        if not ground:
            raise BaseImageMissing(target.IMAGE)
        form = [files_digest, ground, version("uv"), _REVISION]
        loose = (*plan.loose, *plans.python_asked(self.directory, self.lock), *self._beside())
        digest = hashlib.sha256(json.dumps(form).encode()).hexdigest()
        return Inputs(digest, LOOSE if loose else LOCKED, loose)

    @staticmethod
    async def ground() -> str:
        """The id of the image that all of them are built on; `""`: there is none."""
        return await image_id(target.IMAGE)

    def _beside(self) -> tuple[str, ...]:
        """What is not pinned in the files beside the lock file."""
        others = tuple(name for name in self.lock.evidence if name != self.lock.name)
        return tuple(
            pinning.lines(self.directory, [name for name in others if name.endswith(("apt.txt", "postBuild"))])
        )

    async def context(self, run: Run, scratch: Path) -> Context:
        """What the build is given; wheels that are not kept are fetched first. Raises as Builder.build."""
        async with building(run.order.workshop.common, run.tell):  # no wheel goes before it was copied
            return await self._context(run, scratch)

    async def _context(self, run: Run, scratch: Path) -> Context:
        from builders.repo2docker.locked import context  # noqa: PLC0415  # as above
        from builders.repo2docker.locked import plan as plans  # noqa: PLC0415  # as above
        from builders.repo2docker.locked.wheels import Wheels  # noqa: PLC0415  # as above

        plan = await plans.plan(self.directory, self.lock, self.platform)
        for line in self._said(plan):
            run.tell(Log(line))
        kept = Wheels(run.order.workshop.stores, self.platform)
        (scratch / "kept").mkdir()
        lacking = await asyncio.to_thread(context.fill, scratch / "kept", plan, kept)
        if lacking:
            plan = await self._fetch(run, scratch, plan, lacking, kept)
        made, wheels = await asyncio.to_thread(context.of_image, self.directory, scratch, plan)
        if still := await asyncio.to_thread(context.fill, wheels, plan, kept):
            raise BuildBroken(f"a wheel of {still[0].name} was fetched and is not there")
        await asyncio.to_thread(context.readable, made)
        return made

    def _said(self, plan: Plan) -> list[str]:
        said = []
        why = [name for name in self.lock.evidence if name.endswith(("postBuild", "start"))]
        if plan.local:
            why.append(f"{self.lock.name}, which names the repository's own files")
        if self.lock.whole_tree:
            said.append(WHOLE.format(why=" and ".join(why) or self.lock.name))
        if not plan.has_kernel:
            said.append(NO_KERNEL.format(lock=self.lock.name, how=_HOW.get(self.lock.kind, "")))
        return said

    async def _fetch(self, run: Run, scratch: Path, plan: Plan, lacking: Sequence[Wheel], kept: Wheels) -> Plan:
        """Fetch wheels; the plan as it is then, for some packages may have none."""
        from builders.repo2docker.locked import context  # noqa: PLC0415  # as above

        run.tell(Progress(f"Fetching {len(lacking)} of {len(plan.wheels)} packages"))
        made = context.of_fetch(scratch, plan, lacking)
        archive = scratch / "wheels.tar"
        async with leased(run.order.workshop.limits, run.tell) as lease:
            one = replace(run, lease=lease)
            if lease.parent:
                await asyncio.to_thread(transfer.bring, made.bases, run.tell)
                one = one.on_build_engine()
            await one.build(made, f"--output=type=tar,dest={archive}")
        try:
            await asyncio.to_thread(kept.keep, archive, lacking)
            missing = await asyncio.to_thread(context.missing, archive)
        except tarfile.TarError as error:
            raise BuildBroken("what was fetched cannot be read") from error
        sources = tuple(wheel.line for wheel in lacking if wheel.line in missing)
        wheels = tuple(wheel for wheel in plan.wheels if wheel.line not in missing)
        return replace(plan, wheels=wheels, sources=(*plan.sources, *sources))
