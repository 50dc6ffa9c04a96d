"""What the build worker does for each request: a builder process for most, an answer of its own for the rest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builders import lines, variables
from builders.errors import BuildBroken, BuilderError, BuildTimeout
from builders.leftovers import remove_traces, scratch_of
from builders.oci import view
from builders.process import Command, ProgramMissing, running
from builders.retention import let_go
from builders.site import CPU_S, prlimit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from builders.images import EngineImages
    from builders.registry import Registry
    from builders.requests import Request
    from builders.site import Site

    Send = Callable[[str], Awaitable[None]]

log = logging.getLogger(__name__)
READS, EVALUATIONS = 8, 8
"""Directories that are read at one time, and that are evaluated, which is running strangers' code for minutes."""
WAITING = "Waiting until other environments are evaluated"
KEEP_AGAIN_S = 600
"""When filling the site's cache is tried again."""
GRACE_S = 15
"""More than a builder itself takes to stop its own children."""
# Beside the packages, never the working directory: a file of that name would be imported instead.
_BESIDE = Path(__file__).resolve().parents[1]


class Verbs:
    """The verbs of `requests.VERBS`."""

    def __init__(
        self,
        site: Site,
        engine: EngineImages,
        registry: Registry,
        used: Callable[[str], None],
        *,
        python: str = sys.executable,
    ) -> None:
        """`registry` is the only one that is ever spoken to; `used` hears of each image that a launch asks for."""
        self._site = site
        self._used = used
        self._engine = engine
        self._registry = registry
        self._python = python
        self._builds = asyncio.Semaphore(site.build_limit)
        self._reads, self._evaluations = asyncio.Semaphore(READS), asyncio.Semaphore(EVALUATIONS)
        self._pushed = asyncio.Event()
        self.life = secrets.token_hex(8)

    async def keep(self) -> None:
        """Fill the site's own cache: at the beginning and after each push, again where that failed; for ever."""
        while True:
            self._pushed.clear()
            again = None if await self._kept() else KEEP_AGAIN_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(again):
                    await self._pushed.wait()

    async def _kept(self) -> bool:
        last = ""

        async def send(text: str) -> None:
            nonlocal last
            last = text

        try:
            await self._builder("keep", self._site.limits, send)
        except BuilderError as error:
            last = lines.format_line(lines.Error(type(error).__name__, dict(vars(error))))
        final = lines.parse_line(last)
        if isinstance(final, lines.Error):
            log.warning("filling the site's cache: %s %s", final.error, dict(final.facts))
        return not isinstance(final, lines.Error)

    async def run(self, request: Request, send: Send) -> None:
        """Send the answer's lines; raises BuilderError for a last one that was not sent yet."""
        fields = request.fields
        match request.verb:
            case "has":
                found = await self._engine.image(fields["engine_id"])
                self._used(fields["engine_id"])
                await send(_known(fields["engine_id"] if found and self._can_start(found) else ""))
            case "find":
                await send(_known(await self._registry.find(fields["key"], fields["space"])))
            case "registry":
                await self._registry.health()
                await send(_known(""))
            case "build":
                async with self._builds:
                    await self._builder("build", self._build(fields), send)
            case "inspect":
                await self._builder("inspect", await self._inspect(fields), send)
            case "push":
                await self._ours(fields["engine_id"])
                space = str(fields["space"])
                where = (f"--space={space}", "--", fields["engine_id"], self._registry.target(fields["key"], space))
                await self._builder("push", where, send)
                self._pushed.set()
            case "archive" | "archived" | "restore":
                await self._builder(request.verb, self._archive(request), send)
            case "detect":
                about = (*self._site.limits, f"--space={fields['space']}", "--", str(self._site.checkout(fields)))
                await self._detect(about, send)
            case "holdings" | "forget" | "clear":
                await self._collect(request, send)
            case _:
                await self._builder("fingerprint", (), send)

    async def _detect(self, arguments: tuple[str, ...], send: Send) -> None:
        """Read; then evaluate, where that has to be. Each has places of its own: who evaluates stops no reading."""
        unevaluated = False

        async def read(text: str) -> None:
            nonlocal unevaluated
            unevaluated = isinstance(lines.parse_line(text), lines.Unevaluated)
            if not unevaluated:
                await send(text)

        async with self._reads:
            await self._builder("read", arguments, read)
        if unevaluated:
            if self._evaluations.locked():
                await send(lines.format_line(lines.Progress(WAITING)))
            async with self._evaluations:
                await self._builder("detect", arguments, send)

    # ------------------------------------------------------------------ arguments
    def _build(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        labels = {
            "repolaunch.installation": self._site.installation,
            "org.opencontainers.image.source": fields["source"],
            "org.opencontainers.image.revision": fields["commit"],
        }
        # What was built before keeps its name: projects use it, and it may not have been pushed yet.
        again = f"-{int(time.time())}" if fields["afresh"] else ""
        return (
            *(("--afresh",) if again else ()),
            f"--key={fields['key']}",
            f"--space={fields['space']}",
            f"--platform={fields['platform']}",
            f"--name={self._site.local}{fields['key']}{again}",
            f"--date={fields['date']}",
            f"--local-images={self._site.local_images}",
            *self._site.limits,
            *(f"--label={name}={value}" for name, value in labels.items()),
            *("--", str(self._site.checkout(fields))),
        )

    def _archive(self, request: Request) -> tuple[str, ...]:
        """The arguments of the verbs of `builders/oci/commands.py`; all of them name the registry's repository."""
        fields = request.fields
        said = tuple(
            f"--{name}={fields[name]}" for name in ("source", "ref", "commit", "name", "tree") if name in fields
        )
        where = self._registry.sources
        match request.verb:
            case "archive":
                return (*said, f"--most={self._site.archive_bytes}", "--", where, str(self._site.checkout(fields)))
            case "restore":
                folder = self._site.checkouts / str(fields["checkout"])
                return (*said, f"--owner={self._site.client}", "--", where, str(folder))
            case _:
                return (*said, "--", where)

    async def _collect(self, request: Request, send: Send) -> None:
        """The verbs of `builders/collect/commands.py`; whether something is used, the launcher has looked."""
        fields, where = request.fields, self._registry.place
        match request.verb:
            case "holdings":
                measure = ("--measure",) if fields["measure"] == "yes" else ()
                await self._builder("holdings", (*measure, "--", where), send)
            case "clear":
                await self._builder("clear", ("--", fields["place"], where), send)
            case _:
                await self._forget(fields, where, send)

    async def _forget(self, fields: Mapping[str, Any], registry: str, send: Send) -> None:
        """Let a thing go; an image from the sessions' engine too, before the answer: nobody waits for what follows."""
        kind, thing, space = (str(fields[name]) for name in ("kind", "thing", "space"))
        said: list[str] = []

        async def hold(line: str) -> None:
            said.append(line)

        digest = await self._registry.find(thing, space) if kind == "image" else ""
        await self._builder("forget", (f"--kind={kind}", f"--thing={thing}", f"--space={space}", "--", registry), hold)
        if digest and not await self._registry.find(thing, space):
            where = self._registry.name(space)
            names = (f"{self._site.local}{thing}", f"{where}:{thing}", f"{where}@{digest}")
            await let_go(self._engine, self._site.installation, names)
        for line in said:
            await send(line)

    async def _inspect(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        image: str = fields["image"]
        if "@" not in image:
            await self._ours(image)
        elif self._registry.space_of(image) is None:
            raise BuildBroken("the build worker refused: the image is in another registry or repository")
        return (
            f"--checkout={self._site.checkout(fields)}",
            f"--commit={fields['commit']}",
            f"--contents={self._site.contents}",
            *("--", image),
        )

    def _can_start(self, found: Mapping[str, Any]) -> bool:
        """Whether sessions can start from it: not from what has lost its view of the stores, or may show none."""
        labels = (found.get("Config") or {}).get("Labels") or {}
        stores = self._site.env.get(variables.STORES, "")
        if view.LABEL not in labels:
            return True
        return self._site.env.get(variables.VIEWS) == "1" and view.anywhere(Path(stores), found["Id"]) is not None

    async def _ours(self, engine_id: str) -> None:
        """Raise BuildBroken for an image that is gone, or that neither we built nor our registry gave us."""
        found = await self._engine.image(engine_id)
        if found is None:
            raise BuildBroken(f"the engine no longer has the image {engine_id[:19]}")
        labels = (found.get("Config") or {}).get("Labels") or {}
        names = [*(found.get("RepoTags") or ()), *(found.get("RepoDigests") or ())]
        # What is assembled carries no installation's label: its bytes are the same everywhere. It has our name here.
        is_named = any(name.startswith(self._site.local) or self._registry.space_of(name) is not None for name in names)
        if labels.get("repolaunch.installation") != self._site.installation and not is_named:
            raise BuildBroken("the build worker refused: the image is none of this installation")

    # ------------------------------------------------------------------ processes
    async def _builder(self, verb: str, arguments: tuple[str, ...], send: Send) -> None:
        """Run `python -m builders`; its last line is sent last, and is an error where it did not end well."""
        call = secrets.token_hex(8)
        if verb in {"read", "detect", "build", "inspect", "keep", "clear"}:
            arguments = (*self._site.marks(self.life, call), *arguments)
        async with scratch_of(call, self._site.scratch) as scratch:
            command = Command(
                argv=(
                    *prlimit(verb),
                    self._python,
                    "-m",
                    "builders",
                    verb,
                    "--json",
                    *self._site.limit(verb),
                    *arguments,
                ),
                env=self._site.environment(verb) | {"TMPDIR": str(scratch)},
                cwd=_BESIDE,
                leash=True,
                stderr=False,
                max_line=lines.MAX_LINE,
            )
            await self._run(command, verb, call, send)

    async def _run(self, command: Command, verb: str, call: str, send: Send) -> None:
        last = ""
        try:
            async with running(command, grace_s=GRACE_S) as child:
                async for last in child.lines():
                    await send(last)
                status = await child.wait()
        except ProgramMissing as error:
            raise BuildBroken(f"{error.program} is missing") from error
        final = lines.parse_line(last)
        if not isinstance(final, lines.FINAL) or (status and not isinstance(final, lines.Error)):
            await remove_traces(self._engine, self._site.contents, call, child.pid)
            if status == -signal.SIGXCPU:
                raise BuildTimeout(CPU_S[verb], lines.READING)
            raise BuildBroken(f"the builder process ended with status {status} and without an answer")


def _known(digest: str) -> str:
    return lines.format_line(lines.Known(digest))
