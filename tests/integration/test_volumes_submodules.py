"""Workspaces of repositories with submodules, which are repositories too, and with files of Git LFS."""

from __future__ import annotations

import io
import os
import secrets
import tarfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from launcher.projects.volumes import Seed
from launcher.repos.checkouts import GitCheckouts, Keep
from tests.fixtures.repos import git
from tests.fixtures.serving_lfs import large
from tests.fixtures.trees import LOOPBACK, PROTOCOLS, link, resolve
from tests.fixtures.volumes import new_id, status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.fixtures.repos import GitHttpHost, Repo
    from tests.fixtures.serving_lfs import LfsHost
    from tests.fixtures.volumes import Helper


@asynccontextmanager
async def seed_of(repo: Repo, helper: Helper, contents: str = "") -> AsyncIterator[Seed]:
    """A seed from a real checkout, where the helper looks for them."""
    root = helper.folders.checkouts / secrets.token_hex(4)
    shared = GitCheckouts(root, LOOPBACK, PROTOCOLS, keep=Keep(folders=0))
    await shared.recover()
    resolved = await resolve(repo)
    async with shared.open(resolved) as checkout:
        yield Seed(checkout.path, repo.url, resolved.commit, contents)
    await shared.close()


def nested(git_http: GitHttpHost) -> tuple[Repo, Repo, Repo]:
    """A repository with a submodule with a submodule."""
    inner = git_http.make_repo(files={"i.txt": "inner\n"})
    part = git_http.make_repo(files={"p.txt": "part\n"})
    link(part, "deep/inner", f"../{inner.path.name}", inner.commit)
    root = git_http.make_repo(files={"r.txt": "root\n"})
    link(root, "libs/part one", part.url, part.commit, name="the part")
    return root, part, inner


async def test_submodules_are_repositories(volume_helper: Helper, git_http: GitHttpHost) -> None:
    root, part, inner = nested(git_http)
    project = new_id()
    async with seed_of(root, volume_helper) as seed:
        assert await volume_helper.volumes.create(project, seed) == "clone"
    work = volume_helper.workspace(project) / "work"
    assert status(work) == ""
    for where, repo in ((work / "libs/part one", part), (work / "libs/part one/deep/inner", inner)):
        assert status(where) == ""
        assert git(where, "-c", "safe.directory=*", "rev-parse", "HEAD") == repo.commit
        assert git(where, "-c", "safe.directory=*", "remote", "get-url", "origin") == repo.url
        assert where.stat().st_uid == (where / ".git/config").stat().st_uid == 1000
    assert (work / "libs/part one/deep/inner/i.txt").read_text() == "inner\n"
    listed = git(work, "-c", "safe.directory=*", "submodule", "status", "--recursive")
    said = {line.split(" (")[0] for line in listed.split("\n")}
    assert {line.strip() for line in said} == {
        f"{part.commit} libs/part one",
        f"{inner.commit} libs/part one/deep/inner",
    }
    # A newer commit of the submodule is fetched as people do it.
    newer = part.add({"p.txt": "newer\n"})
    safe = ("-c", "safe.directory=*")
    git(work / "libs/part one", *safe, "fetch", "--quiet", "origin", "main")
    git(work / "libs/part one", *safe, "checkout", "--quiet", newer)
    assert (work / "libs/part one/p.txt").read_text() == "newer\n"


def archive(files: Mapping[str, str]) -> bytes:
    """A tar of files; one whose name ends in @ is a link."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.removesuffix("@"))
            if name.endswith("@"):
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
                continue
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content.encode()))
    return stream.getvalue()


async def test_files_of_an_image(volume_helper: Helper, git_http: GitHttpHost) -> None:
    """Where they are the commit's they are taken; a link in the place of a submodule is not followed."""
    root, part, _ = nested(git_http)
    files = {
        "r.txt": "root\n",
        ".gitmodules": (root.work / ".gitmodules").read_text(),
        "libs/part one/p.txt": "part\n",
        "libs/part one/.gitmodules": (part.work / ".gitmodules").read_text(),
        "libs/part one/deep/inner/i.txt": "inner\n",
        "made.txt": "by postBuild",
    }
    elsewhere = {name: text for name, text in files.items() if not name.startswith("libs")} | {"libs@": "/workspaces"}
    for given, how in (
        (files, "contents"),
        (files | {"libs/part one/.git/config": "[x]"}, "clone"),
        (elsewhere, "clone"),
    ):
        digits = secrets.token_hex(32)
        (volume_helper.folders.contents / f"{digits}.tar").write_bytes(archive(given))
        project = new_id()
        async with seed_of(root, volume_helper, digits) as seed:
            assert await volume_helper.volumes.create(project, seed) == how
        work = volume_helper.workspace(project) / "work"
        assert status(work) == ("?? made.txt" if how == "contents" else "")
        assert (work / "libs/part one/deep/inner/.git/config").exists()
        assert not (work / "libs").is_symlink()


async def test_large_files(volume_helper: Helper, lfs_http: LfsHost) -> None:
    """Whole files, which git without git-lfs takes for unchanged until somebody changes them."""
    part = large(lfs_http, {"p.bin": b"part"})
    root = large(lfs_http, {"a.bin": os.urandom(200_000), "deep/b.bin": b"same", "deep/c.bin": b"same"})
    link(root, "libs/part", part.url, part.commit)
    project = new_id()
    async with seed_of(root, volume_helper) as seed:
        content = (seed.checkout / "a.bin").read_bytes()
        assert await volume_helper.volumes.create(project, seed) == "clone"
    work = volume_helper.workspace(project) / "work"
    assert (work / "a.bin").read_bytes() == content
    assert (work / "deep/c.bin").read_bytes() == b"same"
    assert (work / "libs/part/p.bin").read_bytes() == b"part"
    assert (work / "a.bin").stat().st_uid == 1000
    safe = ("-c", "safe.directory=*")
    assert git(work, *safe, "status", "--porcelain") == ""
    assert git(work / "libs/part", *safe, "status", "--porcelain") == ""
    (work / "deep/b.bin").write_bytes(b"SAME")
    assert git(work, *safe, "status", "--porcelain") == "M deep/b.bin"
    assert "filter" not in (work / ".git/config").read_text()


async def test_large_files_of_an_image(volume_helper: Helper, lfs_http: LfsHost) -> None:
    root = large(lfs_http, {"a.bin": b"whole"})
    attributes = (root.work / ".gitattributes").read_text()
    for text, how in (("whole", "contents"), ("other", "clone")):
        digits = secrets.token_hex(32)
        given = {"a.bin": text, ".gitattributes": attributes, "made.txt": "by postBuild"}
        (volume_helper.folders.contents / f"{digits}.tar").write_bytes(archive(given))
        project = new_id()
        async with seed_of(root, volume_helper, digits) as seed:
            assert await volume_helper.volumes.create(project, seed) == how
        work = volume_helper.workspace(project) / "work"
        assert (work / "a.bin").read_text() == "whole"
        changed = git(work, "-c", "safe.directory=*", "status", "--porcelain")
        assert changed == ("?? made.txt" if how == "contents" else "")
