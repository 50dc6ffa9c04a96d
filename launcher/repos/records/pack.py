"""Makes one commit of a record's files: the same files, the same commit. A process of its own, within limits.

No file is unpacked into a folder here, so no name in an archive can lead anywhere: what an archive holds goes to
`git fast-import` as it is read, and from there to the disk on the way that every commit takes.

`python -m launcher.repos.records.pack` reads a plan (JSON) and prints what became of it (JSON): `{}`, or the error.
"""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from launcher.repos import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

REF = "refs/repolaunch/record"
AUTHOR = "repolaunch <records@repolaunch.invalid>"
"""Of every commit that is made of a record: neither the time nor the place where it is made is in it."""
_CHUNK = 2**20
_DOS = {0, 11, 14}
"""Systems of which an archive's names may have the separator of DOS."""
_PLAIN, _PROGRAM, _LINK = "100644", "100755", "120000"
_LONGEST_LINK = 4096
_OTHERS = {
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFSOCK: "it is a socket",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made, where. `files`: names in the tree, and the downloads that are their bytes."""

    git: list[str]
    folder: str
    files: list[tuple[str, str]]
    form: str
    date: int
    message: str
    max_bytes: int
    max_files: int


@dataclass(eq=False)
class Refused(Exception):
    """A file that cannot be taken, and why: the end of a sentence."""

    path: str
    reason: str


@dataclass(eq=False)
class TooLarge(Exception):
    """More than the plan allows."""

    what: str


@dataclass(slots=True)
class Member:
    """A file that is to come: its name in the tree, its bytes."""

    path: str
    mode: str
    size: int
    open: Callable[[], IO[bytes]]


@dataclass(slots=True)
class Taken:
    """What was taken so far."""

    plan: Plan
    entries: list[tree.Entry] = field(default_factory=list)
    bytes: int = 0
    empty: int = 0
    """Folders with nothing in them, which git does not keep."""

    def check(self, member: Member) -> None:
        """Before any byte of it is read. Raises Refused, TooLarge."""
        if reason := tree.unfit(member.path):
            raise Refused(member.path, reason)
        self.entries.append(tree.Entry(member.mode, "", member.size, member.path))
        self.bytes += member.size
        if len(self.entries) > self.plan.max_files:
            raise TooLarge("files")
        if self.bytes > self.plan.max_bytes:
            raise TooLarge("bytes")

    def done(self) -> None:
        """Raises Refused where two members want one place."""
        if twice := tree.twice(self.entries):
            raise Refused(twice, "it is there twice, or a file and a folder")


def main() -> None:
    """Do what the plan on standard input says."""
    plan = Plan(**json.load(sys.stdin))
    said: dict[str, Any] = {}
    try:
        said = {"empty": _pack(plan)}
    except Refused as refused:
        said = {"path": refused.path.encode("utf-8", "replace").decode()[:200], "reason": refused.reason}
    except TooLarge as large:
        said = {"large": large.what}
    except MemoryError:
        said = {"large": "bytes of memory"}
    except OSError as error:
        said = {"errno": str(error)}
    json.dump(said, sys.stdout)


def _pack(plan: Plan) -> int:
    git = subprocess.Popen(
        [*plan.git, "fast-import", "--quiet", "--done", "--force"], cwd=plan.folder, stdin=subprocess.PIPE
    )
    assert git.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
    try:
        empty = _write(plan, git.stdin)
        git.stdin.close()
    except BaseException:
        git.kill()
        git.wait()
        raise
    if git.wait():
        raise OSError(None, "git could not keep the files")
    return empty


def _write(plan: Plan, out: IO[bytes]) -> int:
    taken, lines = Taken(plan), []
    for number, member in enumerate(members(plan, taken), 1):
        taken.check(member)
        out.write(b"blob\nmark :%d\ndata %d\n" % (number, member.size))
        _copy(member, out)
        lines.append(b"M %s :%d %s\n" % (member.mode.encode(), number, _quoted(member.path)))
    taken.done()
    message = plan.message.encode()
    out.write(b"commit %s\n" % REF.encode())
    for who in (b"author", b"committer"):
        out.write(b"%s %s %d +0000\n" % (who, AUTHOR.encode(), plan.date))
    out.write(b"data %d\n%s\n" % (len(message), message))
    out.writelines([*lines, b"done\n"])
    return taken.empty


def _copy(member: Member, out: IO[bytes]) -> None:
    left = member.size
    try:
        with member.open() as file:
            while left and (data := file.read(min(_CHUNK, left))):
                out.write(data)
                left -= len(data)
            more = file.read(1)  # also reads the end, where an archive has the sum of what it holds
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise Refused(member.path, _damage(error)) from None
    except Exception as error:  # each kind of compression has errors of its own
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Refused(member.path, "the archive is damaged there") from None
    if left or more:
        raise Refused(member.path, "it is not as large as its archive says")


def _damage(error: Exception) -> str:
    if isinstance(error, RuntimeError) and not isinstance(error, NotImplementedError):
        return "it is encrypted"
    if isinstance(error, NotImplementedError):
        return "it is compressed in a way that is not known here"
    return "the archive is damaged there"


def _quoted(path: str) -> bytes:
    raw = path.encode("utf-8", "surrogateescape")
    plain = range(0x20, 0x7F)
    return b'"' + b"".join(b"%c" % one if one in plain and one not in b'"\\' else b"\\%03o" % one for one in raw) + b'"'


# --------------------------------------------------------------------------- what there is
def members(plan: Plan, taken: Taken) -> Iterator[Member]:
    """The files, none of them read yet. Raises Refused, TooLarge."""
    (name, first), alone = plan.files[0], len(plan.files) == 1
    if plan.form == "tar":
        yield from _of_tar(name, first, taken)
    elif plan.form == "files" and alone and zipfile.is_zipfile(first):
        yield from _of_zip(name, first, plan)
    else:
        for name, path in plan.files:
            file = Path(path)
            yield Member(name, _PLAIN, file.stat().st_size, lambda file=file: file.open("rb"))  # type: ignore[misc]  # mypy knows no default there


def _of_zip(name: str, path: str, plan: Plan) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        raise Refused(name, "it is no zip archive that can be read") from None
    infos = [(_zip_name(one), one) for one in archive.infolist() if not one.is_dir()]
    infos = [(inside, one) for inside, one in infos if not _of_git(inside)]
    if len(infos) > plan.max_files:
        raise TooLarge("files")
    if sum(one.file_size for _, one in infos) > plan.max_bytes:
        raise TooLarge("bytes")
    for inside, (_, one) in zip(_without_folder([inside for inside, _ in infos]), infos, strict=True):
        mode = _mode(inside, one.external_attr >> 16)
        if mode == _LINK and one.file_size > _LONGEST_LINK:
            raise Refused(inside, "it is a link of no sensible length")
        yield Member(inside, mode, one.file_size, lambda one=one: archive.open(one))  # type: ignore[misc]  # as above


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Text, whatever wrote the archive: what is not said to be UTF-8 is often UTF-8 all the same."""
    name = info.orig_filename
    if not info.flag_bits & 0x800:
        raw = name.encode("cp437", "replace")
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            name = raw.decode("cp437")
    name = name.partition("\0")[0]
    return name.replace("\\", "/") if info.create_system in _DOS and "/" not in name else name


def _of_tar(name: str, path: str, taken: Taken) -> Iterator[Member]:
    """In two passes: what is in it, then the bytes."""
    try:
        with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as archive:
            everything = list(_counted(archive, taken.plan))
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error):
        raise Refused(name, "it is no tar archive that can be read") from None
    infos = [one for one in everything if not one.isdir() and not _of_git(one.name)]
    parents = {str(parent) for one in everything for parent in PurePosixPath(one.name).parents}
    taken.empty = sum(one.isdir() and str(PurePosixPath(one.name)) not in parents for one in everything)
    inner = _without_folder([one.name.removeprefix("./") for one in infos])
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as archive:
        for inside, one in zip(inner, infos, strict=True):
            yield _tar_member(inside, one, archive)


def _counted(archive: tarfile.TarFile, plan: Plan) -> Iterator[tarfile.TarInfo]:
    """What is in it; looked at before the bytes of each are passed over, which is to unpack them."""
    count = size = 0
    for one in archive:
        count, size = count + 1, size + one.size
        if count > 2 * plan.max_files:  # folders too
            raise TooLarge("files")
        if size > plan.max_bytes:
            raise TooLarge("bytes")
        yield one


def _tar_member(inside: str, info: tarfile.TarInfo, archive: tarfile.TarFile) -> Member:
    if info.issym():
        target = info.linkname.encode("utf-8", "surrogateescape")
        return Member(inside, _LINK, len(target), lambda: io.BytesIO(target))
    if not info.isreg():
        raise Refused(inside, "it is a device or a hard link")
    mode = _PROGRAM if info.mode & stat.S_IXUSR else _PLAIN
    return Member(inside, mode, info.size, lambda: archive.extractfile(info) or io.BytesIO())


def _mode(path: str, mode: int) -> str:
    kind = stat.S_IFMT(mode)
    if reason := _OTHERS.get(kind):
        raise Refused(path, reason)
    if kind == stat.S_IFLNK:
        return _LINK
    return _PROGRAM if mode & stat.S_IXUSR else _PLAIN


def _of_git(path: str) -> bool:
    """Whether it is in a folder of git's own: the book-keeping of a clone that was packed, which is no content."""
    return ".git" in path.split("/")[:-1]


def _without_folder(paths: Sequence[str]) -> list[str]:
    """Without the one folder that everything is in, where there is one."""
    first = {path.partition("/")[0] for path in paths}
    if len(first) != 1 or any("/" not in path for path in paths):
        return list(paths)
    return [path.partition("/")[2] for path in paths]


if __name__ == "__main__":
    main()
