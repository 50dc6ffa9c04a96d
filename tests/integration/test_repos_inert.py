"""Nothing of a repository runs and nothing of it leads out; where something could run, it would write a canary."""

from __future__ import annotations

import os
import stat
import struct
import zlib
from hashlib import sha1
from typing import TYPE_CHECKING

import pytest

from launcher.errors import CheckoutRefused, LauncherError, RepositoryTooLarge
from launcher.repos.budget import Limits
from tests.fixtures.repos import git
from tests.fixtures.trees import blob, checkouts, feed, left_over, names, raw_commit, raw_tree, resolve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.repos import GitHost, GitHttpHost, Repo


async def failure(repo: Repo, root: Path, ref: str = "", limits: Limits | None = None) -> LauncherError:
    """What a checkout of the repository fails with; nothing is left of it."""
    async with checkouts(root, limits) as shared:
        with pytest.raises(LauncherError) as caught:
            async with shared.open(await resolve(repo, ref)):
                pass
        assert await left_over(root) == []
    assert names(root) == ["checkouts"]
    return caught.value


async def test_what_a_commit_can_carry(git_daemon: GitHost, tmp_path: Path) -> None:
    """Attributes that name filters, encodings and exports; files that look like configuration, hooks and alternates."""
    canary = tmp_path / "canary"
    run = f"touch {canary}"
    config = f'[core]\n\tfsmonitor = {run}\n\tsshCommand = {run}\n\thooksPath = .\n[filter "evil"]\n\tsmudge = {run}\n'
    files: dict[str, str | bytes] = {
        ".gitattributes": "*.txt filter=evil diff=evil ident export-subst\n*.u16 working-tree-encoding=UTF-16\n",
        ".gitconfig": config + f'[include]\n\tpath = {canary}\n[includeIf "gitdir:**"]\n\tpath = x\n',
        "config": config,
        ".lfsconfig": f'[lfs "customtransfer.evil"]\n\tpath = {run}\n[lfs]\n\tstandalonetransferagent = evil\n',
        "a.txt": "$Id$ $Format:%H$\n",
        "a.u16": "größe\n".encode("utf-16"),
        "hooks/post-checkout": f"#!/bin/sh\n{run}\n",
        "post-checkout": f"#!/bin/sh\n{run}\n",
        "objects/info/alternates": "/etc\n",
        "HEAD": "ref: refs/heads/main\n",
        "binder/postBuild": f"#!/bin/sh\n{run}\n",
    }
    repo = git_daemon.make_repo(files=files)
    async with checkouts(tmp_path) as shared, shared.open(await resolve(repo)) as checkout:
        path = checkout.path
        assert (path / "a.txt").read_text().endswith("$Format:%H$\n")
        assert (path / "a.u16").read_text("utf-16") == "größe\n"
        assert not (path / ".git/hooks").exists()
        assert not (path / ".git/objects/info/alternates").exists()
        assert "evil" not in (path / ".git/config").read_text()
    assert not canary.exists()


async def test_names_that_would_be_something_else(git_daemon: GitHost, tmp_path: Path) -> None:
    """Newlines, escapes, options, capitals, spaces at the end: they are files, and only files."""
    odd = [
        "a\nb",
        "\x1b[31mred\x1b[0m",
        "--upload-pack=touch canary",
        "-u",
        "README",
        "readme",
        "dot.",
        "sp ",
        "\\",
        "*",
        "#x",
    ]
    odd += ["%2e%2e", "a:b", "NUL", "\u202egpj", "x" * 255, "ﬁ", "ﬀ", "é", "e\u0301"]
    repo = git_daemon.make_repo(files=dict.fromkeys(odd, "x"))
    async with checkouts(tmp_path) as shared, shared.open(await resolve(repo)) as checkout:
        assert sorted(one for one in names(checkout.path) if one != ".git") == sorted(odd)
        assert not list(checkout.path.glob("canary"))


async def test_a_name_longer_than_any_disk_takes(git_daemon: GitHost, tmp_path: Path) -> None:
    repo = git_daemon.make_repo()
    raw_commit(repo, raw_tree(repo, [("100644", "x" * 300, blob(repo, "x"))]))
    error = await failure(repo, tmp_path, "evil")
    assert isinstance(error, CheckoutRefused)
    assert error.reason == "git cannot write it to a disk"


@pytest.mark.parametrize(
    "entries,reason",
    [
        ([("120000", "a", "/etc"), ("100644", "a", "x")], "twice"),
        ([("100644", "a", "x"), ("100644", "a", "y")], "twice"),
        ([("120000", ".git", "/etc")], "git's own folder"),
        ([("100644", "GIT~1", "x")], "git's own folder"),
        ([("100644", ".git ", "x")], "git's own folder"),
        ([("100644", ".git\u200c", "x")], "git"),
        ([("100644", "a/../../b", "x")], "climbs out"),
    ],
)
async def test_trees_that_git_would_not_make(
    git_daemon: GitHost, tmp_path: Path, entries: list[tuple[str, str, str]], reason: str
) -> None:
    repo = git_daemon.make_repo()
    raw_commit(repo, raw_tree(repo, [(mode, name, blob(repo, text)) for mode, name, text in entries]))
    if entries[0][1] == ".git\u200c":  # only a disk of Apple's takes it for .git: here it is a file
        async with checkouts(tmp_path) as shared, shared.open(await resolve(repo, "evil")) as checkout:
            assert stat.S_ISREG((checkout.path / ".git\u200c").lstat().st_mode)
        return
    error = await failure(repo, tmp_path, "evil")
    assert isinstance(error, CheckoutRefused)
    assert reason in error.reason


async def test_devices_and_pipes_are_none(git_daemon: GitHost, tmp_path: Path) -> None:
    """Git has no such modes; what claims one is a plain file or refused."""
    for mode in ("20666", "10644", "60660", "104755"):
        repo = git_daemon.make_repo()
        raw_commit(repo, raw_tree(repo, [(mode, "device", blob(repo, "x"))]))
        async with checkouts(tmp_path / mode) as shared:
            try:
                async with shared.open(await resolve(repo, "evil")) as checkout:
                    found = (checkout.path / "device").lstat().st_mode
                    assert stat.S_ISREG(found) or stat.S_ISDIR(found)  # a submodule's place
                    assert not found & (stat.S_ISUID | stat.S_ISGID)
            except LauncherError as error:
                assert isinstance(error, CheckoutRefused)  # noqa: PT017  # one of the two


async def test_links_out_of_the_tree_are_links(git_daemon: GitHost, tmp_path: Path) -> None:
    """Written as they are, followed by nobody: not by git, which writes no file through one."""
    (tmp_path / "outside").mkdir()
    repo = git_daemon.make_repo()
    (repo.work / "out").symlink_to(tmp_path / "outside")
    (repo.work / "up").symlink_to("../" * 20 + "etc/passwd")
    (repo.work / "loop").symlink_to("loop")
    repo.add({})
    async with checkouts(tmp_path) as shared, shared.open(await resolve(repo)) as checkout:
        assert (checkout.path / "out").is_symlink()
        assert (checkout.path / "loop").is_symlink()
    assert names(tmp_path / "outside") == []


async def test_a_tree_that_explodes(git_daemon: GitHost, tmp_path: Path) -> None:
    """Ten objects, ten thousand million files: nobody counts them to the end."""
    repo = git_daemon.make_repo()
    tree = raw_tree(repo, [("100644", f"f{number}", blob(repo, "x")) for number in range(10)])
    for _ in range(9):
        tree = raw_tree(repo, [("40000", f"d{number}", tree) for number in range(10)])
    raw_commit(repo, tree)
    error = await failure(repo, tmp_path, "evil")
    assert isinstance(error, RepositoryTooLarge)
    assert (error.what, error.limit) == ("files", Limits().files)


def pack(base: bytes, size: int) -> tuple[bytes, str]:
    """A pack of `base` and of a file of `size` bytes that is made of it again and again; and that file's id."""

    def head(kind: int, length: int) -> bytes:
        first, length = (kind << 4) | (length & 15), length >> 4
        out = bytearray()
        while length:
            out.append(first | 128)
            first, length = length & 127, length >> 7
        return bytes([*out, first])

    def varint(number: int) -> bytes:
        out = bytearray()
        while number > 127:  # seven bits
            out.append(number & 127 | 128)
            number >>= 7
        return bytes([*out, number])

    copy = bytes([0b11110000]) + len(base).to_bytes(3, "little")  # from 0, so many bytes
    delta = varint(len(base)) + varint(size) + copy * (size // len(base))
    base_id = sha1(b"blob %d\0" % len(base) + base, usedforsecurity=False)
    whole = sha1(b"blob %d\0" % size, usedforsecurity=False)
    for _ in range(size // len(base)):
        whole.update(base)
    body = b"PACK" + struct.pack(">II", 2, 2)
    body += head(3, len(base)) + zlib.compress(base)
    body += head(7, len(delta)) + base_id.digest() + zlib.compress(delta)
    return body + sha1(body, usedforsecurity=False).digest(), whole.hexdigest()


async def test_a_pack_that_explodes(git_http: GitHttpHost, tmp_path: Path) -> None:
    """A few kilobytes that git would have to unpack to more memory than one process may have."""
    base = bytes(8 * 2**20)
    content, bomb = pack(base, 320 * 2**20)
    repo = git_http.make_repo()
    # The base is a file of the commit too: the server then sends the difference as it has it.
    raw_commit(repo, raw_tree(repo, [("100644", "base", blob(repo, base)), ("100644", "bomb", bomb)]))
    folder = repo.path / "objects/pack"
    folder.mkdir(exist_ok=True)
    name = folder / "pack-bomb.pack"
    name.write_bytes(content)
    assert len(content) < 100_000
    git(repo.path, "index-pack", str(name))
    limit = 200 * 2**20
    error = await failure(repo, tmp_path, "evil", Limits(memory=limit))
    assert isinstance(error, RepositoryTooLarge)
    assert (error.url, error.what, error.limit) == (repo.url, "bytes of memory", limit)


async def test_a_file_larger_than_the_limit_is_never_written(git_http: GitHttpHost, tmp_path: Path) -> None:
    """60 MB of zeros are 60 kB on the wire: told from the listing, before a byte is on the disk."""
    repo = git_http.make_repo(files={"zeros": bytes(60_000_000)})
    error = await failure(repo, tmp_path, limits=Limits(bytes=20_000_000))
    assert isinstance(error, RepositoryTooLarge)
    assert error.what == "bytes"


async def test_a_history_of_many_commits(git_http: GitHttpHost, tmp_path: Path) -> None:
    """One commit is fetched of two thousand, at the tip and in the midst."""
    repo = git_http.make_repo()
    lines = ["blob\nmark :1\ndata 1\nx\n"]
    for number in range(2000):
        lines.append(f"commit refs/heads/long\ncommitter A <a@b> {1700000000 + number} +0000\ndata 1\nx\n")
        lines.append(f"M 100644 :1 f{number % 10}\n")
    feed(repo, "".join(lines))
    for commit in (repo.commit_of("long"), repo.commit_of("long~1000")):
        async with checkouts(tmp_path) as shared, shared.open(await resolve(repo, commit)) as checkout:
            assert git(checkout.path, "rev-list", "--count", "HEAD") == "1"
            assert len(os.listdir(checkout.path)) > 1  # noqa: PTH208  # a number
