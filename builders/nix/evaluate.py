"""What a declaration is built from, by evaluating it purely: the verdict of what is pinned is the evaluator's own.

The evaluator reaches no network. What it wants fetched, a lock file's inputs or what a file fetches by its hash, is
fetched between two evaluations by expressions of ours (fetch.nix), which know nothing of the author's but addresses.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from builders.errors import (
    BuilderError,
    BuildFailed,
    BuildTimeout,
    EnvironmentBroken,
)
from builders.interface import Inputs
from builders.lines import LOOSE, REPRODUCIBLE, Step
from builders.nix import nar, purity
from builders.nix.expressions import TAIL, Expressions, decoded
from builders.nix.locks import Wanted, check, inputs
from builders.nix.outputs import lacking
from builders.sandbox_commands import SOURCE
from builders.source import copy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from builders.lines import Tell
    from builders.nix.events import Message
    from builders.nix.files import NixFiles
    from builders.nix.site import Nixpkgs
    from builders.sandbox import Daemon

EVALUATION_S = 300
"""How long all evaluations of one declaration and what they fetch may take."""
ROUNDS = 64
"""Evaluations of one declaration: each tells of one more thing to be fetched."""
_SYSTEMS = {"linux/amd64": "x86_64-linux", "linux/arm64": "aarch64-linux"}
_OFFLINE = re.compile(
    r"unable to (download|access)|Could not resolve host|cannot find Git revision|while fetching", re.IGNORECASE
)
_SITE = "nixpkgs"
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an environment is built from."""

    kind: str
    """`packages`: they are the environment. `shell`: what it is built with is."""
    derivations: tuple[str, ...]
    """`/nix/store/….drv^output`, in the author's order."""
    loose: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def inputs(self) -> Inputs:
        """As a builder tells it: the derivations are the whole of it."""
        pinning = LOOSE if self.loose else REPRODUCIBLE
        return Inputs(" ".join((self.kind, *self.derivations)), pinning, self.loose, self.advice)


@dataclass(eq=False)
class _Evaluation:
    """The evaluations of one declaration."""

    of: Daemon
    directory: Path
    files: NixFiles
    system: str
    tell: Tell
    locked: tuple[Wanted, ...]
    site: Nixpkgs | None
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    """Of the folder with the author's files."""
    source: str = ""
    """The author's files, as a path of the store; `nar_hash`: their hash."""
    nar_hash: str = ""
    nixpkgs: Mapping[str, str] | None = None
    accepted: bool = False
    """The site's nixpkgs is used: the author was seen to ask for one."""
    wrapped: bool = False
    fetched: dict[str, Any] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    nix: Expressions = field(init=False)

    def __post_init__(self) -> None:
        self.nix = Expressions(self.of, self.files.environment, self.tell)

    async def run(self) -> Evaluated:
        """Evaluate until nothing is missing any more. Raises BuilderError."""
        folder = self.of.source / self.name
        await asyncio.to_thread(copy, self.directory, folder, self.of.workshop.limits.disk)
        self.source, self.nar_hash = await asyncio.to_thread(nar.tree, folder)
        for _ in range(ROUNDS):
            answer = await self.nix.evaluate("evaluate", self._asked())
            if answer.error is None:
                return self._evaluated(answer.value)
            await self._mend(answer.error)
        raise EnvironmentBroken(
            self.files.environment, f"it wants more than {ROUNDS} things fetched, one after another"
        )

    def _evaluated(self, value: Mapping[str, Any]) -> Evaluated:
        derivations = tuple(f"{each['derivation']}^{each['output']}" for each in value["from"])
        return Evaluated(value["kind"], derivations, tuple(self.loose), tuple(self.advice))

    def _asked(self) -> dict[str, Any]:
        folder = self.files.folder.rstrip("/")
        path = f"{SOURCE}/{self.name}"
        flake = f"path:{path}?narHash={quote(self.nar_hash)}" + (f"&dir={quote(folder)}" if folder else "")
        return {
            "path": path,
            "narHash": self.nar_hash,
            "file": self.files.environment,
            "flake": flake if self.files.is_flake else "",
            "system": self.system,
            "wrapped": self.wrapped,
            "accepted": self.accepted,
            "nixpkgs": self.nixpkgs,
            "fetched": self.fetched,
        }

    # ------------------------------------------------------------------ what an evaluation lacked
    async def _mend(self, error: Message) -> None:
        """Do what it takes for the next evaluation to come further. Raises BuilderError where nothing does."""
        what = self._told(error)
        at = purity.where(error, self.source, self.files.environment)
        if what is None and self.files.is_flake and self.locked and _is_offline(error):
            wanted, self.locked = self.locked, ()
            await self._fetch(wanted)
        elif what is None and self._may_be_wrapped(error):
            self.wrapped = True
            if self.site is not None:
                await self._fetch_site()
        elif what is None:
            raise self._unexplained(error, at)
        elif "fetch" in what:
            await self._fetch_asked(what, at)
        elif str(what.get("construct")).startswith("<nixpkgs") and self.site is not None and not self.accepted:
            self.accepted = True
            self.loose.append(f"{at}: {what['construct']} is this site’s choice, {self.site.said}")
            self.advice.extend(self.site.advice)
        else:
            raise self._refusal(what, at)

    def _may_be_wrapped(self, error: Message) -> bool:
        """Whether a file may come further with what it asks the machine for told to it."""
        lacks = purity.is_mendable(error.reason) or _is_offline(error)
        return lacks and not self.files.is_flake and not self.wrapped

    def _told(self, error: Message) -> dict[str, Any] | None:
        """What our own expression said, if it was the one."""
        before, mark, after = error.reason.partition(self.nix.mark)
        del before
        if not mark:
            return None
        what: dict[str, Any] = decoded(after)
        return what

    def _refusal(self, what: Mapping[str, Any], at: str) -> BuilderError:
        match what:
            case {"construct": str(name)}:
                said = f"cannot look up '{name}' in pure" if name.startswith("<") else f"attribute '{name}' missing"
                if (found := purity.impure(said, at)) is not None:
                    return found
                reason = f"“{name}” is not pure"
            case {"shape": "flake", "outputs": list(there)}:
                reason = lacking(self.system, there)
            case {"shape": "function", "needed": list(needed)}:
                names = ", ".join(f"“{name}”" for name in needed)
                reason = f"it is a function that wants {names}, which nobody gives it: give each argument a default"
            case {"type": kind}:
                reason = f"it gives a value of type “{kind}”, not a package, a shell or a list of packages"
            case _:
                reason = "it cannot be evaluated"
        return EnvironmentBroken(self.files.environment, reason)

    def _unexplained(self, error: Message, at: str) -> BuilderError:
        if self.files.is_flake and _is_offline(error):
            found = re.search(r"[a-z+]+://[^\s'?]+", error.reason)
            address = found[0] if found else "something"
            what = f"it fetches “{address}” while it is evaluated: make that an input of the flake"
            return EnvironmentBroken(at, what)
        return purity.explained(error, self.source, self.files.environment)

    # ------------------------------------------------------------------ fetching
    async def _fetch_asked(self, what: Mapping[str, Any], at: str) -> None:
        wanted = Wanted(what["fetch"], what["args"], what["key"])
        check(wanted, at)
        await self._fetch((wanted,))
        pinned = {"sha256", "hash", "narHash", "rev"} & wanted.args.keys()
        if not pinned:
            found = self.fetched[wanted.key]
            name, value = ("rev", found["info"].get("rev", "")) if "info" in found else ("sha256", found["sha256"])
            self.loose.append(f"{at}: {wanted.fetch} of “{wanted.address}” has no {name}")
            self.advice.append(f'{name} = "{value}";')

    async def _fetch_site(self) -> None:
        assert self.site is not None  # noqa: S101  # asked before
        if self.site.folder:
            name = f"{self.name}-{_SITE}"
            await asyncio.to_thread(copy, self.site.folder, self.of.source / name, self.of.workshop.limits.disk)
            _, nar_hash = await asyncio.to_thread(nar.tree, self.of.source / name)
            self.nixpkgs = {"path": f"{SOURCE}/{name}", "narHash": nar_hash}
            return
        wanted = Wanted("fetchTarball", {"url": self.site.url, "sha256": self.site.sha256}, _SITE)
        await self._fetch((wanted,))
        found = self.fetched.pop(_SITE)
        self.nixpkgs = {"path": found["path"], "narHash": found["sha256"]}

    async def _fetch(self, wanted: Sequence[Wanted]) -> None:
        """Raises BuildFailed."""
        for one in wanted:
            self.tell(Step(f"fetching {one.address}"))
        listed = [
            {"key": one.key or f"input {at}", "fetch": one.fetch, "args": one.args} for at, one in enumerate(wanted)
        ]
        answer = await self.nix.evaluate("fetch", {"wanted": listed}, network=True)
        if answer.error is not None:
            addresses = ", ".join(one.address for one in wanted)
            tail = tuple(line for line in answer.error.reason.splitlines() if line.strip())[-TAIL:]
            raise BuildFailed("nix", f"fetching {addresses}"[:_SHOWN], tail, 1)
        self.fetched.update(answer.value)


async def evaluate(
    of: Daemon, directory: Path, files: NixFiles, platform: str, tell: Tell, site: Nixpkgs | None = None
) -> Evaluated:
    """Raises BuilderError: of what is not pure, of what is broken, of a limit that was passed."""
    system = _SYSTEMS.get(platform)
    if system is None:
        raise EnvironmentBroken(files.environment, f"nothing is built with Nix for {platform} here")
    locked = inputs((directory / files.lock).read_bytes(), files.lock) if files.lock else ()
    evaluation = _Evaluation(of, directory, files, system, tell, locked, site)
    tell(Step(evaluation.nix.step))
    try:
        async with asyncio.timeout(EVALUATION_S):
            return await evaluation.run()
    except TimeoutError:
        raise BuildTimeout(EVALUATION_S, evaluation.nix.step) from None


def _is_offline(error: Message) -> bool:
    return any(_OFFLINE.search(text) for text in (error.reason, *(place.what for place in error.places)))
