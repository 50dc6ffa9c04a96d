"""Links that do not open to everybody are asked again with the credentials of the one who launches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.errors import CredentialRefused, RepositoryMissing, RepositoryPrivate
from launcher.model import Kind, Private

if TYPE_CHECKING:
    from launcher.model import Account, RepoRef, ResolvedRepo
    from launcher.repos.access import Keyring
    from launcher.repos.records.resolver import Public
    from launcher.repos.resolver import GitResolver


class PrivateResolver:
    """A stages.Resolver."""

    def __init__(self, public: Public, git: GitResolver, keyring: Keyring) -> None:
        """`public` asks for everybody, `git` with a credential."""
        self._public = public
        self._git = git
        self._keyring = keyring

    async def resolve(self, ref: RepoRef, account: Account) -> ResolvedRepo:
        """As stages.Resolver: without a login first.

        Raises CredentialRefused where the person's own do not open it. To everybody else a private repository is one
        that does not exist.
        """
        try:
            return await self._public.resolve(ref)
        except (RepositoryMissing, RepositoryPrivate):
            found = await self._keyring.found(account.name, ref.url) if account.kind is Kind.MEMBER else ()
        for access in found:
            try:
                repo = await self._git.opened(access).resolve(ref)
            except (RepositoryMissing, RepositoryPrivate):
                continue
            return replace(repo, private=Private(account.name, access.credential, self._keyring.space(ref.url)))
        if found:
            raise CredentialRefused(ref.url)
        raise RepositoryMissing(ref.url)
