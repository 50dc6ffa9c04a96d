"""`docker buildx build`: one run of it, its limits, and what it says."""

from __future__ import annotations

import asyncio
import secrets
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builders import engine
from builders.errors import BuildBroken
from builders.lease import GRACE_S
from builders.process import Command, ProgramMissing, output, running
from builders.repo2docker.buildkit import Output

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from builders.interface import Order
    from builders.lease import Lease
    from builders.lines import Tell
    from builders.process import Child
    from builders.repo2docker.render import Context

_TOOL_S = 60


@dataclass(frozen=True, slots=True)
class Run:
    """Builds for one order under one lease."""

    builder: str
    order: Order
    lease: Lease
    env: Mapping[str, str]
    """Of the `docker` tool."""
    tell: Tell

    def on_build_engine(self) -> Run:
        """The same, where the lease is."""
        return replace(self, env={**self.env, **self.lease.environment})

    async def image(self, context: Context, labels: Mapping[str, str], *, local: bool) -> str:
        """Build an image; its engine id. `local`: it starts from what no registry has. Raises as Builder.build."""
        image_id = context.scratch / "image-id"
        await self.build(
            context,
            *(("--pull",) if self.order.afresh and not local else ()),
            "--load",
            f"--tag={self.lease.image or self.order.name}",
            *(f"--label={name}={value}" for name, value in labels.items()),
            f"--iidfile={image_id}",
        )
        return image_id.read_text("ascii").strip()

    @property
    def _kept(self) -> str:
        return f"{self.order.found.key}-{secrets.token_hex(8)}" if self.order.afresh else self.order.found.key

    async def build(self, context: Context, *options: str) -> None:
        """Build; `options` say what becomes of it. Raises as Builder.build."""
        command = Command(
            argv=(
                *("docker", "buildx", "build", "--progress=plain", f"--platform={self.order.found.platform}", *options),
                *(("--no-cache",) if self.order.afresh else ()),
                *((f"--cgroup-parent={self.lease.parent}",) if self.lease.parent else ()),
                *((f"--file={context.dockerfile}",) if context.dockerfile else ()),
                *((f"--network={context.network}",) if context.network else ()),
                *(f"--secret=id={name},src={path}" for name, path in context.secrets.items()),
                *(f"--build-arg={name}={value}" for name, value in context.arguments.items()),
                # BuildKit's own name for it: what a `--mount=type=cache` keeps is seen by builds of this key alone, not
                # by whoever else writes the same id; a pull request's build is a stranger to its repository's.
                f"--build-arg=BUILDKIT_CACHE_MOUNT_NS={self._kept}",
                # By name only: the tool takes the value from its environment; no list of processes shows it.
                *(f"--build-arg={name}" for name in engine.PROXIES if name in self.env),
                *("--", str(context.source) if context.dockerfile else "-"),
            ),
            env=self.env,
            cwd=context.scratch,
            stdin=None if context.dockerfile else context.source,
        )
        read = Output(self.builder, self.order.workshop.limits.log)
        async with running(command) as child, stopping(child, self.lease):
            async for raw in child.lines():
                if (line := read.read(raw)) is not None:
                    self.tell(line)
            status = await child.wait()
        # Not from the status: a step whose program was killed may end well.
        if passed := await self.lease.passed(read.step):
            raise passed
        if status < 0:
            raise BuildBroken(f"docker buildx was ended by signal {-status}")
        if status:
            raise read.error(status, walled=bool(self.lease.parent))


@asynccontextmanager
async def stopping(child: Child, lease: Lease) -> AsyncIterator[None]:
    """End the child when the build has passed a limit and does not notice that its steps are gone."""

    async def stop() -> None:
        await lease.told.wait()
        await asyncio.sleep(GRACE_S)
        child.signal(signal.SIGTERM)

    task = asyncio.create_task(stop())
    try:
        yield
    finally:
        task.cancel()


async def has_buildx(env: Mapping[str, str]) -> None:
    """Raise BuildBroken where the `docker` tool, or its plugin, is not there."""
    try:
        status, _ = await output(Command(("docker", "buildx", "version"), env), time_limit_s=_TOOL_S)
    except (ProgramMissing, TimeoutError) as error:
        raise BuildBroken("the docker command-line client is not installed, or does not answer") from error
    if status:
        raise BuildBroken("the docker command-line client has no buildx plugin")


async def image_id(name: str) -> str:
    """The id of an image of the sessions' engine; `""`: there is none, or nobody to ask."""
    with engine.tool_environment(0) as env:
        try:
            asked = Command(("docker", "image", "inspect", "--format={{.Id}}", "--", name), env, stderr=False)
            status, said = await output(asked, time_limit_s=_TOOL_S)
        except (ProgramMissing, TimeoutError):
            return ""
    return "" if status else said.strip()
