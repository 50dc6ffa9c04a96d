"""The built frontend and our own few files, read once at start: no request waits for a disk."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tornado.web import HTTPError

from launcher.web.handler import Handler
from launcher.web.routes import SVG, Operation, Route

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.web.context import Web

log = logging.getLogger(__name__)

OWN: Final = Path(__file__).parent / "static"
PREFIX: Final = "/static/"
_HASHED = re.compile(r".*-[A-Za-z0-9_-]{8}\.[a-z0-9]+")
"""How Vite names a file by its content."""
STYLES: Final = "style.css"
"""All style sheets together, under a name that stays: for the hub's pages, which know no digests."""
PACKED: Final = {"br": ".br", "gzip": ".gz"}
"""Encoding → how the build names a file that it packed so."""
_WORTH_PACKING: Final = 1024


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    body: bytes
    packed: Mapping[str, bytes]
    """By the encoding's name, the best first; none where that is not worth it."""
    kind: str
    etag: str
    immutable: bool


@dataclass(frozen=True, slots=True)
class Page:
    """What the shell of a page loads."""

    script: str
    styles: tuple[str, ...]
    preloads: tuple[str, ...]


class Assets:
    """All static files by name, and what each page of the frontend loads."""

    def __init__(self, dist: Path | None) -> None:
        """Read `dist` and our own files. A missing or damaged `dist` is no error: its pages are missing."""
        files = {name: _asset(name, path) for name, path in _found(OWN, dist)}
        self._manifest = _manifest(dist)
        sheets = [files[name] for name in (one.removeprefix(PREFIX) for one in self.styles) if name in files]
        body = b"\n".join(one.body for one in sheets)
        self.files: Mapping[str, Asset] = files | {STYLES: _made(STYLES, body, {"gzip": gzip.compress(body, mtime=0)})}
        """By name."""

    def page(self, entry: str, texts: str = "en") -> Page | None:
        """What the entry (`src/launch/main.ts`) loads to speak the language `texts`; None if it was not built."""
        if entry not in self._manifest:
            return None
        names = list(self._chunks(entry, set()))
        names += [name for name in self._manifest if name.endswith(f"/catalogue/{texts}.json")]
        styles = [style for name in names for style in self._manifest[name].get("css", ())]
        files = [str(self._manifest[name]["file"]) for name in names]
        return Page(
            PREFIX + files[0],
            tuple(PREFIX + name for name in dict.fromkeys(styles)),
            tuple(PREFIX + name for name in files[1:]),
        )

    @property
    def styles(self) -> tuple[str, ...]:
        """The style sheets of all pages; none where the frontend was not built: pages are read without."""
        found = {style for chunk in self._manifest.values() for style in chunk.get("css", ())}
        return tuple(PREFIX + name for name in sorted(found))

    def _chunks(self, name: str, seen: set[str]) -> Iterator[str]:
        if name in seen or name not in self._manifest:
            return
        seen.add(name)
        yield name
        for one in self._manifest[name].get("imports", ()):
            yield from self._chunks(one, seen)


def _found(*folders: Path | None) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        if folder is None or not folder.is_dir():
            continue
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not name.startswith(".") and not name.endswith((".map", *PACKED.values())):
                yield name, path


def _asset(name: str, path: Path) -> Asset:
    body = path.read_bytes()
    return _made(name, body, _packed(path, body))


def _made(name: str, body: bytes, packed: Mapping[str, bytes]) -> Asset:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    return Asset(body, packed, kind, f'"{hashlib.sha256(body).hexdigest()[:32]}"', bool(_HASHED.fullmatch(name)))


def _packed(path: Path, body: bytes) -> dict[str, bytes]:
    """What the build packed beside it; our own few files are packed here."""
    found = {kind: path.with_name(path.name + end) for kind, end in PACKED.items()}
    packed = {kind: one.read_bytes() for kind, one in found.items() if one.is_file()}
    if not packed and len(body) >= _WORTH_PACKING:
        packed = {"gzip": gzip.compress(body, mtime=0)}
    return {kind: one for kind, one in packed.items() if len(one) < len(body) * 9 // 10}


def _accepted(header: str) -> set[str]:
    """The encodings that an Accept-Encoding takes."""
    ranges = [one.partition(";") for one in header.lower().replace(" ", "").split(",")]
    return {name for name, _, q in ranges if q not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}}


def _manifest(dist: Path | None) -> dict[str, Any]:
    if dist is None:
        return {}
    try:
        found = json.loads((dist / ".vite" / "manifest.json").read_text())
    except (OSError, ValueError):
        log.warning("The frontend is not built: pages say so")
        return {}
    return found if isinstance(found, dict) else {}


class Static(Handler):
    """`/static/<file>`, and single files under other addresses."""

    any_site = True
    on_sessions_hosts = True
    assets: Assets
    name: str
    age_s: int

    def initialize(self, web: Web, assets: Assets | None = None, name: str = "", age_s: int = 3600) -> None:
        """`name`: the one file that this route serves. `age_s`: seconds that it is kept, without a digest's name."""
        super().initialize(web)
        self.assets, self.name, self.age_s = assets or Assets(None), name, age_s

    def get(self, *path: str) -> None:
        """The file, packed for those who take it, kept for a year where its name holds its digest."""
        asset = self.assets.files.get(self.name or "".join(path))
        if asset is None:
            raise HTTPError(404)
        age = "public, max-age=31536000, immutable" if asset.immutable else f"public, max-age={self.age_s}"
        self.set_header("Cache-Control", age)
        self.set_header("Content-Type", asset.kind)
        self.set_header("Vary", "Accept-Encoding")
        self.set_header("Etag", asset.etag)
        if self.check_etag_header():
            self.set_status(304)
            return
        taken = _accepted(self.request.headers.get("Accept-Encoding", ""))
        kind = next((one for one in asset.packed if one in taken), "")
        if kind:
            self.set_header("Content-Encoding", kind)
        self.finish(asset.packed[kind] if kind else asset.body)


PICTURE_S: Final = 30 * 86400
"""Badges are fetched with every view of a page; who changes one waits that long."""
ICO: Final = "image/vnd.microsoft.icon"
PICTURES: Final = (
    ("/badge_logo.svg", "badge.svg", SVG, "Badge for a README."),
    ("/badge.svg", "badge.svg", SVG, "The same badge."),
    ("/assets/images/badge.svg", "badge.svg", SVG, "The same badge, where the first Binder had it."),
    ("/logo_social.png", "", "image/png", "What other sites show beside a link to this one."),
    ("/favicon.ico", "", ICO, "Icon of this site."),
    ("/favicon_building.ico", "", ICO, "The same while something is built."),
    ("/favicon_success.ico", "", ICO, "The same when it is ready."),
    ("/favicon_fail.ico", "", ICO, "The same when it failed."),
)
ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/static/{file}",
        Static,
        (Operation("GET", "The frontend's files.", "application/octet-stream"),),
        {"assets": True},
    ),
    *(
        Route(
            path,
            Static,
            (Operation("GET", summary, kind),),
            {"assets": True, "name": name or path[1:], "age_s": PICTURE_S},
        )
        for path, name, kind, summary in PICTURES
    ),
)
