"""The settings of people's credentials for git hosts: a part of `launcher/settings.py`."""

from __future__ import annotations

import json
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


class GitApplication(BaseModel):
    """An application that the operator has made at a git host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["github", "gitlab", "forgejo", "bitbucket"]
    client_id: str = Field(min_length=1)
    client_secret: str = Field(min_length=1, repr=False)


def _from_text(value: object) -> object:
    """What the environment says, as the settings file would; a value that is no JSON is told of as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value else {}
    except ValueError:
        return value


Host = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$")]
Applications = Annotated[dict[Host, GitApplication], BeforeValidator(_from_text)]


NAMED_FREELY: Final = frozenset(
    {
        "shared-password",
        "dummy",
        "jupyterhub.authenticators.shared.SharedPasswordAuthenticator",
        "jupyterhub.auth.DummyAuthenticator",
    }
)
"""Of `authenticator`: those at which whoever may sign in takes any name, somebody else's too."""


class OAuthSettings(BaseModel):
    """How people's private repositories are opened."""

    credentials_of_any_name: bool = Field(
        default=False,
        description="Keep credentials for private repositories though whoever may sign in takes any name: with "
        '`authenticator = "shared-password"` (or `dummy`) everybody who knows the password can be somebody else, and '
        "use what that name keeps. Off: such a site keeps none and opens nothing private.",
    )

    git_applications: Applications = Field(
        default_factory=dict,
        repr=False,
        description='OAuth applications at git hosts, by host: `[git_applications."git.example.org"]` with `kind` '
        "(`github`, `gitlab`, `forgejo` (Gitea too) or `bitbucket`), `client_id` and `client_secret`. In the "
        "environment as JSON.",
    )
