"""The tar of store paths: golden bytes, what a well-known reader sees, and what cannot be in an image."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders.errors import StoreUnfit
from builders.oci.tar import CHUNK, END, FILE, FOLDER, LINK, Entry, chunked, header, size_of, tree

if TYPE_CHECKING:
    from pathlib import Path

NAME = b"nix/store/x"
GOLDEN = "1236c49be6ed"


def archive(real: Path | bytes, name: bytes = NAME) -> bytes:
    made = b"".join(tree(os.fsencode(real), name))
    assert len(made) == size_of(os.fsencode(real), name)
    return made + END


def read(data: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(data))


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def seen_by_python(data: bytes) -> dict[bytes, tuple[object, ...]]:
    """What Python's own reader makes of an archive."""
    found: dict[bytes, tuple[object, ...]] = {}
    with read(data) as opened:
        for member in opened:
            assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 1)
            file = opened.extractfile(member) if member.isreg() else None
            about = file.read() if file else raw(member.linkname)
            found[raw(member.name)] = (member.type, member.mode, about)
    return found


def held(real: bytes, name: bytes = NAME) -> dict[bytes, tuple[object, ...]]:
    """What the file system holds, as the archive is to have it."""
    found: dict[bytes, tuple[object, ...]] = {}
    mode = os.lstat(real).st_mode
    if stat.S_ISLNK(mode):
        return {name: (LINK, 0o777, os.readlink(real))}
    if stat.S_ISREG(mode):
        with open(real, "rb") as file:
            return {name: (FILE, 0o555 if mode & 0o100 else 0o444, file.read())}
    found[name] = (FOLDER, 0o555, b"")
    for each in os.listdir(real):
        found |= held(os.path.join(real, each), os.path.join(name, each))
    return found


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A folder with one of everything."""
    place = tmp_path / "x"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "run").write_bytes(b"#!/bin/sh\n")
    (place / "bin" / "run").chmod(0o4755)
    (place / "empty").mkdir()
    (place / "nothing").write_bytes(b"")
    (place / "a-block").write_bytes(b"b" * 512)
    (place / "link").symlink_to("bin/run")
    os.link(place / "a-block", place / "another-name")
    (place / ("n" * 120)).write_bytes(b"long")
    (place / "l").symlink_to("t" * 300)
    (place / "é").write_bytes(b"accent")
    return place


def test_golden_bytes_of_headers() -> None:
    block = header(Entry(b"nix/store/x", FILE, 0o555, 1234))
    assert len(block) == 512
    assert block[:157] == (
        b"nix/store/x".ljust(100, b"\0")
        + b"0000555\x000000000\x000000000\x0000000002322\x0000000000001\x00"
        + b"011332\0 0"
    )
    assert block[157:] == bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\x000000000\x00" + bytes(167)


def test_golden_digest_of_a_tree(sample: Path) -> None:
    assert hashlib.sha256(archive(sample)).hexdigest()[:12] == GOLDEN


def test_python_reads_what_the_file_system_holds(sample: Path) -> None:
    seen = seen_by_python(archive(sample))
    assert seen == held(os.fsencode(sample))
    assert seen[b"nix/store/x/bin/run"] == (FILE, 0o555, b"#!/bin/sh\n"), "setuid is dropped"
    assert seen[b"nix/store/x/another-name"] == (FILE, 0o444, b"b" * 512), "a hard link is a file"


def test_entries_are_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    for name in ("b", "a/z", "a/B", "a.c", "Z"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with read(archive(tmp_path)) as opened:
        names = [name.removeprefix("nix/store/x") for name in opened.getnames()]
    assert names == ["", "/Z", "/a", "/a/B", "/a/z", "/a.c", "/b"]


def test_clock_owner_and_permissions_do_not_count(sample: Path) -> None:
    before = archive(sample)
    os.utime(sample / "nothing", (5, 5))
    (sample / "nothing").chmod(0o600)
    (sample / "empty").chmod(0o700)
    (sample / "bin" / "run").chmod(0o100 | 0o400)
    if os.getuid() == 0:
        os.chown(sample / "nothing", 1234, 1234)
    assert archive(sample) == before
    (sample / "nothing").chmod(0o500)
    assert archive(sample) != before, "that a file may be run does count"


NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."} and not name.startswith(b".wh.")
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(NAMES, st.binary(max_size=1500), max_size=5), folder=NAMES, target=NAMES)
def test_any_names_and_contents_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, files: dict[bytes, bytes], folder: bytes, target: bytes
) -> None:
    real = os.fsencode(tmp_path_factory.mktemp("any"))
    below = os.path.join(real, folder)
    os.mkdir(below)
    for name, content in files.items():
        with open(os.path.join(below, name), "wb") as file:
            file.write(content)
    os.symlink(target, os.path.join(real, b"link of " + folder[:200]))
    assert seen_by_python(archive(real)) == held(real)


@pytest.mark.parametrize(
    "name",
    [b"with\nline end", b"no text \xff\xfe", b"n" * 255, "ü".encode() * 127, b"\xff" * 255, b" ", b"%s", b"a" * 100],
    ids=["newline", "not-utf-8", "255-bytes", "254-bytes-of-utf-8", "255-bytes-not-utf-8", "blank", "percent", "100"],
)
def test_names_that_are_hard(tmp_path: Path, name: bytes) -> None:
    real = os.fsencode(tmp_path)
    with open(os.path.join(real, name), "wb") as file:
        file.write(b"here")
    os.symlink(name, os.path.join(real, b"link"))
    assert seen_by_python(archive(tmp_path)) == held(real)


@pytest.mark.parametrize("length", [99, 100, 101, 154, 155, 156, 157, 254, 255, 256, 257, 258, 900])
@pytest.mark.parametrize("kind", [FILE, FOLDER])
def test_every_length_of_a_path(length: int, kind: bytes) -> None:
    for step in (7, 60, 99, 100, 101, 154, 155, 156, 2000):
        letters = bytearray(b"n" * length)
        letters[step - 1 : length - 2 : step] = b"/" * len(letters[step - 1 : length - 2 : step])
        name = bytes(letters) + (b"/" if kind == FOLDER else b"")
        with read(header(Entry(name, kind, 0o444)) + END) as opened:
            assert [raw(each) for each in opened.getnames()] == [name.rstrip(b"/")]


def test_a_file_of_more_than_8_gib(tmp_path: Path) -> None:
    size = 9 * 2**30 + 1
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(size)
    first = next(tree(os.fsencode(tmp_path / "huge"), NAME))
    with tarfile.open(fileobj=io.BytesIO(first)) as opened:
        member = opened.next()
    assert member is not None
    assert (member.name, member.size) == ("nix/store/x", size)
    assert size_of(os.fsencode(tmp_path / "huge"), NAME) == len(first) + size + 511


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7])
def test_sizes_around_the_borders(tmp_path: Path, size: int) -> None:
    (tmp_path / "f").write_bytes(os.urandom(size))
    assert seen_by_python(archive(tmp_path / "f")) == held(os.fsencode(tmp_path / "f"))


@pytest.mark.parametrize("size", [10, 511, CHUNK, 2 * CHUNK, 2 * CHUNK + 5])
@pytest.mark.parametrize("change", [-1, 1, 600])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, size: int, change: int) -> None:
    file = tmp_path / "f"
    file.write_bytes(bytes(size))
    pieces = tree(os.fsencode(file), NAME)
    next(pieces)
    os.truncate(file, max(0, size + change))
    with pytest.raises(StoreUnfit) as caught:
        list(pieces)
    assert vars(caught.value) == {"path": "/nix/store/x", "reason": "changed while it was read"}


def test_what_cannot_be_in_an_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe\n\x1b[31m")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".wh.gone").write_bytes(b"")
    for name, path, reason in (
        ("pipe\n\x1b[31m", "/pipe\\n\\x1b[31m", "is a pipe"),
        ("s", "/s", "is a socket"),
        ("folder", "/folder/.wh.gone", "has a name with which images say that a file is removed"),
        ("missing", "/missing", "cannot be read: No such file or directory"),
    ):
        with pytest.raises(StoreUnfit) as caught:
            list(tree(os.fsencode(tmp_path / name), os.fsencode(name)))
        assert vars(caught.value) == {"path": path, "reason": reason}
    listener.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes devices")
def test_no_devices(tmp_path: Path) -> None:
    os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with pytest.raises(StoreUnfit, match="is a device"):
        list(tree(os.fsencode(tmp_path), NAME))


def test_folders_as_deep_as_a_path_may_be(tmp_path: Path) -> None:
    """Deeper than Python calls itself."""
    folders = [os.fsencode(tmp_path) + b"/d" * depth for depth in range(1, 1201)]
    for folder in folders:
        os.mkdir(folder)
    try:
        with read(archive(tmp_path / "d")) as opened:
            assert max(name.count("/") for name in opened.getnames()) == 1201
    finally:
        for folder in reversed(folders):
            os.rmdir(folder)


def test_chunks_are_the_same_bytes(sample: Path) -> None:
    pieces = list(tree(os.fsencode(sample), NAME))
    chunks = list(chunked(pieces, 1000))
    assert b"".join(chunks) == b"".join(pieces)
    assert all(len(chunk) >= 1000 for chunk in chunks[:-1])
