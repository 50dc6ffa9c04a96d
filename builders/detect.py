"""None, one, several: which builder a directory is for."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from builders.errors import EnvironmentConflict, EnvironmentMissing
from builders.interface import Bare, Grounded
from builders.key import FORM, environment_key
from builders.lines import Found
from builders.near import near, unread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builders.interface import Builder, Declaration, Inputs, Workshop
    from builders.lines import Tell


async def find(
    directory: Path, builders: Sequence[Builder], platform: str, workshop: Workshop, tell: Tell
) -> tuple[Found, Inputs]:
    """What the directory declares, and what its image depends on. Of a private repository: `workshop.space`.

    Raises EnvironmentMissing, EnvironmentConflict, EnvironmentBroken, and what `Builder.inputs` raises.
    """
    return await find_by(look(directory, builders), directory, platform, workshop, tell)


async def find_by(
    looked: tuple[Builder, Declaration], directory: Path, platform: str, workshop: Workshop, tell: Tell
) -> tuple[Found, Inputs]:
    """As `find`, by what `look` gave. Raises EnvironmentBroken, and what `Builder.inputs` raises."""
    builder, declared = looked
    inputs = await builder.inputs(directory, declared, platform, workshop, tell)
    about_builder = {"builder": builder.name, "version": builder.version, "platform": platform}
    key = environment_key(inputs.digest, **about_builder, space=workshop.space)
    about = (inputs.pinning, inputs.loose, inputs.advice, declared.tree, workshop.space)
    return Found(builder.name, builder.version, declared.evidence, key, platform, *about), inputs


def look(directory: Path, builders: Sequence[Builder]) -> tuple[Builder, Declaration]:
    """Which builder the directory is for; where nothing is declared, one that has an environment for that.

    Raises EnvironmentConflict, EnvironmentBroken, and EnvironmentMissing where a file was perhaps meant to declare.
    """
    answers = [(builder, builder.detect(directory)) for builder in builders]
    found = [(builder, declared) for builder, declared in answers if declared is not None]
    if not found:
        looked_for = tuple(dict.fromkeys(name for builder in builders for name in builder.looks_for))
        nearly = near(directory, looked_for)
        bare = next((builder for builder in builders if isinstance(builder, Bare)), None)
        if bare is None or set(nearly) - set(unread(nearly)):
            raise EnvironmentMissing(looked_for, nearly)
        return bare, bare.bare()
    if len(found) > 1:
        raise EnvironmentConflict(tuple(sorted({name for _, declared in found for name in declared.evidence})))
    return found[0]


async def fingerprint(builders: Sequence[Builder], platform: str) -> str:
    """Digest of all that `find` depends on besides the directory."""
    grounds = [await builder.ground() if isinstance(builder, Grounded) else "" for builder in builders]
    form = [FORM, platform, *([one.name, one.version, ground] for one, ground in zip(builders, grounds, strict=True))]
    return hashlib.sha256(json.dumps(form).encode()).hexdigest()
