"""The pages stay light: whoever clicks a badge may sit in a train."""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.ui.conftest import FRONTEND
from tests.ui.scenario_server import styles_of

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_BYTES = 40_000
"""Of one page."""
ALL_BYTES = 150_000
"""Of all pages in all languages together."""


def files_of(manifest: dict[str, dict[str, list[str] | str]], entry: str) -> set[str]:
    """Every file that a browser loads for an entry."""
    chunk = manifest[entry]
    found = {str(chunk["file"])} | styles_of(manifest, entry)
    for name in chunk.get("imports", ()):
        found |= files_of(manifest, name)
    return found


@pytest.mark.parametrize("page", ["launch", "home", "credentials"])
def test_a_page_is_light(dist: Path, page: str) -> None:
    manifest = json.loads((dist / ".vite/manifest.json").read_text())
    files = files_of(manifest, f"src/{page}/main.ts")
    weight = sum(len(gzip.compress((dist / name).read_bytes())) for name in files)
    print(f"{page}: {weight} bytes compressed, {len(files)} files")
    assert weight < LIMIT_BYTES


@pytest.mark.parametrize("end", [".br", ".gz"])
def test_all_pages_are_light_and_packed_by_the_build(dist: Path, end: str) -> None:
    files = [path for path in (dist / "assets").iterdir() if path.suffix in {".js", ".css"}]
    assert {path.name for path in files} == {path.stem for path in (dist / "assets").glob(f"*{end}")}
    weights = {path.name: path.with_name(path.name + end).stat().st_size for path in files}
    for name, weight in sorted(weights.items()):
        print(f"{name}{end}: {weight} bytes of {(dist / 'assets' / name).stat().st_size}")
    print(f"all pages: {sum(weights.values())} bytes")
    assert sum(weights.values()) < ALL_BYTES


def test_names_hold_the_digest_of_what_is_in_them(dist: Path) -> None:
    names = [path.name for path in (dist / "assets").iterdir()]
    assert all(re.fullmatch(r"[a-z]+-[A-Za-z0-9_-]{8}\.(?:js|css)(?:\.br|\.gz)?", name) for name in names)


def test_no_file_names_another_host(dist: Path) -> None:
    text = "".join(path.read_text() for path in dist.rglob("*") if path.suffix in {".js", ".css", ".json"})
    # A host that somebody typed is nobody's name here.
    for namespace in ("http://www.w3.org/", "https://lit.dev/msg/", "https://${"):
        text = text.replace(namespace, "")
    assert "http://" not in text
    assert "https://github.com/user/repository" in text  # the example in the form, the only one
    assert text.count("https://") == 1


def test_the_lock_file_names_no_host() -> None:
    assert "resolved" not in (FRONTEND / "package-lock.json").read_text()
