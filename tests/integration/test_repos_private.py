"""What was public stays launchable; what never was is never archived, whatever this machine has credentials for."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from launcher.errors import RepositoryMissing
from launcher.model import Account, Kind
from launcher.repos.archived import ArchivedResolver
from launcher.repos.private import PrivateResolver
from launcher.repos.providers import parse_url
from launcher.repos.resolver import GitResolver
from tests.fixtures.kept import Kept
from tests.fixtures.registry import running_registry
from tests.fixtures.repos import LOGIN
from tests.fixtures.trees import LOOPBACK, PROTOCOLS, checkouts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from launcher.model import Private, ResolvedRepo
    from launcher.repos.access import Access
    from tests.fixtures.repos import GitHttpHost


ANN = Account("ann", Kind.MEMBER)


class Nobody:
    """A keyring in which nobody keeps anything."""

    known_hosts = ""

    async def found(self, _account: str, _url: str) -> Sequence[Access]:
        return ()

    async def opened(self, _private: Private, _url: str) -> Access | None:
        return None

    def space(self, _url: str, _account: str = "") -> str:
        return ""


class Site:
    """The parts of a launcher that fetch and archive. `launch` gives the repository and what its file says."""

    def __init__(self, root: Path, registry: str) -> None:
        self._root = root
        self.kept = Kept(registry, root / "checkouts")

    async def launch(self, url: str) -> tuple[ResolvedRepo, str]:
        inner = GitResolver(LOOPBACK, PROTOCOLS)
        try:
            resolver = ArchivedResolver(PrivateResolver(inner, inner, Nobody()), self.kept)
            repo = await resolver.resolve(parse_url(url, "main"), ANN)
        finally:
            inner.close()
        async with checkouts(self._root, archive=self.kept) as shared, shared.open(repo) as checkout:
            if not checkout.repo.archived:
                await self.kept.archive(checkout)
            return checkout.repo, (checkout.path / "notes.txt").read_text()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_registry(tmp_path) as registry:
        yield Site(tmp_path, registry.host)


def reader(home: Path, base: str) -> dict[str, str]:
    """The environment of somebody who may read the private repositories, in the ways that git knows of."""
    user, _, password = LOGIN.partition(":")
    (home / ".git-credentials").write_text(f"http://{user}:{quote(password)}@{base.partition('://')[2]}\n")
    (home / ".gitconfig").write_text("[credential]\n\thelper = store\n")
    (home / "ask").write_text(f"#!/bin/sh\ncase $1 in User*) echo {user};; *) echo {password};; esac\n")
    (home / "ask").chmod(0o700)
    return {"HOME": str(home), "GIT_ASKPASS": str(home / "ask")}


async def test_a_public_repository_that_turns_private_stays_launchable(site: Site, git_http: GitHttpHost) -> None:
    repo = git_http.make_repo(files={"notes.txt": "public"})
    found, text = await site.launch(repo.url)
    assert (found.archived, text) == (False, "public")
    git_http.hidden.append(repo.url.removeprefix(git_http.base))
    # What was pushed since, nobody who may not see it sees.
    repo.add({"notes.txt": "secret"})
    again, text = await site.launch(repo.url)
    assert (again.archived, again.commit, text) == (True, found.commit, "public")


async def test_a_private_repository_is_never_archived_whoever_may_read_it(
    site: Site, git_http: GitHttpHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = git_http.make_repo(files={"notes.txt": "secret"})
    url = repo.url.replace(git_http.base, f"{git_http.base}/private")
    for name, text in reader(tmp_path, git_http.base).items():
        monkeypatch.setenv(name, text)
    git_http.tried.clear()
    await asyncio.to_thread(subprocess.run, ["git", "ls-remote", url], check=True, capture_output=True)
    assert git_http.tried, "any git that this person starts is let in"
    git_http.tried.clear()
    with pytest.raises(RepositoryMissing):
        await site.launch(url)
    assert git_http.tried == []
    assert site.kept.repository.tags() == []
