"""What an image in the engine was made from, kept beside the stores: to push it from there, and to check it."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING, Any

from builders.errors import BuildBroken
from builders.oci.closure import checked_closure
from builders.oci.image import Recipe, canonical

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = "images"
"""In the folder of the stores."""
TABLE = "layers.sqlite"
_NOTE = ".kept"
"""What the name of a note has at its end: that what an image was made from is in the site's cache, by whom."""
_FORMAT = 1


def save(recipe: Recipe, engine_id: str) -> Path:
    """Keep the recipe of an image; where. Never half-written. Raises OSError."""
    body = {
        "format": _FORMAT,
        "closure": recipe.closure.to_json(),
        "first": sorted(recipe.first),
        "root": sorted(recipe.root),
        "shell": recipe.shell,
        "env": dict(recipe.env),
        "labels": dict(recipe.labels),
        "platform": recipe.platform,
    }
    kept = place(recipe.stores, engine_id)
    write(kept, canonical(body))
    return kept


def write(kept: Path, data: bytes) -> None:
    """Write a file of the folder IMAGES, which is made; never half. Raises OSError."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_name(f"{kept.name}.{secrets.token_hex(4)}")
    try:
        part.write_bytes(data)
        os.replace(part, kept)  # noqa: PTH105  # what it replaces is meant
    finally:
        part.unlink(missing_ok=True)


def find(stores: Path, engine_id: str) -> Recipe | None:
    """The recipe of an image that was assembled from these stores; None: it was not. Raises BuildBroken, OSError."""
    try:
        text = place(stores, engine_id).read_bytes()
    except FileNotFoundError:
        return None
    try:
        body = json.loads(text)
        return _recipe(stores, body) if body["format"] == _FORMAT else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BuildBroken(f"what the image {engine_id[:19]} was made from cannot be read") from None


def remove(stores: Path, engine_id: str) -> None:
    """Forget an image. Raises OSError."""
    kept = place(stores, engine_id)
    kept.unlink(missing_ok=True)
    kept.with_suffix(_NOTE).unlink(missing_ok=True)


def note(stores: Path, engine_id: str, text: str) -> None:
    """Say of an image which cache has what it was made from, and who copied it. Raises OSError."""
    kept = place(stores, engine_id)
    write(kept.with_suffix(_NOTE), text.encode())
    if not kept.exists():
        remove(stores, engine_id)  # it was forgotten meanwhile


def without_note(stores: Path, text: str) -> list[str]:
    """The images of these stores, oldest first, of which nobody has said this yet. Blocks."""
    found = []
    for kept in (stores / IMAGES).glob("*.json"):
        if not kept.stem.isalnum():
            continue  # a paper, not a record
        try:
            noted = kept.with_suffix(_NOTE).read_text("utf-8") == text
            age = kept.stat().st_mtime
        except FileNotFoundError:
            noted, age = False, 0
        if not noted:
            found.append((age, f"sha256:{kept.stem}"))
    return [engine_id for _, engine_id in sorted(found)]


def table_of(stores: Path) -> Path:
    """Where the layer table of these stores is."""
    return stores / IMAGES / TABLE


def _recipe(stores: Path, body: dict[str, Any]) -> Recipe:
    return Recipe(
        stores=stores,
        closure=checked_closure(body["closure"]),
        first=frozenset(body["first"]),
        root=frozenset(body["root"]),
        shell=str(body["shell"]),
        env={str(name): str(value) for name, value in body["env"].items()},
        labels={str(name): str(value) for name, value in body["labels"].items()},
        platform=str(body["platform"]),
    )


def place(stores: Path, engine_id: str) -> Path:
    """Where the recipe of an image is kept. Raises BuildBroken for what is no id."""
    digest = engine_id.removeprefix("sha256:")
    if not digest.isalnum():
        raise BuildBroken(f"an image has no such id: {engine_id[:80]!r}")
    return stores / IMAGES / f"{digest}.json"
