"""What opens a person's private repositories: a page, and `/api/v1/credentials`. Secrets come in and never go out."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from launcher.errors import Forbidden
from launcher.model import Kind
from launcher.web import texts
from launcher.web.handler import Handler
from launcher.web.pages import Shell
from launcher.web.routes import HTML, Operation, Route
from launcher.web.schemas import iso

if TYPE_CHECKING:
    from launcher.web.views import CredentialView


class CredentialRequest(BaseModel):
    """A token to keep (`host`, `username`, `token`), or a deploy key to be made (`repository`).

    It takes the place of another one for the same host or repository.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    host: str = Field("", max_length=300, description="The git host: `git.example.org`, with a port if need be.")
    username: str = Field("", max_length=300, description="The name that git sends with it; many hosts take any.")
    token: str = Field("", max_length=8000, repr=False, description="It is kept encrypted and never shown again.")
    repository: str = Field(
        "", max_length=2000, description="What a new key is for: `git@git.example.org:lab/notes.git`."
    )

    @model_validator(mode="after")
    def _one_way(self) -> CredentialRequest:
        if bool(self.repository) == bool(self.host or self.username or self.token):
            msg = "Give either host, username and token, or repository"
            raise ValueError(msg)
        return self


class Credential(BaseModel):
    """A credential that is kept. What opens is not in it."""

    id: str
    kind: str = Field(description="`token`, `oauth` (given by the host) or `ssh-key`.")
    place: str = Field(description="What it opens: `https://` and the host, or the address of one repository.")
    username: str
    public: str = Field(description="The public half of a key, for the host's list of deploy keys; else empty.")
    created: str
    used: str | None = Field(description="When a repository was fetched with it last.")

    @classmethod
    def of(cls, view: CredentialView) -> Credential:
        """As JSON."""
        used = None if view.used is None else iso(view.used)
        about = {name: getattr(view, name) for name in ("id", "kind", "place", "username", "public")}
        return cls(**about, created=iso(view.created), used=used)


class CredentialsPage(Shell):
    """`/credentials`."""

    entry = "src/credentials/main.ts"
    template = "credentials.html"

    def get(self) -> None:
        """The page: its script asks for the list, as the person who opened it."""
        title = texts.text(self.language, "credentials.title")
        config = {"provider": "", "spec": "", "urlpath": "", "connects": list(self.web.credentials.applications)}
        self.shell(title, config)


class Own(Handler):
    asks_who = True

    @property
    def owner(self) -> str:
        """The name of the one who asks. Raises LoginRequired, Forbidden."""
        account = self.account
        if account.kind is not Kind.MEMBER:
            raise Forbidden("keep credentials (people who have signed in may)")
        return account.name


class Credentials(Own):
    """`/api/v1/credentials`."""

    async def get(self) -> None:
        """One's own, the newest first."""
        self.send([Credential.of(one) for one in await self.web.credentials.list(self.owner)])

    async def post(self) -> None:
        """Keep one."""
        owner = self.owner
        asked = self.body_as(CredentialRequest)
        if asked.repository:
            kept = await self.web.credentials.keep_key(owner, asked.repository)
        else:
            kept = await self.web.credentials.keep_token(owner, asked.host, asked.username, asked.token)
        self.send(Credential.of(kept), HTTPStatus.CREATED)


class OneCredential(Own):
    """`/api/v1/credentials/<id>`."""

    async def delete(self, credential: str) -> None:
        """Forget it: nothing is fetched with it any more."""
        await self.web.credentials.remove(self.owner, credential)
        self.set_status(HTTPStatus.NO_CONTENT)


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/credentials",
        CredentialsPage,
        (
            Operation(
                "GET",
                "One's credentials for private repositories: what is kept, more of it, and less.",
                HTML,
                query=(
                    ("repository", "What a credential is wanted for."),
                    ("next", "The launch link to go on to afterwards: a path of this site."),
                ),
            ),
        ),
    ),
    Route(
        "/api/v1/credentials",
        Credentials,
        (
            Operation(
                "GET",
                "One's credentials for private repositories, without what opens.",
                Credential,
                many=True,
                who="login",
                errors=("forbidden",),
            ),
            Operation(
                "POST",
                "Keep a token of a git host, or have a deploy key made: one's own launches are fetched with it.",
                Credential,
                201,
                body=CredentialRequest,
                who="login",
                errors=("forbidden", "bad-request", "credentials-full", "private-not-here", "names-not-proven"),
            ),
        ),
    ),
    Route(
        "/api/v1/credentials/{id}",
        OneCredential,
        (
            Operation(
                "DELETE",
                "Forget a credential.",
                "",
                204,
                who="login",
                errors=("forbidden", "credential-missing"),
            ),
        ),
    ),
)
