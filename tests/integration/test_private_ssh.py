"""Deploy keys: made here for one repository, shown to the host that the operator lists. A real ssh server, real ssh."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from launcher.credentials.keyring import Keyring
from launcher.credentials.vault import Vault
from launcher.errors import BadRequest, CredentialRefused, HostKeyUnknown, RepositoryMissing
from launcher.repos.checkouts import GitCheckouts
from launcher.repos.private import PrivateResolver
from launcher.repos.provider import Sites
from launcher.repos.providers import parse_url
from launcher.repos.resolver import GitResolver
from launcher.store.credentials import CredentialRows
from tests.fixtures.serving_ssh import served_over_ssh
from tests.fixtures.trees import LOOPBACK, PROTOCOLS
from tests.integration.test_private_repos import BOB, Parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from launcher.store.database import Database
    from tests.fixtures.repos import Repo
    from tests.fixtures.serving_ssh import SshHost


@pytest.fixture
async def git_ssh(tmp_path: Path) -> AsyncIterator[SshHost]:
    async with served_over_ssh(tmp_path) as host:
        yield host


@asynccontextmanager
async def composed(folder: Path, database: Database, known: str, sites: Sites) -> AsyncIterator[Parts]:
    """As the launcher, with a file of known hosts."""
    hosts = folder / "known hosts"
    hosts.write_text(known)

    def cloned(text: str) -> str:
        return parse_url(text, sites=sites).url

    keyring = Keyring(CredentialRows(database), Vault("a" * 64, "naming"), time.time, cloned, str(hosts))
    asking = GitResolver(LOOPBACK, PROTOCOLS, 30, known_hosts=str(hosts))
    checkouts = GitCheckouts(folder / "checkouts", LOOPBACK, PROTOCOLS, keyring=keyring)
    await checkouts.recover()
    try:
        yield Parts(keyring, PrivateResolver(asking, asking, keyring), checkouts, folder)
    finally:
        await checkouts.close()
        asking.close()


@pytest.fixture
async def parts(tmp_path: Path, database: Database, git_ssh: SshHost) -> AsyncIterator[Parts]:
    async with composed(tmp_path, database, git_ssh.known, Sites()) as made:
        yield made


def closed(host: SshHost, name: str = "notes") -> Repo:
    return host.make_repo(name, {"README.md": "between us\n"})


async def test_a_repository_is_fetched_with_the_key_that_was_made_for_it(parts: Parts, git_ssh: SshHost) -> None:
    repo = closed(git_ssh)
    kept = await parts.keyring.keep_key("ada", repo.url)
    assert kept.public.startswith("ssh-ed25519 ")
    assert kept.public.endswith(" repolaunch-ada")
    with pytest.raises(CredentialRefused):  # it is not in the host's list yet
        await parts.resolve(repo.url)
    git_ssh.open(kept.public, "/notes.git")
    found = await parts.resolve(repo.url)
    assert found.commit == repo.commit
    async with parts.checkouts.open(found) as checkout:
        assert (checkout.path / "README.md").read_text() == "between us\n"
        everything = b"".join(one.read_bytes() for one in checkout.path.rglob("*") if one.is_file())
    assert b"PRIVATE KEY" not in everything
    assert git_ssh.shown == []
    with pytest.raises(RepositoryMissing):
        await parts.resolve(repo.url, BOB)


async def test_a_key_opens_its_own_repository_and_no_other(parts: Parts, git_ssh: SshHost) -> None:
    repo, other = closed(git_ssh), closed(git_ssh, "other")
    kept = await parts.keyring.keep_key("ada", repo.url)
    git_ssh.open(kept.public, "/other.git")
    with pytest.raises(RepositoryMissing):
        await parts.resolve(other.url)
    assert git_ssh.offered == []


async def test_a_host_that_is_not_listed_is_not_shown_a_key(
    tmp_path: Path, database: Database, git_ssh: SshHost
) -> None:
    """No line, and the line of another host at this address."""
    repo = closed(git_ssh)
    async with served_over_ssh(tmp_path) as another:
        theirs = another.known.split(" ", 1)[1]
    for number, known in enumerate(("", f"{git_ssh.known.split(' ', 1)[0]} {theirs}")):
        (tmp_path / str(number)).mkdir()
        async with composed(tmp_path / str(number), database, known, Sites()) as parts:
            kept = await parts.keyring.keep_key("ada", repo.url)
            git_ssh.open(kept.public, "/notes.git")
            with pytest.raises(HostKeyUnknown):
                await parts.resolve(repo.url)
    assert git_ssh.offered == []


async def test_a_repository_of_a_named_site_is_launched_by_its_own_link(database: Database) -> None:
    """`git@github.com:lab/notes.git` is cloned; `gh/lab/notes` is launched."""
    sites = Sites(github="https://127.0.0.1:1")
    keyring = Keyring(
        CredentialRows(database), Vault("a" * 64, "n"), time.time, lambda text: parse_url(text, sites=sites).url
    )
    await keyring.keep_key("ada", "ssh://git@127.0.0.1:1/lab/notes.git")
    link = parse_url("https://127.0.0.1:1/lab/notes", sites=sites)
    assert link.provider == "gh"
    (access,) = await keyring.found("ada", link.url)
    assert access.url == "ssh://git@127.0.0.1:1/lab/notes.git"
    assert await keyring.found("ada", "https://127.0.0.1:1/lab/other") == []


@pytest.mark.parametrize(
    "text,seen",
    [
        ("https://git.example.org/a/b", "A key opens what is cloned over ssh."),
        ("git@git.example.org", "It has not the form protocol://host/path."),
        ("git@git.example.org:-oProxyCommand=x", "Its path begins with -."),
    ],
)
async def test_what_no_key_is_made_for(parts: Parts, text: str, seen: str) -> None:
    with pytest.raises(BadRequest) as caught:
        await parts.keyring.keep_key("ada", text)
    assert (caught.value.where, caught.value.seen) == ("repository", seen)
