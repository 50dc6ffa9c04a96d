"""The JSON of the HTTP API: what comes in is checked here, what goes out has this form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from launcher.web.views import LaunchView, ProjectView

Text = Field(max_length=4000)


def iso(at: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LaunchRequest(BaseModel):
    """What to launch: `provider` and `spec` as in a launch link, or `url` and, if wanted, `ref`."""

    model_config = ConfigDict(extra="forbid")

    provider: str | None = Field(None, max_length=64, description="`gh`, `gl`, `git`, …")
    spec: str | None = Field(None, max_length=4000, description="The rest of the launch link, as it is written there.")
    url: str | None = Field(None, max_length=4000, description="A repository's address, or a whole launch link.")
    ref: str = Field("", max_length=1000, description="Branch, tag or commit; empty: the default branch.")
    urlpath: str = Field("", max_length=2000, description="Where in the session to arrive: `lab/tree/index.ipynb`.")
    afresh: bool = Field(
        default=False,
        strict=True,
        description="Build what is not pinned again and move the project to that; for those who have signed in.",
    )

    build_only: bool = Field(
        default=False, strict=True, description="End with the image in the registry: no project, no session."
    )

    @model_validator(mode="after")
    def _one_way(self) -> LaunchRequest:
        by_spec, by_url = self.provider is not None and self.spec is not None, self.url is not None
        if by_spec == by_url or (by_url and (self.provider is not None or self.spec is not None)):
            msg = "Give either provider and spec, or url"
            raise ValueError(msg)
        return self


class Turn(BaseModel):
    """How a launch stands in the queue for a place."""

    place: int = Field(description="From 1 on: the next.")
    ahead: int = Field(description="Launches that are served before it.")
    waiting: int = Field(description="Launches that wait, in all.")
    reason: Literal["starting", "sessions", "repository", "person"] = Field(
        description="What there is too much of: sessions that are just starting, sessions in all, of its repository, "
        "of this person."
    )
    since: str = Field(description="When it began to wait.")

    @classmethod
    def of(cls, turn: Any) -> Turn:
        """A turn as JSON."""
        found = {name: getattr(turn, name) for name in ("place", "ahead", "waiting", "reason")}
        return cls.model_validate({**found, "since": iso(turn.since)})


class Launch(BaseModel):
    """A launch as it stands."""

    id: str
    state: Literal["running", "ready", "failed", "cancelled"]
    provider: str
    spec: str
    url: str
    ref: str
    commit: str | None
    project: str | None
    created: str
    ended: str | None
    events: str = Field(description="Where its events are.")
    link: str = Field(description="The launch link.")
    queue: Turn | None = Field(None, description="While it waits for a place: how it stands.")
    page: str = Field(description="A page of it that lasts and needs no script.")
    usual: dict[str, float] = Field(
        default_factory=dict, description="Seconds that each stage took the last time, by stage; only of one launch."
    )

    @classmethod
    def of(cls, launch: LaunchView, turn: Any = None) -> Launch:
        """The launch as JSON; `turn`: how it stands in the queue, while it waits."""
        ref = launch.ref
        return cls(
            id=launch.id,
            state=launch.state.value,
            provider=ref.provider,
            spec=ref.spec,
            url=ref.url,
            ref=ref.ref,
            commit=launch.commit or None,
            project=launch.project or None,
            created=iso(launch.created),
            ended=None if launch.ended is None else iso(launch.ended),
            events=f"/api/v1/launches/{launch.id}/events",
            link=launch_link(ref.provider, ref.spec, launch.urlpath),
            queue=None if turn is None else Turn.of(turn),
            page=f"/launches/{launch.id}",
        )


class Waiting(Turn):
    """A launch that waits, for the operator."""

    launch: str
    account: str = Field(description="The hub's name of who waits; empty: a program without a login.")
    link: str


class Limits(BaseModel):
    """What this site lets people have, and how full it is."""

    open_to: Literal["guests", "members", "groups"]
    sessions: int = Field(description="At one time, in all; 0, as in all that follow: no limit.")
    sessions_per_repository: int
    sessions_per_person: int
    launches_per_address: int = Field(description="Within ten minutes, by people who have not signed in.")
    launches_per_person: int = Field(description="Within ten minutes, by one who has.")
    taken: int = Field(description="Sessions that are known to run or start.")
    waiting: int = Field(description="Launches that wait for a place.")
    waiting_most: int = Field(description="As many may wait.")


class Error(BaseModel):
    """What went wrong (docs/reference/errors.md)."""

    code: str
    status: int
    title: str
    seen: str
    todo: str
    link: str
    login: str | None = Field(None, description="With `login-required`: where a browser logs in.")


class Project(BaseModel):
    """A project, and whether its server runs."""

    id: str
    title: str
    url: str
    ref: str
    commit: str
    image: str
    state: Literal["stopped", "starting", "running", "stopping"]
    created: str
    used: str
    temporary: bool
    link: str = Field(description="The launch link that resumes it.")
    archived: str | None = Field(None, description="When it was archived; null: it is not.")
    session: str | None = Field(description="Where its server is, while it runs.")
    workspace_bytes: int | None = Field(None, description="What its workspace held when it was last measured.")
    notice: Error | None = Field(None, description="What its people have to know: a workspace that is too large.")

    @classmethod
    def of(cls, view: ProjectView, state: str | None, session: str) -> Project:
        """The project as JSON; `state` is that of its server at `session`, None without one."""
        project = view.project
        return cls.model_validate(
            {
                "id": project.id,
                "title": view.title,
                "url": project.url,
                "ref": project.ref,
                "commit": project.commit,
                "image": project.image.name,
                "state": state or "stopped",
                "created": iso(view.created),
                "used": iso(view.used),
                "temporary": project.temporary,
                "link": launch_link(project.provider, project.spec),
                "archived": None if project.archived is None else iso(project.archived),
                "session": session if state else None,
            }
        )


class Session(BaseModel):
    """A server that runs or starts."""

    project: str
    state: Literal["starting", "running", "stopping"]
    session: str


class Entry(BaseModel):
    """A token that opens one session and nothing else."""

    url: str
    token: str


class Badges(BaseModel):
    """The link behind a badge, in each kind of markup."""

    markdown: str
    rst: str = Field(description="reStructuredText.")
    html: str
    latex: str = Field(description="For papers: a framed word, with the package hyperref.")
    org: str = Field(description="For org-mode.")


class Link(BaseModel):
    """The launch link of what was pasted."""

    link: str
    provider: str
    spec: str
    url: str
    ref: str
    urlpath: str = Field(description="Where in the session it arrives; empty: where sessions begin.")
    site: str = Field(description="The provider's name, for people.")
    moves: bool | None = Field(
        description="Whether it may lead to something else tomorrow; null: only the provider knows."
    )
    badges: Badges


RefKind = Literal["branch", "tag", "commit", "record"]


class LinkFound(BaseModel):
    """What a link leads to now, as its host says."""

    link: Link = Field(description="The link; its branch is corrected where the address of a folder was pasted.")
    kind: RefKind
    name: str = Field(description="The branch or tag; of the default branch too.")
    version: str = Field(description="The commit, or the record's version.")
    pinned: Link | None = Field(description="The link that cannot move; null: the provider has none.")


class Me(BaseModel):
    """Who asks."""

    name: str
    kind: Literal["guest", "member", "operator"]
    xsrf: str = Field(
        description="To be sent in the header `X-XSRFToken` with what changes something; empty for tokens."
    )


class ErrorAnswer(BaseModel):
    """Every answer with a status of 400 or more."""

    error: Error


class Check(BaseModel):
    """One part of the service."""

    service: str
    ok: bool
    message: str = ""
    total_pods: int | None = Field(None, description="Of `Pod quota`: builds and sessions that run.")
    build_pods: int | None = None
    user_pods: int | None = None
    quota: int | None = Field(None, description="Of `Pod quota`: the policy's `[sessions] in_all`; null: no limit.")


class HealthAnswer(BaseModel):
    """The parts of the service; `ok` when all are."""

    ok: bool
    checks: list[Check]


def launch_link(provider: str, spec: str, urlpath: str = "") -> str:
    """The launch link of a canonical spec; a file in JupyterLab as BinderHub's links name it."""
    file = urlpath.removeprefix("doc/tree/")
    name = "urlpath" if file in {urlpath, ""} or set("?#") & set(file) else "labpath"
    value = urlpath if name == "urlpath" else file
    return f"/v2/{provider}/{spec}" + (f"?{name}={quote(value, safe='/')}" if urlpath else "")
