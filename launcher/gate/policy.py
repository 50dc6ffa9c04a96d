"""What an operator may choose of who may what: one file, re-read when it changes (`launcher/gate/file.py`).

`docs/reference/policy.md` is generated from this module.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from launcher.gate.notices import Html  # noqa: TC001  # pydantic reads it
from launcher.gate.patterns import PATTERNS, Regex

LONGEST_NOTE = 200
Note = Annotated[str, Field(max_length=LONGEST_NOTE)]
Limit = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
"""0: no limit."""


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text))


def _pin(text: str) -> str:
    digits = text.removeprefix("sha256:")
    if len(digits) not in {40, 64} or not set(digits) <= set("0123456789abcdef"):
        raise ValueError(f"{text!r} is no environment key, no digest sha256:… and no commit")
    return text


def _provider(text: str, info: ValidationInfo) -> str:
    known = (info.context or {}).get("providers", ())
    if known and text not in known:
        raise ValueError(f"there is no such provider; there are {', '.join(sorted(known))}")
    return text


def person(name: str) -> str:
    """A person by their name: hubs mostly write all of them in small letters, operators as people do."""
    return name.strip().lower()


def _person(text: str) -> str:
    name = person(text)
    if not name or not name.isprintable():
        raise ValueError(f"{text!r} is nobody's name")
    return name


Person = Annotated[str, AfterValidator(_person)]
ProviderName = Annotated[str, AfterValidator(_provider)]
Network = Annotated[str, AfterValidator(_network)]
Pin = Annotated[str, AfterValidator(_pin)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Launching(_Part):
    """Who may launch."""

    open_to: Literal["guests", "members", "groups"] = Field(
        "guests",
        description="`guests`: everybody, programs without a token too; `members`: who has signed in; `groups`: those "
        "of them who are in one of `groups`, or named in `people`.",
    )
    groups: tuple[str, ...] = Field((), description="Groups, as the hub's authenticator names them.")
    people: tuple[Person, ...] = Field((), description="Names of people who may launch whatever `open_to` says.")


class ProviderPolicy(_Part):
    """Which specs of one provider may be launched: what comes after the provider in a launch link."""

    model_config = ConfigDict(extra="forbid", frozen=True, **PATTERNS)

    allowed: tuple[Regex, ...] | None = Field(
        None, description="Only these; `[]`: none at all. Without it: all that are not banned."
    )
    banned: tuple[Regex, ...] = Field((), description="Not these.")
    high_quota: tuple[Regex, ...] = Field(
        (), description="Repositories that may have `per_repository_high` sessions at one time."
    )


class SessionLimits(_Part):
    """Sessions at one time. Who comes beyond a limit waits in the queue; who is in one stays in it."""

    in_all: Limit = Field(
        0, description="All sessions: as many as the machine's memory carries. 0: no limit, as in all that follow."
    )
    per_repository: Limit = Field(0, description="Of one repository.")
    per_repository_high: Limit = Field(0, description="Of one repository whose spec matches `high_quota`.")
    per_person: Limit = Field(0, description="Of one person: a guest's or a member's own projects.")
    starting: Limit = Field(
        32, description="That start at one time: what the machine's cores carry. The others wait for some seconds."
    )
    waiting: int = Field(
        1000, ge=1, le=100_000, description="Launches that wait for a place; one more is refused until there are fewer."
    )


class BuildLimits(_Part):
    """Builds at one time."""

    at_once: Limit = Field(0, description="At most these; 0: as many as the setting `build_limit` says, never more.")


class RateLimits(_Part):
    """How often one may launch, within ten minutes."""

    per_address: Limit = Field(1200, description="Launches by people who have not signed in from one network address.")
    per_repository: Limit = Field(3000, description="Launches of one repository by people who have not signed in.")
    per_person: Limit = Field(600, description="Launches by one person who has signed in.")
    afresh_per_person: Limit = Field(6, description="Builds afresh that one person may ask for.")


class Pages(_Part):
    """What the pages say besides: some HTML (text, links, lists, headings; no pictures, styles or scripts)."""

    banner: Html = Field("", description="Above every page: that the site is down tonight, for example.")
    about: Html = Field("", description="On the page about this site: whose it is, whom to ask, what holds here.")


class Policy(_Part):
    """All of it; without a file, all that is the default."""

    launch: Launching = Field(Launching(), description="Who may launch.")
    banned_people: dict[Person, Note] = Field(
        {}, description="Names of people who may not launch, each with a reason, which they are told."
    )
    banned_networks: dict[Network, Note] = Field(
        {}, description="Networks (`203.0.113.0/24`) that are not answered, each with a label, which they are told."
    )
    providers: dict[ProviderName, ProviderPolicy] = Field({}, description="By provider, as launch links name it.")
    sessions: SessionLimits = Field(SessionLimits(), description="Sessions at one time.")
    builds: BuildLimits = Field(BuildLimits(), description="Builds at one time.")
    rates: RateLimits = Field(RateLimits(), description="How often one may launch, within ten minutes.")
    pins: dict[Pin, Note] = Field(
        {},
        description="What is never collected, used or not, each with a note: environment keys, digests of images "
        "(`sha256:…`), commits of archived files.",
    )
    pages: Pages = Field(
        Pages(),
        description="What the operator says on the pages, as some HTML: text, links, lists and headings. Pictures, "
        "styles and scripts are refused.",
    )

    def provider(self, name: str) -> ProviderPolicy:
        """What is said of this provider."""
        return self.providers.get(name, _NOTHING_SAID)


_NOTHING_SAID = ProviderPolicy()
CLOSED = Policy(launch=Launching(open_to="groups"))
"""Nobody may launch: for a file that was never understood."""
