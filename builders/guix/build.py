"""From a profile's derivation to what an image is made of: its store paths, and the variables that it wants."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders.errors import BuildBroken
from builders.guix.evaluate import ROOTS, keep, program
from builders.guix.log import name_of
from builders.guix.tool import STATE, Run, answers
from builders.oci import closure
from builders.oci.closure import Closure, check_count, checked_closure, is_store_path
from builders.sandbox_door import WHOLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builders.guix.means import Means
    from builders.lines import Tell
    from builders.sandbox import Daemon

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile that was built, with all that it refers to."""

    path: str
    closure: Closure
    variables: Mapping[str, str]
    """Its search paths, as `guix shell --search-paths` tells them."""


async def build(of: Daemon, derivation: str, root: str, means: Means, tell: Tell) -> Profile:
    """Build a profile's derivation; `root` is the name of the garbage-collector root that keeps it.

    Raises BuildFailed, BuildOutOfMemory, BuildLogTooLong, StoreUnfit, BuildBroken, DiskFull, EngineDown.
    """
    argv = (means.command, "repl", "--", program("build"), derivation, str(closure.MOST))
    profile = _profile(await answers(of, Run(argv, f"building {name_of(derivation)}", WHOLE, waits=True), tell))
    await asyncio.to_thread(keep, of.workshop.stores / STATE / ROOTS / root, profile.path)
    return profile


def _profile(said: list[dict[str, Any]]) -> Profile:
    """What the program answered: no stranger's runs beside it. Raises StoreUnfit, BuildBroken."""
    path, ended = "", False
    paths: dict[str, dict[str, Any]] = {}
    variables: dict[str, str] = {}
    for body in said:
        match body:
            case {"type": "profile", "path": str(path)}:
                pass
            case {"type": "many", "paths": int(count)}:
                check_count(path, count)
            case {"type": "variable", "name": str(name), "value": str(value)} if _VARIABLE.fullmatch(name):
                variables[name] = value
            case {"type": "path", "path": str(one), "narSize": size, "narHash": digest}:
                paths[one] = {"references": [], "narSize": size, "narHash": digest}
            case {"type": "reference", "path": str(one), "to": str(other)} if one in paths:
                paths[one]["references"].append(other)
            case {"type": "end"}:
                ended = True
            case _:
                raise BuildBroken("the store told of a profile what is not understood")
    if not ended or not is_store_path(path) or path not in paths:
        raise BuildBroken("the store did not tell all of the profile that was built")
    return Profile(path, checked_closure(paths), variables)
