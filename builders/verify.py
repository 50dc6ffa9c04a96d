"""Builds an image again, from nothing, and compares: what was evaluated, the store paths, the layers, the image."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import stat
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from builders import engine
from builders.catalogue import BUILDERS
from builders.detect import find, look
from builders.errors import RegistryDown
from builders.interface import Order
from builders.lines import IDENTICAL, Step, Verified
from builders.oci import record
from builders.oci.access import access
from builders.oci.closure import is_store_path, name_of, parse_closure
from builders.oci.compare import between_closures, between_images
from builders.oci.image import assemble
from builders.oci.provenance import CLOSURE_TYPE, IMAGE_TYPES, STATEMENT_TYPE
from builders.oci.referrers import papers
from builders.oci.registry import Repository
from builders.oci.table import Table
from builders.spaces import space_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builders.interface import Workshop
    from builders.lines import Tell
    from builders.oci.closure import Closure
    from builders.oci.compare import Difference
    from builders.oci.image import Recipe

DIFFERENT, NOT_COMPARABLE = "different", "not-comparable"
FOLDER = "verify"
"""In the folder of the stores: where stores are that last for one comparison."""
MOST_NAMED = 20
"""Differences."""
LEFT_S = 24 * 3600
"""Nobody compares for so long."""
MOVING = "it was built from what is not pinned: another build may be another image"
_SENTENCES = {
    "store path": "the store path {name} is another one",
    "contents": "the store path {name} holds other bytes",
    "layers": "the {name} is another one",
    "layer": "the layer “{name}” is another one",
    "file": "the file {name} is another one",
    "config": "the image's {name} is another one",
    "manifest": "the image's manifest is another one",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """What a registry says of an image. `closure` is None of what was not assembled from a store."""

    inputs: str
    closure: Closure | None


async def verify(directory: Path, image: str, platform: str, workshop: Workshop, tell: Tell) -> Verified:
    """Compare the image (`host[:port]/repository@digest`) with what the directory gives in a store that is empty.

    Raises what building raises, and RegistryDown.
    """
    tell(Step("asking the registry what the image was built from"))
    where, _, digest = image.partition("@")
    host, _, name = where.partition("/")
    workshop = replace(workshop, space=space_of(name))
    with closing(Repository(access(host, os.environ), name)) as repository:
        kept = await asyncio.to_thread(_kept, repository, digest)
        if isinstance(kept, str):
            return Verified(NOT_COMPARABLE, kept)
        if kept.closure is None:
            return Verified(NOT_COMPARABLE, MOVING)
        with fresh(workshop, time.time()) as own:
            looked, inputs = await find(directory, BUILDERS, platform, own, tell)
            if inputs.digest != kept.inputs:
                return Verified(DIFFERENT, evaluated(inputs.digest, kept.inputs))
            order = Order(directory, looked, inputs, f"repolaunch-verify:{secrets.token_hex(8)}", {}, 0, own)
            recipe = await _built(order, tell)
            if recipe is None:
                return Verified(NOT_COMPARABLE, MOVING)
            tell(Step("comparing"))
            found = await asyncio.to_thread(_differences, recipe, kept.closure, repository, digest)
    return Verified(DIFFERENT, _joined([sentence(one) for one in found])) if found else Verified(IDENTICAL, "")


def evaluated(ours: str, theirs: str) -> str:
    """How what evaluating gives differs (`Inputs.digest`: words, each of them an input), for people."""
    was = [word for word in theirs.split() if word not in ours.split()]
    now = [word for word in ours.split() if word not in theirs.split()]
    told = [] if was or now else [f"it was {theirs}, and is {ours}"]
    for word in was:
        same = next((each for each in now if _named(each) == _named(word)), "")
        if same:
            now.remove(same)
        told.append(f"{_named(word)} was {word}, and is {same or 'gone'}")
    told += [f"{_named(word)} is new: {word}" for word in now]
    return f"what is evaluated is another thing: {_joined(told)}"


def _named(word: str) -> str:
    """A store path's name; any other word stands for itself."""
    path = word.partition("^")[0]
    return name_of(path).removesuffix(".drv") if is_store_path(path) else "it"


def _joined(sentences: list[str]) -> str:
    more = len(sentences) - MOST_NAMED
    return "; ".join((*sentences[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])))


def sentence(difference: Difference) -> str:
    """A difference, for people; the registry's side comes first."""
    text = _SENTENCES[difference.of].format(name=difference.name)
    sides = [side for side in (difference.theirs, difference.ours) if side]
    return f"{text}: it was {sides[0]}, and is {sides[1]}" if len(sides) > 1 else text


async def _built(order: Order, tell: Tell) -> Recipe | None:
    builder, _ = look(order.directory, BUILDERS)
    try:
        engine_id = await builder.build(order, tell)
        return await asyncio.to_thread(record.find, order.workshop.stores, engine_id)
    finally:
        await asyncio.to_thread(_forget, order.name)


def _kept(repository: Repository, digest: str) -> Kept | str:
    """What is kept, or why nothing can be compared. Raises RegistryDown."""
    if repository.manifest(digest, *IMAGE_TYPES) is None:
        return "the registry has no such image"
    documents = {one.kind: one.data for one in papers(repository, digest)}
    if STATEMENT_TYPE not in documents:
        return "nothing is known of how it was built"
    try:
        statement = json.loads(documents[STATEMENT_TYPE])
        inputs = str(statement["predicate"]["buildDefinition"]["internalParameters"]["inputs"])
    except (ValueError, KeyError, TypeError):
        raise _unreadable(repository) from None
    return Kept(inputs, parse_closure(documents[CLOSURE_TYPE]) if CLOSURE_TYPE in documents else None)


def _differences(recipe: Recipe, theirs: Closure, repository: Repository, digest: str) -> tuple[Difference, ...]:
    """Of the closures all; where they are equal, the first of the images."""
    if found := between_closures(recipe.closure, theirs):
        return found
    with closing(Table(record.table_of(recipe.stores))) as table:
        ours = assemble(recipe, table)
    manifest = repository.manifest(digest, *IMAGE_TYPES) or b""
    try:
        config = repository.blob(str(json.loads(manifest)["config"]["digest"]))
        first = between_images(ours, manifest, config, repository.chunks)
    except (ValueError, KeyError, TypeError):
        raise _unreadable(repository) from None
    return (first,) if first else ()


def _unreadable(repository: Repository) -> RegistryDown:
    return RegistryDown(repository.registry, "what it has of the image cannot be read")


def _forget(name: str) -> None:
    """Take the name away from the image; one that is somebody's environment too stays."""
    import docker.errors  # noqa: PLC0415  # it takes long to import

    with engine.client() as client, contextlib.suppress(docker.errors.ImageNotFound):
        client.images.remove(name)


@contextlib.contextmanager
def fresh(workshop: Workshop, now: float) -> Iterator[Workshop]:
    """A workshop with stores of its own, which are gone afterwards; and so are those that a killed one has left."""
    beside = workshop.stores / FOLDER
    stores = beside / secrets.token_hex(8)
    stores.mkdir(parents=True)
    try:
        for left in beside.iterdir():
            if now - left.stat().st_mtime > LEFT_S:
                _remove(left)
        yield replace(workshop, stores=stores, views=False, site=None)
    finally:
        _remove(stores)


def _remove(stores: Path) -> None:
    """What is in a store may not be written to, not even by its owner."""
    for folder, folders, _ in os.walk(stores):
        for name in folders:
            path = Path(folder, name)
            if not path.is_symlink() and not path.stat().st_mode & stat.S_IWUSR:
                path.chmod(0o755)
    shutil.rmtree(stores, ignore_errors=True)
