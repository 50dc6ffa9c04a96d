"""Large files of Git LFS in a workspace: whole files, which git takes for what the commit has.

The commit has pointers in their places. Without git-lfs, git would call each file changed; so the index is made with
this module as git's filter (gitattributes(5), "Long Running Filter Process"), which says what pointer a file is. What
git then remembers is the file's size and times, and it stays so until somebody changes the file.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
import sys
from typing import TYPE_CHECKING, BinaryIO

from .folders import READ, copy_file, folder, opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAST_S = 3600
"""git looks again at files that are as young as its index: these are made older."""


def filter_options(paths: Iterable[str]) -> tuple[str, ...]:
    """What git has to be told where a repository has large files."""
    if not any(True for _ in paths):
        return ()
    # The package's folder is where this process found it; the session's user may read it too. -P: in a work tree, which
    # is where git starts it, there may be a folder of the package's name.
    above = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - a plain string
    command = ("env", f"PYTHONPATH={above}", "python3", "-s", "-B", "-P", "-m", "volume_helper.large")
    return ("-c", f"filter.lfs.process={shlex.join(command)}", "-c", "filter.lfs.required=true")


def copy_large(paths: Iterable[str], checkout: int, work: int) -> None:
    """Put the checkout's large files in their pointers' places; both are open folders of the same repository."""
    for path in paths:
        *above, name = path.split("/")
        with folder(above, below=checkout) as origin, folder(above, below=work) as target:
            with opened(name, READ, below=origin) as fd:
                mode = 0o755 if os.fstat(fd).st_mode & stat.S_IXUSR else 0o644
            os.unlink(name, dir_fd=target)
            copy_file(name, origin, target, mode)


def make_older(paths: Iterable[str], work: int) -> None:
    """Before git looks at them."""
    for path in paths:
        *above, name = path.split("/")
        with folder(above, below=work) as target:
            before = os.stat(name, dir_fd=target, follow_symlinks=False).st_mtime - PAST_S
            os.utime(name, (before, before), dir_fd=target, follow_symlinks=False)


# --------------------------------------------------------------------------- the filter process
def _packets(stream: BinaryIO) -> Iterator[bytes]:
    """Up to the next flush packet (gitprotocol-common(5), "pkt-line")."""
    while head := stream.read(4):
        size = int(head, 16)
        if size == 0:
            return
        yield stream.read(size - 4)
    raise EOFError


def _send(stream: BinaryIO, *lines: bytes) -> None:
    stream.writelines(b"%04x%s" % (len(line) + 4, line) for line in lines)
    stream.write(b"0000")
    stream.flush()


def serve(asked: BinaryIO, answered: BinaryIO) -> None:
    """Answer git until it hangs up."""
    list(_packets(asked))
    _send(answered, b"git-filter-server\n", b"version=2\n")
    list(_packets(asked))
    _send(answered, b"capability=clean\n")
    while True:
        try:
            list(_packets(asked))
            digest, size = hashlib.sha256(), 0
            for packet in _packets(asked):
                digest.update(packet)
                size += len(packet)
        except EOFError:
            return
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest.hexdigest()}\nsize {size}\n"
        _send(answered, b"status=success\n")
        _send(answered, *([text.encode()] if size else []))
        _send(answered)


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
