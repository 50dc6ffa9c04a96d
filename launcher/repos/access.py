"""What opens a repository that is not for everybody, and how git and curl are given it: in memory, in no argument."""

from __future__ import annotations

import os
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from launcher.repos import urls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.model import Private
    from launcher.repos.urls import Address


@dataclass(frozen=True, slots=True)
class Access:
    """A person's credential, opened for one repository."""

    credential: str
    """Its id."""
    kind: Literal["token", "ssh-key"]
    url: str
    """The repository's address: `https` for a token, `ssh` for a key."""
    username: str
    secret: str = field(repr=False)

    def opens(self, address: Address) -> bool:
        """Whether it may be shown there: a token at its exact host and port over TLS, a key at its own repository."""
        own = urls.split(self.url)
        if self.kind == "ssh-key":
            return address == own
        return address.protocol == "https" == own.protocol and (address.host, address.port) == (own.host, own.port)

    def reaches(self, url: str) -> bool:
        """Whether a submodule at this address may be asked for with it: a token's, beside the repository or below.

        A repository says by itself what its submodules are. One that somebody was invited to could name that person's
        own ones elsewhere on the host.
        """
        address, own = urls.split(url), urls.split(self.url)
        folder = own.path.rpartition("/")[0] + "/"
        # At the root of a host "beside" would be all of it.
        return self.kind == "token" and folder != "/" and self.opens(address) and address.path.startswith(folder)

    @property
    def header(self) -> dict[str, str]:
        """For requests of our own; only of a token."""
        login = b64encode(f"{self.username}:{self.secret}".encode()).decode()
        return {"Authorization": f"Basic {login}"}


class Keyring(Protocol):
    """Everybody's credentials (launcher/credentials/keyring.py)."""

    known_hosts: str
    """A file of host keys: to other hosts no key of a person is shown. `""`: the machine's own alone."""

    async def found(self, account: str, url: str) -> Sequence[Access]:
        """Those of this person that may open the repository. Raises CredentialDamaged, PrivateNotHere."""
        ...

    async def opened(self, private: Private, url: str) -> Access | None:
        """The one that opened it; None: it is no longer kept."""
        ...

    def space(self, url: str, account: str = "") -> str:
        """The namespace of a repository, or, with an account, of what this person alone has of it."""
        ...


@contextmanager
def in_memory(text: str) -> Iterator[str]:
    """A path at which processes of ours can read the text, while this lasts; it is on no disk.

    No child inherits it, other users cannot open it, and it is gone with this process, however that ends.
    """
    descriptor = os.memfd_create("login")
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, text.encode())
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


def helper(here: Address, path: str) -> tuple[str, ...]:
    """Git's configuration that makes it ask at `path`, for this host and no other; the path is no secret."""
    site = f"{here.protocol}://{here.netloc}"
    return ("-c", f'credential.{site}.helper=!f() {{ test "$1" = get && cat {path}; }}; f')


def told(access: Access) -> str:
    """What git's credential helpers print (gitcredentials(7))."""
    return f"username={access.username}\npassword={access.secret}\n"
