"""The settings of OAuth applications at git hosts: a part of `launcher/settings.py`."""

from __future__ import annotations

import json
from typing import Annotated, Literal

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


class OAuthSettings(BaseModel):
    """How people are let in at git hosts without making a token there."""

    git_applications: Applications = Field(
        default_factory=dict,
        repr=False,
        description='OAuth applications at git hosts, by host: `[git_applications."git.example.org"]` with `kind` '
        "(`github`, `gitlab`, `forgejo` (Gitea too) or `bitbucket`), `client_id` and `client_secret`. In the "
        "environment as JSON.",
    )
