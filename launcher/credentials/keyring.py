"""Everybody's credentials, and what each of them opens."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from launcher.build_settings import SHARED
from launcher.credentials.keys import new_key
from launcher.credentials.oauth import KINDS, Application, Grant, OAuth
from launcher.errors import (
    BadRequest,
    BadUrl,
    ConnectFailed,
    CredentialMissing,
    CredentialsFull,
    LauncherError,
    NamesNotProven,
    PrivateNotHere,
    ProtocolRefused,
)
from launcher.oauth_settings import NAMED_FREELY
from launcher.repos import urls
from launcher.repos.access import Access
from launcher.store.credentials import Credential

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.credentials.vault import Vault
    from launcher.model import Private
    from launcher.settings import Settings
    from launcher.store.credentials import CredentialRows

TOKEN, KEY, GRANT = "token", "ssh-key", "oauth"
log = logging.getLogger(__name__)
COMMENT = re.compile(r"[A-Za-z0-9._@-]{1,64}")
MOST = 20
"""Credentials that one person may keep."""
LONGEST_USERNAME, LONGEST_TOKEN = 255, 4000
_SHOWN = re.compile(r"[\x21-\x7e]+")


class Keyring:
    """A repos.access.Keyring, and what the pages change."""

    def __init__(
        self,
        rows: CredentialRows,
        vault: Vault,
        clock: Callable[[], float],
        known: Callable[[str], str] = str,
        known_hosts: str = "",
    ) -> None:
        """`vault` locks the secrets that `rows` keeps.

        `known`: by which address a repository is launched that is cloned at this one; raises as links do.
        """
        self._rows = rows
        self._vault = vault
        self._clock = clock
        self._known = known
        self._renewals: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.known_hosts = known_hosts
        self.oauth = OAuth({}, clock)
        """Asks git hosts at which the operator has an application."""
        self.closed: type[LauncherError] | None = None
        """Why this site keeps nothing and opens nothing private (`closed_by`)."""

    async def found(self, account: str, url: str) -> Sequence[Access]:
        """As repos.access.Keyring. Raises CredentialDamaged, and what the site is closed by."""
        kept = [one for one in await self._rows.list(account) if self._fits(one, url)]
        if kept:
            self._check_open()
        opened = [await self._access(one, url) for one in kept]
        return [one for one in opened if one is not None]

    def _fits(self, one: Credential, url: str) -> bool:
        return one.place == site_of(url) if one.kind != KEY else url in {one.place, self._known(one.place)}

    async def opened(self, private: Private, url: str) -> Access | None:
        """As repos.access.Keyring. Raises CredentialDamaged, and what the site is closed by."""
        self._check_open()
        known = await self._rows.get(private.account, private.credential)
        if known is None:
            return None
        await self._rows.touch(known.id, self._clock())
        return await self._access(known, url)

    def space(self, url: str, account: str = "") -> str:
        """As repos.access.Keyring."""
        return self._vault.space(url, account)

    async def list(self, account: str) -> Sequence[Credential]:
        """This person's, the newest first."""
        return await self._rows.list(account)

    async def keep_token(self, account: str, host: str, username: str, token: str) -> Credential:
        """Keep a token for a host, in place of another one. Raises BadRequest, CredentialsFull, and as found."""
        place = site(host)
        if not username or len(username) > LONGEST_USERNAME or ":" in username or not _SHOWN.fullmatch(username):
            raise BadRequest("username", "It is not one that git can send.", "letters and digits, without “:”")
        if len(token) > LONGEST_TOKEN or not _SHOWN.fullmatch(token):
            raise BadRequest("token", "It is empty, too long, or holds a space.", "the token as the host showed it")
        return await self._keep((account, TOKEN, place), username, "", token)

    async def keep_key(self, account: str, repository: str) -> Credential:
        """Make a key for a repository, in place of another one. Raises BadRequest, CredentialsFull, and as found."""
        form = "the address by which the repository is cloned over ssh: git@git.example.org:lab/notes.git"
        try:
            address = urls.split(repository.strip(), ("ssh",))
        except ProtocolRefused:
            raise BadRequest("repository", "A key opens what is cloned over ssh.", form) from None
        except BadUrl as error:
            raise BadRequest("repository", f"{error.reason[:1].upper()}{error.reason[1:]}.", form) from None
        made = new_key(f"repolaunch-{account}" if COMMENT.fullmatch(account) else "repolaunch")
        return await self._keep((account, KEY, str(address)), address.user, made.public, made.private)

    @property
    def applications(self) -> Sequence[str]:
        """The git hosts (`host[:port]`) at which the operator has an application."""
        return [urlsplit(one).netloc for one in self.oauth.sites]

    def connect_url(self, place: str, back: str, state: str, challenge: str) -> str:
        """Where a person lets us read at a host. Raises as found, BadRequest (we have no application there)."""
        self._check_open()
        return self.oauth.authorize_url(place, back, state, challenge)

    async def connect(self, account: str, place: str, code: str, verifier: str, back: str) -> Credential:
        """Keep what the host gives for the code. Raises BadRequest, ConnectFailed, CredentialsFull, and as found."""
        grant = await self.oauth.redeem(place, code, verifier, back)
        return await self._keep((account, GRANT, place), self.oauth.username(place), "", grant.text())

    def _check_open(self) -> None:
        if self.closed is not None:
            raise self.closed

    async def _keep(self, what: tuple[str, str, str], username: str, public: str, secret: str) -> Credential:
        self._check_open()
        account, kind, place = what
        kept = await self._rows.list(account)
        if len(kept) >= MOST and not any((one.kind, one.place) == (kind, place) for one in kept):
            raise CredentialsFull(MOST)
        name = secrets.token_hex(16)
        locked = self._vault.lock(name, account, secret)
        credential = Credential(name, account, kind, place, username, public, locked, self._clock())
        await self._rows.put(credential)
        return credential

    async def remove(self, account: str, credential: str) -> None:
        """Forget it. Raises CredentialMissing."""
        if not await self._rows.remove(account, credential):
            raise CredentialMissing(credential)

    async def _access(self, known: Credential, url: str) -> Access | None:
        """None: the host takes back what it gave. Raises CredentialDamaged."""
        secret = self._vault.open(known.id, known.account, known.locked)
        if known.kind == KEY:
            return Access(known.id, "ssh-key", known.place, known.username, secret)
        if known.kind == GRANT:
            grant = Grant.read(secret)
            current = await self._renewed(known) if grant.ends(self._clock()) else grant
            if current is None:
                return None
            secret = current.access
        return Access(known.id, "token", url, known.username, secret)

    async def _renewed(self, known: Credential) -> Grant | None:
        """The next token, asked for once: many hosts take a refresh token once only."""
        async with self._renewals.setdefault(known.id, asyncio.Lock()):
            now = await self._rows.get(known.account, known.id)
            if now is None:
                return None
            grant = Grant.read(self._vault.open(now.id, now.account, now.locked))
            if not grant.ends(self._clock()):
                return grant
            try:
                grant = await self.oauth.renew(now.place, grant)
            except (ConnectFailed, BadRequest) as error:
                log.warning("a token of %s was not renewed: %s", now.place, type(error).__name__)
                return None
            await self._rows.relock(now.id, self._vault.lock(now.id, now.account, grant.text()))
            return grant


def closed_by(settings: Settings) -> type[LauncherError] | None:
    """Why a site with these settings opens nothing private; None: it does."""
    if settings.build_engine == SHARED:
        return PrivateNotHere
    return NamesNotProven if settings.authenticator in NAMED_FREELY and not settings.credentials_of_any_name else None


def applications(settings: Settings) -> dict[str, Application]:
    """The operator's applications, by site. Raises BadRequest for what is no host."""
    return {
        site(host): Application(KINDS[one.kind], one.client_id, one.client_secret)
        for host, one in settings.git_applications.items()
    }


def site(text: str) -> str:
    """`https://host[:port]`, however a person writes a host. Raises BadRequest."""
    address, form = text.strip(), "the name of a git host: git.example.org"
    if not address:
        raise BadRequest("host", "It is empty.", form)
    address = address if "://" in address else f"https://{address}"
    try:
        parts = urls.split(f"{address.rstrip('/')}/x", ("https",))
    except ProtocolRefused:
        raise BadRequest("host", "A token is sent over https alone.", form) from None
    except BadUrl as error:
        raise BadRequest("host", f"{error.reason[:1].upper()}{error.reason[1:]}.", form) from None
    if parts.path != "/x" or urlsplit(address).query:
        raise BadRequest("host", "It is more than a host.", form)
    return f"https://{parts.netloc}"


def site_of(url: str) -> str:
    """The same of a repository's address; `""` where no token may be sent there."""
    parts = urls.split(url, (*urls.PROTOCOLS, "file"))
    return f"https://{parts.netloc}" if parts.protocol == "https" else ""
