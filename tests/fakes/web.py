"""What the web asks of others, in memory: people, projects and sessions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from launcher.errors import HubDown, LauncherError
from launcher.model import Account, Image, ImageFacts, Kind, Project, Role, Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.events import Event
    from launcher.stages import Asked, StoryTell

ADA = Account("ada", Kind.MEMBER)
BOB = Account("bob", Kind.MEMBER)
GUEST = Account("guest-1f", Kind.GUEST)
COMMIT = "5" * 40
FACTS = ImageFacts("sha256:" + "e" * 64, "/home/jovyan", "", "/usr/bin", ("server",), (), "")


def a_project(project: str, owner: str, *, token_entry: bool = False, spec: str = "ada/nice/main") -> Project:
    """A project of a repository on GitHub."""
    return Project(
        id=project,
        owner=owner,
        provider="gh",
        spec=spec,
        url="https://github.com/ada/nice",
        ref="main",
        commit=COMMIT,
        image=Image("k" * 64, FACTS, None),
        temporary=token_entry,
        token_entry=token_entry,
    )


@dataclass
class FakeHub:
    """Is a `HubLogin`: tokens by name."""

    people: dict[str, Account] = field(
        default_factory=lambda: {"ada-token": ADA, "bob-token": BOB, "guest-token": GUEST}
    )
    down: bool = False
    asked: int = 0

    async def identify(self, token: str) -> Account | None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.down:
            raise HubDown("It is asleep")
        return self.people.get(token)

    def authorize_url(self, state: str, challenge: str) -> str:
        return f"/hub/api/oauth2/authorize?state={state}&code_challenge={challenge}"

    async def redeem(self, code: str, verifier: str) -> str | None:
        return "ada-token" if code == "good" and verifier else None


@dataclass(frozen=True)
class View:
    """A `ProjectView`."""

    project: Project
    title: str = "nice"
    created: float = 1_700_000_000
    used: float = 1_700_000_100


@dataclass
class FakeProjects:
    """Is `Projects` and `Shelf`."""

    views: dict[str, View] = field(default_factory=dict)
    roles: dict[tuple[str, str], Role] = field(default_factory=dict)

    def add(self, project: Project, **roles: Role) -> None:
        self.views[project.id] = View(project)
        self.roles[project.id, project.owner] = Role.OWNER
        self.roles |= {(project.id, account): role for account, role in roles.items()}

    async def get(self, project: str) -> View | None:
        return self.views.get(project)

    async def list(self, account: str | None = None) -> Sequence[View]:
        return [view for view in self.views.values() if account is None or (view.project.id, account) in self.roles]

    async def find(self, owner: str, url: str, ref: str) -> Project | None:
        wanted = (owner, url, ref)
        found = (view.project for view in self.views.values() if view.project.archived is None)
        return next((one for one in found if (one.owner, one.url, one.ref) == wanted), None)

    async def role(self, project: str, account: str) -> Role | None:
        return self.roles.get((project, account))

    async def rename(self, project: str, title: str) -> None:
        if project in self.views:
            self.views[project] = replace(self.views[project], title=title)

    async def archive(self, project: str) -> None:
        view = self.views.get(project)
        if view is not None and view.project.archived is None:
            self.views[project] = replace(view, project=replace(view.project, archived=1_700_000_200.0))

    async def take_back(self, project: str) -> str | None:
        view = self.views.get(project)
        if view is None or view.project.archived is None:
            return None
        one = view.project
        other = await self.find(one.owner, one.url, one.ref)
        if other is not None:
            return self.views[other.id].title
        self.views[project] = replace(view, project=replace(one, archived=None))
        return None


@dataclass(frozen=True)
class Running:
    """A `SessionView`."""

    project: str
    state: str = "running"


@dataclass
class FakeSessions:
    """Is `Sessions`; every token is a new one."""

    running: list[Running] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    fault: LauncherError | None = None

    async def list(self) -> Sequence[Running]:
        return self.running

    async def stop(self, project: str) -> None:
        self.stopped.append(project)

    async def token_for(self, project: Project) -> str:
        if self.fault is not None:
            raise self.fault
        self.tokens.append(f"minted-{len(self.tokens) + 1}-for-{project.id}")
        return self.tokens[-1]


@dataclass
class Script:
    """The story that launches follow: tells `events`, waits for `gate`, tells `rest`, ends with `outcome`."""

    events: list[Event] = field(default_factory=list)
    rest: list[Event] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    hides: bool = False
    outcome: Project | Image | Exception = field(default_factory=lambda: a_project("aaaaaaaaaa", "ada"))
    asked: list[Asked] = field(default_factory=list)

    async def __call__(self, asked: Asked, tell: StoryTell) -> Session | Image:
        self.asked.append(asked)
        if self.hides:
            tell.hide()
        for event in self.events:
            tell(event)
        await self.gate.wait()
        for event in self.rest:
            tell(event)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if isinstance(self.outcome, Image):
            return self.outcome
        return Session(self.outcome, f"/user/{self.outcome.account}/")


@dataclass(frozen=True)
class Answer:
    """What the hub is answered."""

    status: int
    body: Mapping[str, object]


@dataclass
class FakeResolve:
    """Is a `Resolver`."""

    asked: list[object] = field(default_factory=list)

    async def answer(self, question: object) -> Answer:
        self.asked.append(question)
        return Answer(200, {"image": "sha256:1"})


@dataclass
class FakeStorage:
    """What is known of workspaces' sizes."""

    notices: dict[str, LauncherError] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def held(self, project: str) -> int | None:
        return self.sizes.get(project)

    def notice(self, project: str) -> LauncherError | None:
        return self.notices.get(project)
