"""The verbs. A workspace is a folder `<id>` that holds `work/` and `home/`; it appears whole, by one rename.

`<id>` itself belongs to root, so that no session can put something else in the place of `work` or `home`;
both belong to the session's user. No verb deletes a workspace.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
import threading
from typing import TYPE_CHECKING

from .clone import Source, adopt, fill, make_git_folder
from .folders import FOLDER, READ, Refusal, folder, make_durable, make_folder, names, opened, remove, taken
from .large import copy_large, filter_options, make_older
from .parts import read as read_parts
from .requests import ID, Exists, Health, List, Request, Seed, Usage
from .unpack import Unpacker
from .usage import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .parts import Parts

log = logging.getLogger(__name__)

UNFINISHED = ".new-"
SEEDS = 4
"""So many at once; the others wait."""
PAGE = 5000
NOT_THE_COMMITS = (errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.ELOOP)
Result = dict[str, object]


class Workspaces:
    """Answers requests on three folders. At most one of these at a time has a workspaces folder, by a lock on it."""

    def __init__(self, root: str, checkouts: str, contents: str) -> None:
        self._path = root
        self._root = os.open(root, FOLDER)
        self._checkouts = os.open(checkouts, FOLDER)
        self._contents = os.open(contents, FOLDER)
        self._slots = threading.BoundedSemaphore(SEEDS)

    @property
    def descriptor(self) -> int:
        """The open folder of all workspaces."""
        return self._root

    def clean(self) -> int:
        """Remove what a killed helper left half-made; how many. Call it before the first request is taken."""
        # git runs as the session's user: it must be able to come this far, though not to list the names.
        os.fchmod(self._root, os.fstat(self._root).st_mode & 0o7777 | 0o111)
        left = [name for name in names(self._root) if name.startswith(UNFINISHED)]
        for name in left:
            remove(name, below=self._root)
        return len(left)

    def answer(self, request: Request, wanted: Callable[[], bool]) -> Result:
        """Do what is asked. `wanted` says whether the asker still waits. Raises Refusal, OSError."""
        match request:
            case Seed():
                return self._seed(request, wanted)
            case Exists(id=project):
                return {"exists": self._exists(project)}
            case Usage(id=project):
                return self._usage(project)
            case List(after=after):
                return self._list(after)
            case Health():
                disk = os.fstatvfs(self._root)
                return {"free_bytes": disk.f_bavail * disk.f_frsize, "free_files": disk.f_favail}

    # ------------------------------------------------------------------ seeding
    def _seed(self, seed: Seed, wanted: Callable[[], bool]) -> Result:
        with self._slots:
            if self._exists(seed.id):
                return {"seeded": "before"}
            if seed.contents and (how := self._make(seed, seed.contents, wanted)):
                return {"seeded": how}
            return {"seeded": self._make(seed, "", wanted)}

    def _make(self, seed: Seed, contents: str, wanted: Callable[[], bool]) -> str:
        """Make a workspace beside the others and put it in its place; how, or `""` if the contents do not fit.

        Whatever happens, nothing half-made is left.
        """
        name = UNFINISHED + secrets.token_hex(8)
        try:
            make_folder(name, below=self._root, owner=os.geteuid())
            if not self._write(seed, contents, name):
                return ""
            if not wanted():
                raise Refusal("gone", "nobody waits for this workspace any more")
            placed = self._place(name, seed.id)
        finally:
            if taken(name, below=self._root):
                remove(name, below=self._root)
        if not placed:
            return "before"
        return "contents" if contents else "clone"

    def _write(self, seed: Seed, contents: str, name: str) -> bool:
        path = f"{self._path}/{name}"
        with folder([name], below=self._root) as made:
            make_folder("home", below=made, mode=0o700)
            make_folder("work", below=made)
            with folder(["work"], below=made) as work, folder(seed.checkout, below=self._checkouts) as checkout:
                if contents and not self._unpack(contents, work):
                    return False
                for where, source in _sources(seed, read_parts(checkout)):
                    if not _repository(where, source, (checkout, work, f"{path}/work"), adopted=bool(contents)):
                        return False
        make_durable(path)
        return True

    def _unpack(self, contents: str, work: int) -> bool:
        try:
            with opened(contents, READ, below=self._contents) as fd, os.fdopen(os.dup(fd), "rb") as archive:
                Unpacker(work).unpack(archive)
        except FileNotFoundError:
            return False
        return True

    def _place(self, name: str, project: str) -> bool:
        try:
            # Fails where the name is taken: a workspace is never an empty folder.
            os.rename(name, project, src_dir_fd=self._root, dst_dir_fd=self._root)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        os.fsync(self._root)
        return True

    # ------------------------------------------------------------------ looking
    def _exists(self, project: str) -> bool:
        if not taken(project, below=self._root):
            return False
        if not stat.S_ISDIR(os.stat(project, dir_fd=self._root, follow_symlinks=False).st_mode):
            raise Refusal("failed", "something that is no workspace has its name")
        return True

    def _usage(self, project: str) -> Result:
        if not self._exists(project):
            raise Refusal("missing", "there is no such workspace")
        return measure(project, self._root)

    def _list(self, after: str) -> Result:
        every = sorted(name for name in names(self._root) if ID.match(name) and name > after)
        return {"ids": every[:PAGE], "more": len(every) > PAGE}


def _sources(seed: Seed, parts: Parts) -> Iterator[tuple[tuple[str, ...], Source]]:
    """The repositories that a workspace is made of, and where; parents before what lies in them."""
    yield (), Source(seed.url, seed.commit, parts.inside(()), parts.large.get((), ()))
    for module in parts.modules:
        path = module.path
        yield path, Source(module.url, module.commit, parts.inside(path), parts.large.get(path, ()))


def _repository(where: tuple[str, ...], source: Source, trees: tuple[int, int, str], *, adopted: bool) -> bool:
    """Make the repository at `where`, whose parent is made; False where the image's files are not the commit's.

    `trees`: the checkout and the work tree, both open, and the work tree's path.
    """
    checkout, work, path = trees
    here = "/".join((path, *where))
    try:
        with folder(where, below=checkout) as origin, folder(where, below=work) as target:
            make_git_folder(source, origin, target)
            if not adopted:
                fill(source.commit, here)
                copy_large(source.large, origin, target)
                if source.large:
                    # It knows the pointers' sizes, and git does not look into a file whose size has changed.
                    with folder([".git"], below=target) as git:
                        os.unlink("index", dir_fd=git)
            make_older(source.large, target)
    except OSError as error:
        # The image's files may have anything in the place of a submodule, a link that leads elsewhere too.
        if adopted and error.errno in NOT_THE_COMMITS:
            return False
        raise
    if adopted or source.large:
        return adopt(source.commit, here, filter_options(source.large)) or not adopted
    return True
