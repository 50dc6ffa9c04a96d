"""The git hosts that other tests rely on: what they serve is what was put in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fixtures.repos import git

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.repos import GitHost, GitHttpHost


def test_daemon_serves_files_branches_and_tags(git_daemon: GitHost, tmp_path: Path) -> None:
    repo = git_daemon.make_repo(files={"a/b.txt": "one"}, branches={"feature/x": {"c": b"\x00"}}, tags=("v1", "+v2"))
    listed = git(tmp_path, "ls-remote", repo.url)
    names = {line.split("\t")[1] for line in listed.splitlines()}
    assert names == {
        "HEAD",
        "refs/heads/main",
        "refs/heads/feature/x",
        "refs/tags/v1",
        "refs/tags/v2",
        "refs/tags/v2^{}",
    }
    git(tmp_path, "clone", "--quiet", repo.url, "copy")
    assert (tmp_path / "copy/a/b.txt").read_text() == "one"
    assert repo.commit == git(tmp_path / "copy", "rev-parse", "HEAD")


def test_http_serves_a_clone(git_http: GitHttpHost, tmp_path: Path) -> None:
    repo = git_http.make_repo(files={"a.txt": "one"})
    git(tmp_path, "clone", "--quiet", repo.url, "copy")
    assert (tmp_path / "copy/a.txt").read_text() == "one"
