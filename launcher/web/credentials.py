"""`/api/v1/credentials`: what opens a person's private repositories. Secrets come in and never go out."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from launcher.errors import Forbidden
from launcher.model import Kind
from launcher.web.handler import Handler
from launcher.web.schemas import iso

if TYPE_CHECKING:
    from launcher.web.context import CredentialView


class CredentialRequest(BaseModel):
    """A token to keep: it takes the place of another one for the same host."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    host: str = Field(max_length=300, description="The git host: `git.example.org`, with a port if need be.")
    username: str = Field(max_length=300, description="The name that git sends with it; many hosts take any.")
    token: str = Field(max_length=8000, repr=False, description="It is kept encrypted and never shown again.")


class Credential(BaseModel):
    """A credential that is kept. What opens is not in it."""

    id: str
    kind: str = Field(description="`token`.")
    place: str = Field(description="What it opens: `https://` and the host.")
    username: str
    created: str
    used: str | None = Field(description="When a repository was fetched with it last.")

    @classmethod
    def of(cls, view: CredentialView) -> Credential:
        """As JSON."""
        used = None if view.used is None else iso(view.used)
        about = {"id": view.id, "kind": view.kind, "place": view.place, "username": view.username}
        return cls(**about, created=iso(view.created), used=used)


class _Own(Handler):
    asks_who = True

    @property
    def owner(self) -> str:
        """The name of the one who asks. Raises LoginRequired, Forbidden."""
        account = self.account
        if account.kind is not Kind.MEMBER:
            raise Forbidden("keep credentials (people who have signed in may)")
        return account.name


class Credentials(_Own):
    """`/api/v1/credentials`."""

    async def get(self) -> None:
        """One's own, the newest first."""
        self.send([Credential.of(one) for one in await self.web.credentials.list(self.owner)])

    async def post(self) -> None:
        """Keep one."""
        owner = self.owner
        asked = self.body_as(CredentialRequest)
        kept = await self.web.credentials.keep_token(owner, asked.host, asked.username, asked.token)
        self.send(Credential.of(kept), HTTPStatus.CREATED)


class OneCredential(_Own):
    """`/api/v1/credentials/<id>`."""

    async def delete(self, credential: str) -> None:
        """Forget it: nothing is fetched with it any more."""
        await self.web.credentials.remove(self.owner, credential)
        self.set_status(HTTPStatus.NO_CONTENT)
