"""A repository with submodules and large files, from the link to the running session."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.fixtures.repos import git
from tests.fixtures.service import visiting
from tests.fixtures.serving_lfs import large
from tests.fixtures.trees import link

if TYPE_CHECKING:
    from tests.fixtures.repos import GitHttpHost
    from tests.fixtures.service import Service
    from tests.fixtures.serving_lfs import LfsHost

pytestmark = pytest.mark.engine

BASE = "FROM localhost/repolaunch/base:1\n"
SEEN = BASE + "COPY . /tmp/seen\nRUN grep -q whole /tmp/seen/data.bin && grep -q part /tmp/seen/libs/part/p.txt\n"
LOOK = """
import pathlib, subprocess
work = pathlib.Path("/workspace/work")
def git(*words):
    return subprocess.run(["git", *words], capture_output=True, text=True, cwd=work).stdout
print(len((work / "data.bin").read_bytes()), (work / "libs/part/p.txt").read_text())
print(repr(git("status", "--porcelain")))
print(git("submodule", "status"), git("-C", "libs/part", "remote", "get-url", "origin"))
"""


async def test_the_build_and_the_session_see_them(service: Service, lfs_http: LfsHost, git_http: GitHttpHost) -> None:
    part = git_http.make_repo(files={"p.txt": "part"})
    content = b"whole" + os.urandom(100_000)
    repo = large(lfs_http, {"data.bin": content}, Dockerfile=SEEN)
    link(repo, "libs/part", part.url, part.commit)
    assert len(git(repo.path, "cat-file", "-p", "main:data.bin")) < 200, "a pointer is committed"
    async with visiting(service) as visitor:
        await visitor.enter()
        events = await visitor.launch(repo.url, "main")
        assert events[-1]["type"] == "ready", events[-1]
        session = await visitor.session(events[-1]["url"])
        said = await session.run(LOOK)
    assert f"{len(content)} part" in said
    assert "''" in said, "git calls nothing changed"
    assert f" {part.commit} libs/part" in said
    assert part.url in said
