"""A view: what an environment has of the stores, and nothing else, as one folder that sessions of this machine share.

`<stores>/views/<id>` has `nix` and `gnu` as the environment's image has them; a container sees them, read-only, as
`/nix` and `/gnu`. The files are those of the store itself (hard links): nothing is copied, what one session has read is
in memory for all, and a session starts in the same time whether its environment has 10 store paths or 10,000.

`<id>` is the engine's id of the image that has all the rest of it: system, variables, labels. The image that was pushed
from the same closure has its digest beside it, as another name of the view. Only builders write here.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builders.oci.closure import Closure, is_store_path
from builders.oci.image import THREADS, canonical, digest_of
from builders.oci.tar import FILE, FOLDER, TIME, entries
from builders.sandbox_files import remove
from builders.spaces import all_stores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from builders.oci.image import Recipe
    from builders.oci.tar import Entry

VIEWS = "views"
"""In the folder of the stores."""
LABEL = "org.repolaunch.closure"
"""Of an image that is nothing without its view: the digest of what it was made from."""
STORES = ("nix", "gnu")
IMPOSSIBLE = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP)
"""What a disk answers on which there can be no hard links of the store's files."""
_ABOUT = "about.json"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_DONE = (errno.EEXIST, errno.ENOTEMPTY)


@dataclass(frozen=True, slots=True)
class View:
    """A view that is there."""

    folder: Path
    engine_id: str
    """Of the image that has the rest."""
    roots: tuple[str, ...]
    """Store paths that refer to all others, directly or not."""

    @property
    def stores(self) -> Path:
        """The stores that it is of."""
        return self.folder.parent.parent

    @property
    def mounts(self) -> Mapping[str, str]:
        """What is seen where, read-only: the folder of this machine by that of the container."""
        return {f"/{name}": str(self.folder / name) for name in STORES if (self.folder / name).is_dir()}


def without_closure(recipe: Recipe) -> Recipe:
    """The image that has what a view has not: equal recipe, equal image; another recipe, another image."""
    made_from = {"closure": recipe.closure.to_json(), "root": sorted(recipe.root), "first": sorted(recipe.first)}
    labels = {**recipe.labels, LABEL: digest_of(canonical(made_from))}
    return replace(recipe, closure=Closure({}), first=frozenset(), root=frozenset(), labels=labels)


def make(recipe: Recipe, engine_id: str) -> None:
    """Make the view of an environment; never seen half-made. Blocks.

    Raises StoreUnfit, and OSError: with a number of IMPOSSIBLE where this disk has no views.
    """
    folder = _place(recipe.stores, engine_id)
    if folder is None or (folder / _ABOUT).exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.parent.chmod(0o755)  # whatever our umask is: the engine may be another user's
    new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        _fill(recipe, new)
        about = {"engine_id": engine_id, "roots": _roots(recipe.closure)}
        (new / _ABOUT).write_bytes(canonical(about))
        new.rename(folder)
    except OSError as error:
        if error.errno not in _DONE or not (folder / _ABOUT).exists():  # else somebody else has made it meanwhile
            raise
    finally:
        remove(new)


def find(stores: Path, image: str) -> View | None:
    """The view of an image by the id that `make` was given, or by `name@digest` of what was pushed; None: none.

    What is not in its form is none.
    """
    place = _place(stores, image.rpartition("@")[2])
    if place is None:
        return None
    try:
        body = json.loads((place / _ABOUT).read_bytes())
        engine_id, roots = str(body["engine_id"]), tuple(str(path) for path in body["roots"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    folder = _place(stores, engine_id)
    if folder is None or not folder.is_dir() or not all(is_store_path(path) for path in roots):
        return None
    return View(folder, engine_id, roots)


def anywhere(stores: Path, image: str) -> View | None:
    """As `find`, in the site's stores or in those of a private repository. Blocks."""
    return next(filter(None, (find(folder, image) for _, folder in all_stores(stores))), None)


def call(stores: Path, engine_id: str, digest: str) -> None:
    """Let a view be found by the digest of the image that was pushed, too. Raises OSError."""
    folder, name = _place(stores, engine_id), _place(stores, digest)
    if folder is None or name is None or not folder.is_dir():
        return
    new = name.with_name(f".{name.name}.{secrets.token_hex(4)}")
    new.symlink_to(folder.name)
    new.replace(name)


def _place(stores: Path, digest: str) -> Path | None:
    found = _DIGEST.fullmatch(digest)
    return stores / VIEWS / found[1] if found else None


def _roots(closure: Closure) -> list[str]:
    referred = {other for path, about in closure.paths.items() for other in about.references if other != path}
    return sorted(closure.paths.keys() - referred)


# --------------------------------------------------------------------------- files
def _fill(recipe: Recipe, new: Path) -> None:
    paths = sorted(recipe.closure.paths)
    stores = sorted({path.split("/")[1] for path in paths})
    new.mkdir(mode=0o755)
    new.chmod(0o755)
    for name in stores:
        (new / name / "store").mkdir(parents=True)
    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(lambda path: _add(recipe.stores, path, new), paths):
            pass
    for name in stores:
        _settle([os.fsencode(new / name / "store"), os.fsencode(new / name)])


def _add(stores: Path, path: str, new: Path) -> None:
    """A store path, as its image has it."""
    name, base = path[1:].encode(), os.fsencode(new)
    folders = []
    for real, entry in entries(b"%b/%b" % (os.fsencode(stores), name), name):
        place = b"%b/%b" % (base, entry.name.rstrip(b"/"))
        if entry.kind == FOLDER:
            os.mkdir(place, 0o700)  # noqa: PTH102  # bytes: a name need be no text
            folders.append(place)
        elif entry.kind == FILE:
            _share(real, place, entry)
        else:
            os.symlink(entry.link, place)  # noqa: PTH211  # as above
            os.utime(place, (TIME, TIME), follow_symlinks=False)
    _settle(reversed(folders))


def _share(real: bytes, place: bytes, entry: Entry) -> None:
    found = os.lstat(real)
    if stat.S_IMODE(found.st_mode) == entry.mode and int(found.st_mtime) == TIME:
        try:
            os.link(real, place, follow_symlinks=False)  # as above
        except OSError as error:
            if error.errno != errno.EMLINK:  # a file system counts to 65,000, and empty files are everywhere
                raise
        else:
            return
    # Not as the store keeps files, and as the image does not have it: a copy that is.
    shutil.copyfile(real, place, follow_symlinks=False)
    os.chmod(place, entry.mode)  # noqa: PTH101  # as above
    os.utime(place, (TIME, TIME))


def _settle(folders: Iterable[bytes]) -> None:
    """Folders that nothing is added to any more, the innermost first."""
    for folder in folders:
        os.chmod(folder, 0o555)  # noqa: PTH101, S103  # as above; as stores have them
        os.utime(folder, (TIME, TIME))
