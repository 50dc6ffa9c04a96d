"""Deterministic tar: the same bytes for the same store path, whoever makes them, when and where.

What a store path is in an archive is a function of its NAR hash alone: of names, contents, links and of whether a
file may be run, and nothing else. So: owner 0, time 1, 0555 for folders and programs, 0444 for other files, names in
the order of their bytes, hard links as files of their own, setuid and sticky bits nowhere.

The format is ustar, with a pax header in front of what it has no room for (long names, 8 GiB). Python's tarfile is not
used because what it writes is decided by its version, and it takes several times as long for 27,000 files.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from builders.ending import still_wanted
from builders.errors import StoreUnfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FILE, LINK, FOLDER = b"0", b"2", b"5"
_PAX = b"x"
BLOCK = 512
END = bytes(2 * BLOCK)
"""What an archive ends with."""
CHUNK = 1024 * 1024
TIME = 1
_NAME, _PREFIX, _SIZE = 100, 155, 8**11
_OWNERS: dict[int, bytes] = {owner: b"%07o\0%07o\0" % (owner, owner) for owner in (0, 1000)}
_TAIL = b"ustar\x0000" + bytes(64) + b"0000000\0" * 2
_WHITEOUT = b".wh."
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Entry(NamedTuple):
    """One entry of an archive. `name` is relative, and ends with a slash where it is a folder's."""

    name: bytes
    kind: bytes
    mode: int
    size: int = 0
    link: bytes = b""
    owner: int = 0


def header(entry: Entry) -> bytes:
    """The blocks in front of an entry's contents."""
    name, prefix = _split(entry.name)
    records = []
    if len(name) > _NAME:
        records.append((b"path", entry.name))
    if len(entry.link) > _NAME:
        records.append((b"linkpath", entry.link))
    if entry.size >= _SIZE:
        records.append((b"size", b"%d" % entry.size))
    before = _pax(records) if records else b""
    block = b"".join((
        name[:_NAME].ljust(_NAME, b"\0"),
        b"%07o\0" % entry.mode,
        _OWNERS[entry.owner],
        b"%011o\0" % (entry.size if entry.size < _SIZE else 0),
        b"%011o\0        " % TIME,
        entry.kind,
        entry.link[:_NAME].ljust(_NAME, b"\0"),
        _TAIL,
        prefix.ljust(_PREFIX + 12, b"\0"),
    ))  # fmt: skip
    return b"%b%b%06o\0 %b" % (before, block[:148], sum(block), block[156:])


def padding(size: int) -> bytes:
    """What follows contents of `size` bytes, up to the next block."""
    return bytes(-size % BLOCK)


def tree(real: bytes, name: bytes) -> Iterator[bytes]:
    """The file, link or folder at `real` as `name`, and everything below it. Raises StoreUnfit."""
    for path, entry in entries(real, name):
        yield header(entry)
        if entry.kind == FILE:
            yield from _contents(path, entry)


def size_of(real: bytes, name: bytes) -> int:
    """How many bytes `tree` will give. Reads no contents. Raises StoreUnfit."""
    return sum(len(header(entry)) + entry.size + len(padding(entry.size)) for _, entry in entries(real, name))


def chunked(pieces: Iterable[bytes], size: int = CHUNK) -> Iterator[bytes]:
    """The same bytes in fewer pieces, each of `size` bytes or more but for the last."""
    held: list[bytes] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Name and prefix as ustar has room for them; a name longer than 100 bytes where it has none."""
    if len(name) <= _NAME:
        return name, b""
    # The last slash of a folder's own name separates nothing.
    cut = name.rfind(b"/", 0, min(_PREFIX + 1, len(name) - 1))
    if cut > 0 and len(name) - cut - 1 <= _NAME:
        return name[cut + 1 :], name[:cut]
    return name, b""


def _pax(records: list[tuple[bytes, bytes]]) -> bytes:
    """An extended header: what it says counts for the next entry."""
    if any(not _is_text(value) for _, value in records):
        # Names are bytes; the format says UTF-8 where this is not said.
        records = [(b"hdrcharset", b"BINARY"), *records]
    body = b"".join(_record(*record) for record in records)
    return header(Entry(b"PaxHeader", _PAX, 0o444, len(body))) + body + padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    r"""`<length> key=value\n`; the length counts its own digits."""
    rest = b" %b=%b\n" % (key, value)
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return b"%d%b" % (length, rest)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def entries(real: bytes, name: bytes) -> Iterator[tuple[bytes, Entry]]:
    """What is at `real` and below it, a folder before what is in it. Raises StoreUnfit."""
    waiting = [(real, name)]
    while waiting:
        still_wanted()
        path, called = waiting.pop()
        try:
            entry = _entry(path, called)
            yield path, entry
            if entry.kind == FOLDER:
                inside = sorted(os.listdir(path), reverse=True)
                waiting += [(b"%b/%b" % (path, each), b"%b/%b" % (called, each)) for each in inside]
        except OSError as error:
            raise _unfit(called, f"cannot be read: {error.strerror}") from error


def _entry(path: bytes, name: bytes) -> Entry:
    """Raises OSError, StoreUnfit."""
    found = os.lstat(path)
    if name[name.rfind(b"/") + 1 :].startswith(_WHITEOUT):
        raise _unfit(name, "has a name with which images say that a file is removed")
    if stat.S_ISREG(found.st_mode):
        return Entry(name, FILE, 0o555 if found.st_mode & stat.S_IXUSR else 0o444, found.st_size)
    if stat.S_ISDIR(found.st_mode):
        return Entry(name + b"/", FOLDER, 0o555)
    if stat.S_ISLNK(found.st_mode):
        return Entry(name, LINK, 0o777, link=os.readlink(path))
    raise _unfit(name, f"is {_KINDS.get(stat.S_IFMT(found.st_mode), 'no file')}")


def _contents(path: bytes, entry: Entry) -> Iterator[bytes]:
    """Exactly as many bytes as the header says, and the padding. Raises StoreUnfit."""
    left = entry.size
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # One byte more than there should be: a file that grew is noticed without another call.
            while data := os.read(file, min(left + 1, CHUNK)):
                still_wanted()
                left -= len(data)
                if left < 0:
                    break
                yield data
                if not left and len(data) < CHUNK:
                    break
        finally:
            os.close(file)
    except OSError as error:
        raise _unfit(entry.name, f"cannot be read: {error.strerror}") from error
    if left:
        raise _unfit(entry.name, "changed while it was read")
    yield padding(entry.size)


def _unfit(name: bytes, reason: str) -> StoreUnfit:
    """For people: a name may have line ends, and bytes that are no text."""
    text = name.rstrip(b"/").decode("utf-8", "backslashreplace")
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    return StoreUnfit(f"/{shown}", reason)
