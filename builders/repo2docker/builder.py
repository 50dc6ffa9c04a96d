"""The repo2docker builder: repo2docker reads the directory (render.py), `docker buildx` builds (here)."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import tempfile
from collections import deque
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from builders import engine, transfer
from builders.errors import BuildFailed, EngineDown, EnvironmentBroken
from builders.folders import within
from builders.interface import Declaration, Inputs
from builders.key import declared_files, tree_id
from builders.labels import KEY_LABEL, REVISION_LABEL, SOURCE_LABEL, TREE_LABEL
from builders.lease import Lease, leased
from builders.lines import READING, Progress, Step
from builders.repo2docker import files, named, pinning
from builders.repo2docker.bases import bases, permitted
from builders.repo2docker.buildkit import TAIL
from builders.repo2docker.locked import bare
from builders.repo2docker.locked.builder import Locked
from builders.repo2docker.locked.files import LOCKS
from builders.repo2docker.run import Run, has_buildx
from builders.repo2docker.syntax import without_syntax

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builders.interface import Order, Workshop
    from builders.lines import Log, Tell
    from builders.repo2docker.render import Context

_REVISION = 3
"""Of how this package uses repo2docker: raise it whenever the same directory would become another image."""
AGAIN = "The build engine ended while it built; the build begins again"
"""Told once: an engine that ends a second time is told of as it is."""


class Repo2Docker:
    """A Builder (builders/interface.py)."""

    name = "repo2docker"
    evaluates = False
    looks_for = (files.DOCKERFILE, *LOCKS, *files.ANYWHERE, *files.ROOT_ONLY)

    @cached_property
    def version(self) -> str:
        """`<the library's version>-<our revision>`."""
        return f"{version('jupyter-repo2docker')}-{_REVISION}"

    def detect(self, directory: Path) -> Declaration | None:
        """As Builder.detect."""
        return files.declaration(directory)

    def bare(self) -> Declaration:
        """As Bare.bare: what lock files are installed on, with a kernel."""
        return Declaration(())

    async def inputs(
        self,
        directory: Path,
        declared: Declaration,
        platform: str,
        workshop: Workshop,  # noqa: ARG002  # nothing is evaluated
        tell: Tell,  # noqa: ARG002
    ) -> Inputs:
        """As Builder.inputs."""
        if not declared.evidence:
            return await bare.inputs(directory, platform, self.looks_for)
        await asyncio.to_thread(named.check, directory, declared.evidence)
        files_digest = await declared_files(directory, declared)
        if lock := files.locked(directory, declared.evidence):
            return await Locked(directory, lock, platform).inputs(files_digest)
        return Inputs(files_digest, *pinning.loose(directory, declared.evidence))

    async def ground(self) -> str:
        """What inputs depend on besides files: the id of the image that lock files are built on."""
        return await Locked.ground()

    async def build(self, order: Order, tell: Tell) -> str:
        """As Builder.build."""
        await asyncio.to_thread(_ping)
        with (
            tempfile.TemporaryDirectory(prefix="repolaunch-build-") as name,
            engine.tool_environment(order.date) as env,
        ):
            await has_buildx(env)
            scratch = Path(name)
            labels = _labels(order, await tree_id(order.directory) if order.found.tree else "")
            if locked := _locked(order):
                context = await locked.context(Run(self.name, order, Lease(order.workshop.limits), env, tell), scratch)
            else:
                context = await asyncio.to_thread(self._read, order, scratch, tell)
            for is_last in (False, True):
                async with leased(order.workshop.limits, tell) as lease:
                    try:
                        return await self._leased(Run(self.name, order, lease, env, tell), context, labels)
                    except EngineDown:
                        if is_last or not lease.parent:
                            raise
                tell(Progress(AGAIN))
            raise AssertionError  # the last round returns or raises

    async def _leased(self, run: Run, context: Context, labels: Mapping[str, str]) -> str:
        named = (*permitted(await asyncio.to_thread(bases, context), run.order.local_images), *context.bases)
        if not run.lease.parent:
            return await run.image(context, labels, local=bool(named))
        starts = await asyncio.to_thread(transfer.bring, named, run.tell)
        image = await run.on_build_engine().image(context, labels, local=bool(named))
        await asyncio.to_thread(transfer.fetch, image, run.order.name, starts)
        return image

    def _read(self, order: Order, scratch: Path, tell: Tell) -> Context:
        # repo2docker takes a quarter of a second to import, which `detect` does without.
        from builders.repo2docker.render import Unreadable, render  # noqa: PLC0415

        tail: deque[str] = deque(maxlen=TAIL)

        def told(line: Log) -> None:
            tail.append(line.text)
            tell(line)

        tell(Step(READING))
        directory = order.directory if order.found.tree else _specification(order, scratch)
        try:
            return _without_git(render(directory, scratch, platform=order.found.platform, tell=told), order, scratch)
        except Unreadable as error:
            raise BuildFailed(self.name, READING, (*tail, *str(error).splitlines()), 1) from error


def _locked(order: Order) -> Locked | None:
    evidence, platform = order.found.evidence, order.found.platform
    if not evidence:
        return bare.locked(platform)
    lock = files.locked(order.directory, evidence)
    return Locked(order.directory, lock, platform) if lock else None


def _labels(order: Order, tree: str) -> dict[str, str]:
    """Equal key, equal labels: those of the order that name a repository are for the papers (`oci/provenance.py`)."""
    found = order.found
    about = {"org.repolaunch.builder": found.builder, "org.repolaunch.builder-version": found.builder_version}
    # An image that has nothing of a repository but its specification is no tree's.
    named = {name: text for name, text in order.labels.items() if name not in {SOURCE_LABEL, REVISION_LABEL}}
    return {**(named | {TREE_LABEL: tree} if tree else {}), KEY_LABEL: found.key, **about}


def _specification(order: Order, scratch: Path) -> Path:
    """A folder with what declares the environment and nothing else; the same whoever makes it, and when."""
    folder = scratch / "specification"
    for name in order.found.evidence:
        source, copy = within(order.directory, name), folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        copy.chmod(0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
        os.utime(path, (0, 0))
    return folder


def _ping() -> None:
    with engine.client():
        pass


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
