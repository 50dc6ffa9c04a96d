"""The repo2docker builder: repo2docker reads the directory (render.py), `docker buildx` builds (here)."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from builders import engine, transfer
from builders.errors import BuildBroken, BuildFailed, EngineDown, EnvironmentBroken
from builders.folders import within
from builders.interface import KEY_LABEL, Declaration, Inputs, Log, Order, Progress, Step, Tell, Workshop
from builders.key import declared_files
from builders.lease import GRACE_S, leased
from builders.process import Command, ProgramMissing, output, running
from builders.repo2docker import files, pinning
from builders.repo2docker.bases import bases, permitted
from builders.repo2docker.buildkit import TAIL, Output
from builders.repo2docker.syntax import without_syntax

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from builders.lease import Lease
    from builders.process import Child
    from builders.repo2docker.render import Context

_REVISION = 1
"""Of how this package uses repo2docker: raise it whenever the same directory would become another image."""
AGAIN = "The build engine ended while it built; the build begins again"
"""Told once: an engine that ends a second time is told of as it is."""
_READING = "reading the repository"
_TOOL_S = 60


class Repo2Docker:
    """A Builder (builders/interface.py)."""

    name = "repo2docker"
    looks_for = (files.DOCKERFILE, *files.ANYWHERE, *files.ROOT_ONLY)

    @cached_property
    def version(self) -> str:
        """`<the library's version>-<our revision>`."""
        return f"{version('jupyter-repo2docker')}-{_REVISION}"

    def detect(self, directory: Path) -> Declaration | None:
        """As Builder.detect."""
        return files.declaration(directory)

    async def inputs(
        self,
        directory: Path,
        declared: Declaration,
        platform: str,  # noqa: ARG002  # files are the same for each
        workshop: Workshop,  # noqa: ARG002  # nothing is evaluated
        tell: Tell,  # noqa: ARG002
    ) -> Inputs:
        """As Builder.inputs."""
        loose = pinning.loose(directory, declared.evidence)
        return Inputs(await declared_files(directory, declared), *loose)

    async def build(self, order: Order, tell: Tell) -> str:
        """As Builder.build."""
        await asyncio.to_thread(_ping)
        with (
            tempfile.TemporaryDirectory(prefix="repolaunch-build-") as scratch,
            engine.tool_environment(order.date) as env,
        ):
            await _buildx(env)
            context = await asyncio.to_thread(self._read, order, Path(scratch), tell)
            for is_last in (False, True):
                async with leased(order.workshop.limits, tell) as lease:
                    try:
                        return await self._leased(order, lease, context, env, tell)
                    except EngineDown:
                        if is_last or not lease.parent:
                            raise
                tell(Progress(AGAIN))
            raise AssertionError  # the last round returns or raises

    async def _leased(self, order: Order, lease: Lease, context: Context, env: Mapping[str, str], tell: Tell) -> str:
        if not lease.parent:
            return await self._run(order, lease, context, env, tell)
        named = permitted(await asyncio.to_thread(bases, context), order.local_images)
        starts = await asyncio.to_thread(transfer.bring, named, tell)
        image = await self._run(order, lease, context, {**env, **lease.environment}, tell)
        await asyncio.to_thread(transfer.fetch, image, order.name, starts)
        return image

    def _read(self, order: Order, scratch: Path, tell: Tell) -> Context:
        # repo2docker takes a quarter of a second to import, which `detect` does without.
        from builders.repo2docker.render import Unreadable, render  # noqa: PLC0415

        tail: deque[str] = deque(maxlen=TAIL)

        def told(line: Log) -> None:
            tail.append(line.text)
            tell(line)

        tell(Step(_READING))
        try:
            return _without_git(
                render(order.directory, scratch, platform=order.found.platform, tell=told), order, scratch
            )
        except Unreadable as error:
            raise BuildFailed(self.name, _READING, (*tail, *str(error).splitlines()), 1) from error

    async def _run(self, order: Order, lease: Lease, context: Context, env: Mapping[str, str], tell: Tell) -> str:
        image_id = context.scratch / "image-id"
        command = Command(
            argv=(
                *("docker", "buildx", "build", "--progress=plain", "--load"),
                *(f"--platform={order.found.platform}", f"--tag={lease.image or order.name}"),
                *((f"--cgroup-parent={lease.parent}",) if lease.parent else ()),
                *((f"--file={context.dockerfile}",) if context.dockerfile else ()),
                *(f"--label={name}={value}" for name, value in _labels(order).items()),
                *(f"--build-arg={name}={value}" for name, value in context.arguments.items()),
                # BuildKit's own name for it: what a `--mount=type=cache` keeps is seen by builds of this key alone, not
                # by whoever else writes the same id; a pull request's build is a stranger to its repository's.
                f"--build-arg=BUILDKIT_CACHE_MOUNT_NS={order.found.key}",
                # By name only: the tool takes the value from its environment; no list of processes shows it.
                *(f"--build-arg={name}" for name in engine.PROXIES if name in env),
                *(f"--iidfile={image_id}", "--", str(context.source) if context.dockerfile else "-"),
            ),
            env=env,
            cwd=context.scratch,
            stdin=None if context.dockerfile else context.source,
        )
        read = Output(self.name, order.workshop.limits.log)
        async with running(command) as child, stopping(child, lease):
            async for raw in child.lines():
                if (line := read.read(raw)) is not None:
                    tell(line)
            status = await child.wait()
        # Not from the status: a step whose program was killed may end well.
        if passed := await lease.passed(read.step):
            raise passed
        if status < 0:
            raise BuildBroken(f"docker buildx was ended by signal {-status}")
        if status:
            raise read.error(status, walled=bool(lease.parent))
        return image_id.read_text("ascii").strip()


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


def _labels(order: Order) -> dict[str, str]:
    found = order.found
    about = {"org.repolaunch.builder": found.builder, "org.repolaunch.builder-version": found.builder_version}
    return {**order.labels, KEY_LABEL: found.key, **about}


def _ping() -> None:
    with engine.client():
        pass


async def _buildx(env: Mapping[str, str]) -> None:
    try:
        status, _ = await output(Command(("docker", "buildx", "version"), env), time_limit_s=_TOOL_S)
    except (ProgramMissing, TimeoutError) as error:
        raise BuildBroken("the docker command-line client is not installed, or does not answer") from error
    if status:
        raise BuildBroken("the docker command-line client has no buildx plugin")


def _without_git(context: Context, order: Order, scratch: Path) -> Context:
    """A Dockerfile's build must see what the key covers, the tree without `.git`, and be read by the engine itself.

    A Dockerfile elsewhere than in the context brings its own list of what the build does not see.
    """
    if context.dockerfile is None:
        return context
    name = os.path.relpath(context.dockerfile, order.directory)
    folder = scratch / "dockerfile"
    folder.mkdir()
    dockerfile = without_syntax(within(order.directory, name).read_bytes(), name)
    Path(folder, "Dockerfile").write_bytes(dockerfile)
    ignored = b"".join(_ignored(order.directory, (f"{name}.dockerignore", ".dockerignore")))
    Path(folder, "Dockerfile.dockerignore").write_bytes(ignored + b"\n.git\n**/.git\n")
    return replace(context, dockerfile=folder / "Dockerfile")


def _ignored(directory: Path, names: tuple[str, ...]) -> list[bytes]:
    """The first of the author's lists that there is."""
    for name in names:
        if (directory / name).is_symlink() or (directory / name).exists():
            try:
                return [within(directory, name).read_bytes()]
            except OSError as error:
                raise EnvironmentBroken(name, error.strerror or "it cannot be read") from error
    return []
