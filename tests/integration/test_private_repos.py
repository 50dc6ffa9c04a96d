"""Private repositories: who is given what, and where a token goes. A real git host over TLS, real rows, real git."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from launcher.credentials.keyring import Keyring
from launcher.credentials.vault import Vault
from launcher.errors import CredentialRefused, HostUnreachable, LfsFailed, RepositoryMissing, SubmoduleFailed
from launcher.model import Account, Kind, ResolvedRepo
from launcher.repos.checkouts import GitCheckouts
from launcher.repos.private import PrivateResolver
from launcher.repos.providers import parse_url
from launcher.repos.resolver import GitResolver
from launcher.store.credentials import CredentialRows
from tests.fixtures.repos import git
from tests.fixtures.serving_lfs import pointer
from tests.fixtures.serving_private import served_privately
from tests.fixtures.trees import LOOPBACK, PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from launcher.store.database import Database
    from tests.fixtures.repos import GitHttpHost, Repo
    from tests.fixtures.serving_private import PrivateHost

ADA, BOB = Account("ada", Kind.MEMBER), Account("bob", Kind.MEMBER)
GUEST, PROGRAM = Account("ada", Kind.GUEST), Account("", Kind.ANONYMOUS)
TOKEN, OTHERS = "tok-ada-7f3a9c", "tok-bob-51e2d8"


@dataclass
class Parts:
    """What is composed for the launcher, around one git host."""

    keyring: Keyring
    resolver: PrivateResolver
    checkouts: GitCheckouts
    folder: Path

    async def resolve(self, url: str, account: Account = ADA, ref: str = "") -> ResolvedRepo:
        return await self.resolver.resolve(parse_url(url, ref), account)


@asynccontextmanager
async def composed(folder: Path, database: Database) -> AsyncIterator[Parts]:
    keyring = Keyring(CredentialRows(database), Vault("a" * 64, "naming"), time.time)
    asking = GitResolver(LOOPBACK, PROTOCOLS, 30)
    checkouts = GitCheckouts(folder / "checkouts", LOOPBACK, PROTOCOLS, keyring=keyring)
    await checkouts.recover()
    try:
        yield Parts(keyring, PrivateResolver(asking, asking, keyring), checkouts, folder)
    finally:
        await checkouts.close()
        asking.close()


@pytest.fixture
async def parts(tmp_path: Path, database: Database) -> AsyncIterator[Parts]:
    async with composed(tmp_path, database) as made:
        yield made


def closed(host: PrivateHost, name: str, *logins: str, **more: str | bytes) -> Repo:
    """A repository that these logins alone open."""
    for login in logins:
        host.logins[login] = (*host.logins.get(login, ()), f"/{name}.git")
    return host.make_repo(name, {"README.md": "between us\n", **more})


async def test_a_private_repository_is_fetched_with_ones_own_token(parts: Parts, git_private: PrivateHost) -> None:
    repo = closed(git_private, "lab/notes", f"ada:{TOKEN}")
    kept = await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    found = await parts.resolve(repo.url)
    assert (found.commit, found.url) == (repo.commit, repo.url)
    assert found.private is not None
    assert (found.private.account, found.private.credential) == ("ada", kept.id)
    async with parts.checkouts.open(found) as checkout:
        assert (checkout.path / "README.md").read_text() == "between us\n"
        everything = b"".join(one.read_bytes() for one in checkout.path.rglob("*") if one.is_file())
        assert git(checkout.path, "config", "remote.origin.url") == repo.url
    assert {login for _, login in git_private.sent} == {f"ada:{TOKEN}"}
    assert git_private.shown == [], "no argument and no variable of a process had it"
    assert TOKEN.encode() not in everything
    assert TOKEN not in repr(found) + repr(kept) + repr(await parts.keyring.found("ada", repo.url))
    assert (await parts.keyring.list("ada"))[0].used is not None


async def test_where_none_is_needed_none_is_shown(parts: Parts, git_private: PrivateHost) -> None:
    closed(git_private, "lab/notes", f"ada:{TOKEN}")
    await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    found = await parts.resolve(git_private.make_repo("open").url)
    assert found.private is None
    async with parts.checkouts.open(found):
        pass
    assert git_private.sent == []


async def test_to_all_others_it_is_one_that_does_not_exist(parts: Parts, git_private: PrivateHost) -> None:
    """A person without a token, a guest of the very name, a program: the same words as for no repository at all."""
    repo = closed(git_private, "lab/notes", f"ada:{TOKEN}")
    await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    for account in (BOB, GUEST, PROGRAM):
        for url in (repo.url, f"{git_private.base}/lab/nothing.git"):
            with pytest.raises(RepositoryMissing) as caught:
                await parts.resolve(url, account)
            assert vars(caught.value) == {"url": url}
    assert git_private.sent == []


async def test_each_person_is_asked_for_with_their_own(parts: Parts, git_private: PrivateHost) -> None:
    """Who has a token for something else there gets nothing; who may read it has the same namespace, not the folder."""
    repo = closed(git_private, "lab/notes", f"ada:{TOKEN}")
    closed(git_private, "bobs", f"bob:{OTHERS}")
    await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    await parts.keyring.keep_token("bob", git_private.base, "bob", OTHERS)
    adas = await parts.resolve(repo.url)
    async with parts.checkouts.open(adas) as one:
        with pytest.raises(CredentialRefused):
            await parts.resolve(repo.url, BOB)
        git_private.logins[f"bob:{OTHERS}"] += ("/lab/notes.git",)
        bobs = await parts.resolve(repo.url, BOB)
        assert bobs.space == adas.space
        async with parts.checkouts.open(bobs) as other:
            assert other.path != one.path
    assert {login for path, login in git_private.sent if "upload-pack" in path} == {f"ada:{TOKEN}", f"bob:{OTHERS}"}


async def test_who_has_the_resolved_commit_of_another_has_no_files(parts: Parts, git_private: PrivateHost) -> None:
    """All that is known of ADA's launch, in BOB's name: his id and hers, her namespace."""
    repo = closed(git_private, "lab/notes", f"ada:{TOKEN}")
    await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    adas = await parts.resolve(repo.url)
    assert adas.private is not None
    async with parts.checkouts.open(adas):
        forged = replace(adas, private=replace(adas.private, account="bob"))
        with pytest.raises(CredentialRefused):
            async with parts.checkouts.open(forged):
                pass


async def test_a_token_that_was_taken_back(parts: Parts, git_private: PrivateHost) -> None:
    """By the host, though its files are here; and by its owner, before the files were fetched."""
    repo = closed(git_private, "lab/notes", f"ada:{TOKEN}")
    kept = await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    found = await parts.resolve(repo.url)
    await parts.keyring.remove("ada", kept.id)
    with pytest.raises(CredentialRefused):
        async with parts.checkouts.open(found):
            pass
    with pytest.raises(RepositoryMissing):
        await parts.resolve(repo.url)
    await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    found = await parts.resolve(repo.url)
    async with parts.checkouts.open(found):
        pass
    git_private.logins[f"ada:{TOKEN}"] = ()
    git_private.logins["somebody:else"] = ("/lab/",)
    with pytest.raises(CredentialRefused):
        await parts.resolve(repo.url)


# --------------------------------------------------------------------------- where the token goes
async def test_a_redirect_to_another_host_is_followed_without_it(
    parts: Parts, git_private: PrivateHost, tmp_path: Path
) -> None:
    """The host that was given the token sends people on: to one that asks for a login, and would have it."""
    repo = closed(git_private, "lab/notes", f"ada:{TOKEN}")
    await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    with served_privately(tmp_path / "thief") as thief:
        thief.logins["nobody:x"] = ("/",)
        git_private.redirects["/lab/notes.git"] = f"{thief.base}/lab/notes.git"
        with pytest.raises(CredentialRefused):
            await parts.resolve(repo.url)
        assert thief.requests, "it was asked"
        assert thief.sent == []
    assert git_private.sent


async def test_a_redirect_on_the_same_host_keeps_it(parts: Parts, git_private: PrivateHost) -> None:
    repo = closed(git_private, "lab/renamed", f"ada:{TOKEN}")
    git_private.logins[f"ada:{TOKEN}"] += ("/lab/before.git",)
    git_private.redirects["/lab/before.git"] = f"{git_private.base}/lab/renamed.git"
    await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    assert (await parts.resolve(f"{git_private.base}/lab/before.git")).commit == repo.commit


async def test_another_port_and_plain_http_are_another_host(
    parts: Parts, git_private: PrivateHost, git_http: GitHttpHost
) -> None:
    await parts.keyring.keep_token("ada", "127.0.0.1", "ada", TOKEN)
    repo = closed(git_private, "lab/notes", f"ada:{TOKEN}")
    assert await parts.keyring.found("ada", repo.url) == []
    with pytest.raises(RepositoryMissing):
        await parts.resolve(repo.url)
    assert await parts.keyring.found("ada", git_http.base + "/private/x.git") == []
    assert git_private.sent == []


def with_submodule(host: PrivateHost, name: str, module: str, url: str, commit: str, login: str) -> Repo:
    """A closed repository whose submodule lies at `url`."""
    repo = closed(host, name, login, **{".gitmodules": f'[submodule "m"]\n\tpath = {module}\n\turl = {url}\n'})
    git(repo.work, "update-index", "--add", "--cacheinfo", f"160000,{commit},{module}")
    git(repo.work, "commit", "-m", "a submodule")
    git(repo.work, "push", "--quiet", str(repo.path), "HEAD:refs/heads/main")
    return repo


async def test_a_submodule_beside_it_is_the_persons_own(parts: Parts, git_private: PrivateHost) -> None:
    """It comes by the token, and from then on nothing is shared with others who may read the repository."""
    login = f"ada:{TOKEN}"
    inner = closed(git_private, "lab/data", login)
    repo = with_submodule(git_private, "lab/notes", "data", "../data.git", inner.commit, login)
    await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    found = await parts.resolve(repo.url)
    async with parts.checkouts.open(found) as checkout:
        assert (checkout.path / "data" / "README.md").read_text() == "between us\n"
        assert checkout.repo.space == parts.keyring.space(repo.url, "ada")
        assert checkout.repo.space != found.space
    assert git_private.shown == []


async def test_a_public_submodule_narrows_nothing(parts: Parts, git_private: PrivateHost) -> None:
    login = f"ada:{TOKEN}"
    inner = git_private.make_repo("lab/open")
    repo = with_submodule(git_private, "lab/notes", "data", "../open.git", inner.commit, login)
    await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    found = await parts.resolve(repo.url)
    async with parts.checkouts.open(found) as checkout:
        assert checkout.repo.space == found.space
    assert all("/lab/open.git" not in path for path, _ in git_private.sent)


async def test_a_submodule_elsewhere_is_asked_for_without_it(
    parts: Parts, git_private: PrivateHost, tmp_path: Path
) -> None:
    """The person's own repository in another folder, which the author of this one names; and another host."""
    login = f"ada:{TOKEN}"
    secret = closed(git_private, "ada/diary", login)
    await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    with served_privately(tmp_path / "thief") as thief:
        thief.logins["nobody:x"] = ("/",)
        for name, url in (("one", secret.url), ("two", "../ada/diary.git"), ("three", f"{thief.base}/mallory/x.git")):
            repo = with_submodule(git_private, f"mallory/{name}", "m", url, secret.commit, login)
            with pytest.raises(SubmoduleFailed):
                async with parts.checkouts.open(await parts.resolve(repo.url)):
                    pass
        assert thief.requests
        assert thief.sent == []
    assert all("/ada/diary" not in path for path, _ in git_private.sent)
    assert any("/ada/diary" in path for path in git_private.requests)


async def test_large_files_get_it_from_the_repositorys_own_place_alone(
    parts: Parts, git_private: PrivateHost, tmp_path: Path
) -> None:
    login, attributes = f"ada:{TOKEN}", "*.bin filter=lfs diff=lfs merge=lfs -text\n"
    files = {".gitattributes": attributes, "a.bin": pointer("a" * 64, 3)}
    own = closed(git_private, "lab/large", login, **files)
    await parts.keyring.keep_token("ada", git_private.base, "ada", TOKEN)
    with pytest.raises(LfsFailed):  # the host has no Git LFS; what matters is what it was sent
        async with parts.checkouts.open(await parts.resolve(own.url)):
            pass
    assert ("/lab/large.git/info/lfs/objects/batch", login) in git_private.sent
    with served_privately(tmp_path / "thief") as thief:
        thief.logins["nobody:x"] = ("/",)
        for number, url in enumerate((f"{thief.base}/x", f"{git_private.base}/ada/diary.git/info/lfs")):
            config = f"[lfs]\n\turl = {url}\n"
            repo = closed(git_private, f"mallory/{number}", login, **files, **{".lfsconfig": config})
            with pytest.raises(LfsFailed):
                async with parts.checkouts.open(await parts.resolve(repo.url)):
                    pass
        assert thief.requests
        assert thief.sent == []
    assert all("/ada/diary" not in path for path, _ in git_private.sent)


async def test_a_host_that_is_away_is_not_one_that_refuses(
    parts: Parts, git_private: PrivateHost, tmp_path: Path
) -> None:
    assert git_private.base
    with served_privately(tmp_path / "away") as host:
        repo = closed(host, "lab/notes", f"ada:{TOKEN}")
        await parts.keyring.keep_token("ada", host.base, "ada", TOKEN)
    with pytest.raises(HostUnreachable):
        await parts.resolve(repo.url)
