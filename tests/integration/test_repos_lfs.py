"""Files of Git LFS: the right bytes from a server of the batch API, and every way in which that goes wrong."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from launcher.errors import (
    AddressRefused,
    BadUrl,
    HostUnreachable,
    LauncherError,
    LfsFailed,
    ProtocolRefused,
    RepositoryTooLarge,
)
from launcher.repos import pointers
from launcher.repos.budget import Limits
from launcher.repos.pointers import Pointer
from tests.fixtures.repos import git
from tests.fixtures.serving_lfs import TOKEN, large, pointer
from tests.fixtures.trees import checkouts, failure, link, resolve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.repos import GitHttpHost, Repo
    from tests.fixtures.serving_lfs import LfsHost

OID = hashlib.sha256(b"one").hexdigest()


async def lfs_failure(repo: Repo, root: Path, path: str = "a.bin") -> LauncherError:
    """The cause of an LfsFailed that names the repository and the file."""
    error = await failure(repo, root)
    assert isinstance(error, LfsFailed)
    assert (error.url, error.path) == (repo.url, path)
    return error.cause


async def test_files_of_the_real_client(lfs_http: LfsHost, tmp_path: Path) -> None:
    """git-lfs itself makes the pointers and uploads the files."""
    repo = lfs_http.make_repo()
    noise = os.urandom(3_000_000)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_TERMINAL_PROMPT": "0"}
    (repo.work / "data/deep").mkdir(parents=True)
    (repo.work / "data/deep/größe.bin").write_bytes(noise)
    (repo.work / "run.bin").write_bytes(b"#!/bin/sh\n")
    (repo.work / "run.bin").chmod(0o755)
    (repo.work / "empty.bin").touch()
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (
        ("lfs", "install", "--local"),
        ("lfs", "track", "*.bin"),
        ("add", "--all"),
        (*who, "commit", "--quiet", "-m", "large files"),
        ("remote", "add", "origin", repo.url),
        ("lfs", "push", "--all", "origin"),
    ):
        done = subprocess.run(  # noqa: ASYNC221  # nothing else runs
            ["git", "-C", str(repo.work), *command], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    git(repo.work, "push", "--quiet", "--no-verify", str(repo.path), "main")
    assert len(lfs_http.store[hashlib.sha256(noise).hexdigest()]) == 3_000_000
    async with checkouts(tmp_path) as shared, shared.open(await resolve(repo)) as checkout:
        assert (checkout.path / "data/deep/größe.bin").read_bytes() == noise
        assert (checkout.path / "run.bin").read_bytes() == b"#!/bin/sh\n"
        assert stat.S_IMODE((checkout.path / "run.bin").stat().st_mode) == 0o755
        assert (checkout.path / "empty.bin").read_bytes() == b""
        assert not (checkout.path / ".git/repolaunch-lfs").exists()


async def test_what_is_a_pointer_and_what_is_not(lfs_http: LfsHost, tmp_path: Path) -> None:
    one = lfs_http.put(b"one")
    repo = lfs_http.make_repo(
        files={
            ".gitattributes": "[attr]big filter=lfs\n*.big big\n",
            "deep/.gitattributes": "*.bin filter=lfs\n",
            "a.big": one,
            "deep/twice.bin": one,
            "not-by-attribute.bin": one,
            "deep/not-a-pointer.bin": "committed as it is\n",
            "deep/long.bin": one + " " * 1024,
        }
    )
    async with checkouts(tmp_path) as shared, shared.open(await resolve(repo)) as checkout:
        files = {
            name: (checkout.path / name).read_text() for name in ("a.big", "deep/twice.bin", "not-by-attribute.bin")
        }
        assert files == {"a.big": "one", "deep/twice.bin": "one", "not-by-attribute.bin": one}
        assert (checkout.path / "deep/not-a-pointer.bin").read_text() == "committed as it is\n"


async def test_many_files_in_submodules_too(lfs_http: LfsHost, git_http: GitHttpHost, tmp_path: Path) -> None:
    part = large(lfs_http, {f"{number}.bin": f"file {number}".encode() for number in range(230)})
    root = git_http.make_repo()
    link(root, "libs/data", part.url, part.commit)
    lfs_http.requests.clear()
    async with checkouts(tmp_path) as shared, shared.open(await resolve(root)) as checkout:
        for number in range(230):
            assert (checkout.path / f"libs/data/{number}.bin").read_text() == f"file {number}"
    assert len([path for path in lfs_http.requests if path.endswith("/batch")]) == 3


@pytest.mark.parametrize(
    "text,expected",
    [
        (pointer(OID, 3), Pointer(OID, 3)),
        (pointer(OID, 3).replace("git-lfs.github.com", "hawser.github.com"), Pointer(OID, 3)),
        (pointer(OID, 3).replace("\n", "\r\n"), Pointer(OID, 3)),
        (pointer(OID.upper(), 3), None),
        (pointer(OID[1:], 3), None),
        (pointer("../" + OID[3:], 3), None),
        (pointer(OID, -3), None),
        (pointer(OID, 10**18), None),
        ("version https://git-lfs.github.com/spec/v1\next-0-x sha256:0\n" + pointer(OID, 3)[43:], None),
        ("", None),
        ("größe", None),
    ],
)
def test_reading_a_pointer(text: str, expected: Pointer | None) -> None:
    assert pointers.read(text.encode()) == expected


@pytest.mark.parametrize(
    "repository,config,expected",
    [
        ("https://h.org/a/b", "", "https://h.org/a/b.git/info/lfs"),
        ("https://h.org:8443/a/b.git", "", "https://h.org:8443/a/b.git/info/lfs"),
        ("git@h.org:a/b.git", "", "https://h.org/a/b.git/info/lfs"),
        ("ssh://git@h.org:2222/a/b", "", "https://h.org/a/b.git/info/lfs"),
        ("git://h.org/a", "", "https://h.org/a.git/info/lfs"),
        ("https://h.org/a", "lfs.url\nhttps://lfs.org/x/\0", "https://lfs.org/x"),
        ("https://h.org/a", "remote.origin.lfsurl\nhttps://lfs.org/y\0", "https://lfs.org/y"),
    ],
)
def test_where_files_are_asked_for(repository: str, config: str, expected: str) -> None:
    assert pointers.server(repository, config) == expected


@pytest.mark.parametrize(
    "url,cause",
    [
        ("http://10.11.12.13/lfs", AddressRefused),
        ("http://169.254.169.254/lfs", AddressRefused),
        ("http://[::ffff:10.0.0.1]/lfs", AddressRefused),
        ("file:///etc", ProtocolRefused),
        ("ssh://git@127.0.0.1/x", ProtocolRefused),
        ("http://me:secret@127.0.0.1/lfs", BadUrl),
    ],
)
async def test_a_server_that_the_repository_names(
    lfs_http: LfsHost, tmp_path: Path, url: str, cause: type[LauncherError]
) -> None:
    repo = large(lfs_http, {"a.bin": b"one"}, **{".lfsconfig": f"[lfs]\n\turl = {url}\n"})
    error = await lfs_failure(repo, tmp_path)
    assert isinstance(error, cause)
    assert "secret" not in str(vars(error))


@pytest.mark.parametrize(
    "href,cause,fact",
    [
        ("http://10.11.12.13/object?signature=abc", AddressRefused, "10.11.12.13"),
        ("http://2130706434:1/", AddressRefused, "127.0.0.2"),
        ("file:///etc/passwd", ProtocolRefused, "file"),
        ("gopher://127.0.0.1/x", ProtocolRefused, "gopher"),
        ("http://a b/", BadUrl, ""),
        ('http://127.0.0.1/"\noutput = "/tmp/canary', BadUrl, ""),
        ("", BadUrl, ""),
    ],
)
async def test_a_file_that_the_server_says_is_elsewhere(
    lfs_http: LfsHost, tmp_path: Path, href: str, cause: type[LauncherError], fact: str
) -> None:
    from launcher.repos.addresses import AddressPolicy  # noqa: PLC0415  # the test's own is too open
    from launcher.repos.checkouts import GitCheckouts  # noqa: PLC0415

    content = os.urandom(8)
    repo = large(lfs_http, {"a.bin": content})
    lfs_http.hrefs[hashlib.sha256(content).hexdigest()] = href
    only = AddressPolicy([], [lfs_http.base.removeprefix("http://")])
    shared = GitCheckouts(tmp_path / "checkouts", only, ("http",))
    await shared.recover()
    with pytest.raises(LfsFailed) as caught:
        async with shared.open(await resolve(repo)):
            pass
    await shared.close()
    assert isinstance(caught.value.cause, cause)
    assert fact in str(vars(caught.value.cause))
    assert "abc" not in str(vars(caught.value.cause)), "a signature is a secret"
    assert TOKEN not in str(vars(caught.value.cause))


async def test_redirects(lfs_http: LfsHost, git_http: GitHttpHost, tmp_path: Path) -> None:
    """Of the question and of a file: followed where they may lead; what was meant for one host stays there."""
    content = os.urandom(8)
    repo = large(lfs_http, {"a.bin": content})
    oid = hashlib.sha256(content).hexdigest()
    name = repo.url.rpartition("/")[2]
    lfs_http.redirects[f"/{name}/info/lfs/"] = "/moved/info/lfs/"
    lfs_http.redirects["/again/"] = "/lfs-objects/"
    lfs_http.hrefs[oid] = f"{lfs_http.base}/again/{oid}"
    async with checkouts(tmp_path) as shared, shared.open(await resolve(repo)) as checkout:
        assert (checkout.path / "a.bin").read_bytes() == content
    assert "/moved/info/lfs/objects/batch" in lfs_http.requests
    lfs_http.redirects["/again/"] = "http://10.11.12.13/"
    error = await lfs_failure(repo, tmp_path)
    assert isinstance(error, AddressRefused)
    assert error.via == f"{lfs_http.base}/again/{oid}"
    # Another port is another host: the token is not sent there.
    git_http.redirects["/over/"] = f"{lfs_http.base}/lfs-objects/"
    lfs_http.hrefs[oid] = f"{git_http.base}/over/{oid}"
    error = await lfs_failure(repo, tmp_path)
    assert isinstance(error, HostUnreachable)
    assert error.reason == "it answers with status 403"
    lfs_http.redirects["/again/"] = "/again/"
    lfs_http.hrefs[oid] = f"{lfs_http.base}/again/{oid}"
    error = await lfs_failure(repo, tmp_path)
    assert isinstance(error, HostUnreachable)
    assert error.reason == "it redirects more than 5 times"
    del lfs_http.redirects["/again/"]


@pytest.mark.parametrize(
    "sent,reason",
    [
        (b"x" * 100, "what it sent is not the file: its digest is another"),
        (b"x" * 99, "what it sent is not the file: its digest is another"),
        (b"x" * 101, "it sends more than it said"),
        (None, "it does not have the file"),
    ],
)
async def test_other_bytes_than_were_promised(
    lfs_http: LfsHost, tmp_path: Path, sent: bytes | None, reason: str
) -> None:
    content = os.urandom(100)
    repo = large(lfs_http, {"fine.bin": b"fine", "a.bin": content})
    oid = hashlib.sha256(content).hexdigest()
    if sent is None:
        del lfs_http.store[oid]
    else:
        lfs_http.sent[oid] = sent
    error = await lfs_failure(repo, tmp_path)
    assert isinstance(error, HostUnreachable)
    assert (error.reason, error.url) == (reason, f"{repo.url}/info/lfs")


@pytest.mark.parametrize(
    "batch",
    [
        {"objects": "x"},
        {"objects": [1]},
        {"message": "no"},
        {"transfer": "ssh", "objects": []},
        {"hash_algo": "md5", "objects": []},
    ],
)
async def test_answers_that_are_none(lfs_http: LfsHost, tmp_path: Path, batch: dict[str, Any]) -> None:
    repo = large(lfs_http, {"a.bin": b"one"})
    lfs_http.batch.update(batch)
    try:
        error = await lfs_failure(repo, tmp_path)
    finally:
        lfs_http.batch.clear()
    assert isinstance(error, HostUnreachable)
    assert error.reason == "it answered, but not as a server of Git LFS"


async def test_headers_that_would_be_options(lfs_http: LfsHost, tmp_path: Path) -> None:
    """Curl is told headers in a file of its own; nothing of them becomes another line there."""
    repo = large(lfs_http, {"a.bin": b"one"})
    for header in ({"X": 'y"\noutput = "/tmp/canary"'}, {'X"\noutput = "/x': "y"}, {"X": "größe"}, {"X": 1}):
        action = {"href": f"{lfs_http.base}/x", "header": header}
        lfs_http.batch.update({"objects": [{"oid": OID, "size": 3, "actions": {"download": action}}]})
        try:
            error = await lfs_failure(repo, tmp_path)
        finally:
            lfs_http.batch.clear()
        assert isinstance(error, HostUnreachable)
        assert error.reason == "it answered, but not as a server of Git LFS"


async def test_a_host_without_lfs(git_http: GitHttpHost, lfs_http: LfsHost, tmp_path: Path) -> None:
    repo = git_http.make_repo(files={".gitattributes": "*.bin filter=lfs\n", "a.bin": lfs_http.put(b"one")})
    error = await lfs_failure(repo, tmp_path)
    assert isinstance(error, HostUnreachable)
    assert error.reason == "it has no Git LFS"


async def test_limits(lfs_http: LfsHost, tmp_path: Path) -> None:
    """The size that a pointer promises counts before anything is asked for; bytes that never end are stopped."""
    repo = large(lfs_http, {"a.bin": os.urandom(300_000)})
    lfs_http.requests.clear()
    error = await failure(repo, tmp_path, Limits(bytes=200_000))
    assert isinstance(error, RepositoryTooLarge)
    assert (error.what, error.url) == ("bytes", repo.url)
    assert not [path for path in lfs_http.requests if "lfs" in path]
    silent = socket.create_server(("127.0.0.1", 0))
    content = os.urandom(8)
    repo = large(lfs_http, {"a.bin": content})
    lfs_http.hrefs[hashlib.sha256(content).hexdigest()] = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
    error = await failure(repo, tmp_path, Limits(seconds=3))
    assert isinstance(error, RepositoryTooLarge | LfsFailed)
    silent.close()
