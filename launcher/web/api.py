"""`/api/v1`: launches as JSON; and what handlers of launches and projects share."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from launcher.errors import LauncherError, LaunchMissing, ProjectMissing
from launcher.explain import explain, speak
from launcher.model import RepoRef, Role
from launcher.web import links, schemas
from launcher.web.handler import Handler
from launcher.web.routes import LINK_ERRORS, Operation, Route
from launcher.web.telling import as_json
from launcher.web.urlpath import checked_urlpath

if TYPE_CHECKING:
    from launcher.model import Project as Project_
    from launcher.web.views import LaunchView, ProjectView


class OfLaunches(Handler):
    """What handlers of launches, projects and sessions share: whose they are."""

    asks_who = True

    async def launch(self, launch: str) -> LaunchView:
        """The launch, if the one who asks may see it. Raises LaunchMissing."""
        account = self.account
        found = await self.web.launches.get(launch)
        if not self.is_operator and found.account.name != account.name:
            raise LaunchMissing(launch)
        return found

    async def project(self, project: str) -> tuple[ProjectView, Role]:
        """The project and what the one who asks may do there. Raises ProjectMissing."""
        account = self.account
        role = Role.OWNER if self.is_operator else await self.web.projects.role(project, account.name)
        view = await self.web.projects.get(project) if role else None
        if view is None or role is None:
            raise ProjectMissing(project)
        return view, role

    async def begin(self, ref: RepoRef, urlpath: str = "", *, afresh: bool = False, build_only: bool = False) -> None:
        """Start a launch and answer with it."""
        launch = await self.begin_launch(self.account, ref, urlpath, afresh=afresh, build_only=build_only)
        self.set_header("Location", f"{self.web.base}/api/v1/launches/{launch.id}")
        self.send(await self.with_usual(launch), HTTPStatus.CREATED)

    def launch_shown(self, launch: LaunchView) -> schemas.Launch:
        """A launch as JSON, with its place in the queue."""
        return schemas.Launch.of(launch, self.web.queue.turn(launch.id))

    async def with_usual(self, launch: LaunchView) -> schemas.Launch:
        """The same, with how long its stages took the last time."""
        shown = self.launch_shown(launch)
        with contextlib.suppress(LauncherError):  # it is said without
            shown.usual = dict(await self.web.durations.of(launch.ref.url))
        return shown

    def at(self, project: Project_) -> str:
        """Where the project's server is, while it runs."""
        return self.web.session_address(f"/user/{project.account}/")

    def shown(self, view: ProjectView, state: str | None) -> schemas.Project:
        """A project as JSON, with the state of its server."""
        shown, storage = schemas.Project.of(view, state, self.at(view.project)), self.web.storage
        error = storage.notice(view.project.id)
        shown.workspace_bytes = storage.held(view.project.id)
        shown.notice = (
            None if error is None else schemas.Error.model_validate(as_json(speak(explain(error), self.language)))
        )
        return shown

    async def states(self) -> dict[str, str]:
        """Project id → the state of its server. Raises HubDown."""
        return {one.project: one.state for one in await self.web.sessions.list()}

    @property
    def whose(self) -> str | None:
        """Whose things are listed: one's own, the operator everybody's."""
        name = self.account.name
        return None if self.is_operator else name


class Launches(OfLaunches):
    """`/api/v1/launches`."""

    async def get(self) -> None:
        """One's own, the newest first."""
        self.send([self.launch_shown(one) for one in await self.web.launches.list(self.whose)])

    async def post(self) -> None:
        """Begin. Errors of the link are answered at once, all others are events."""
        account = self.account
        asked = self.body_as(schemas.LaunchRequest)
        urlpath = checked_urlpath(asked.urlpath)
        if asked.url is not None:
            found = await links.settled(self, self.web.links.recognise(asked.url, asked.ref), account)
            ref, urlpath = found.ref, urlpath or checked_urlpath(found.urlpath)
        else:
            ref = self.web.links.parse_spec(asked.provider or "", asked.spec or "")
        await self.begin(ref, urlpath, afresh=asked.afresh, build_only=asked.build_only)


class Launch(OfLaunches):
    """`/api/v1/launches/<id>`."""

    of_launch = True

    async def get(self, launch: str) -> None:
        """How it stands."""
        self.send(await self.with_usual(await self.launch(launch)))

    async def delete(self, launch: str) -> None:
        """Cancel it; nothing happens if it has ended."""
        await self.launch(launch)
        await self.web.launches.cancel(launch, self.account.name)
        self.send(self.launch_shown(await self.web.launches.get(launch)), HTTPStatus.ACCEPTED)


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/api/v1/launches",
        Launches,
        (
            Operation("GET", "One's launches, the newest first.", schemas.Launch, many=True, who="login"),
            Operation(
                "POST",
                "Launch a link. Returns at once; the launch does not end with the connection.",
                schemas.Launch,
                201,
                body=schemas.LaunchRequest,
                who="login",
                errors=LINK_ERRORS,
            ),
        ),
    ),
    Route(
        "/api/v1/launches/{id}",
        Launch,
        (
            Operation("GET", "How a launch stands.", schemas.Launch, who="login", errors=("launch-missing",)),
            Operation("DELETE", "Cancel it.", schemas.Launch, 202, who="login", errors=("launch-missing",)),
        ),
    ),
)
