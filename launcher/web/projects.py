"""`/api/v1`: projects and their sessions as JSON."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from launcher.errors import Forbidden, ProjectArchived
from launcher.model import RepoRef, Role
from launcher.web import auth, schemas
from launcher.web.api import OfLaunches
from launcher.web.routes import HTML, Operation, Route

if TYPE_CHECKING:
    from launcher.web.views import ProjectView

log = logging.getLogger(__name__)


class Projects(OfLaunches):
    """`/api/v1/projects`."""

    async def get(self) -> None:
        """Those of which one is a member, the most recently used first; the archived ones apart."""
        archived = self.get_query_argument("archived", "") in {"1", "true"}
        views = [one for one in await self.web.projects.list(self.whose) if _is_archived(one) == archived]
        states = await self.states()
        self.send([self.shown(one, states.get(one.project.id)) for one in views])


class ProjectSession(OfLaunches):
    """`/api/v1/projects/<id>/session`."""

    async def post(self, project: str) -> None:
        """Resume it: the same as launching its link."""
        view, role = await self.project(project)
        if role is Role.VIEWER:
            raise Forbidden("start this session")
        if _is_archived(view):
            raise ProjectArchived(view.title)
        found = view.project
        await self.begin(RepoRef(found.provider, found.spec, found.url, found.ref))


class ProjectToken(OfLaunches):
    """`/api/v1/projects/<id>/token`."""

    async def post(self, project: str) -> None:
        """Mint a token for this project's server alone: for programs, which ask with a token of their own."""
        view, role = await self.project(project)
        if role is Role.VIEWER or (self.who is not None and self.who.cookie):
            raise Forbidden("get a token for this session (programs ask with a token of their own)")
        token = await self.web.sessions.token_for(view.project)
        self.send(schemas.Entry(url=self.at(view.project), token=token), HTTPStatus.CREATED)


class ProjectLease(OfLaunches):
    """`/api/v1/projects/<id>/lease`: who may write in its workspace."""

    async def delete(self, project: str) -> None:
        """The operator vouches that the container which holds it is gone. No error if nobody holds it."""
        view, _ = await self.project(project)
        if not self.is_operator:
            raise Forbidden("say that a session is gone (the operator may)")
        if await self.web.leases.give_up(view.project.id):
            log.warning("project %s: the operator vouches that its last container is gone", view.project.id)
        self.set_status(HTTPStatus.NO_CONTENT)


class OpenProject(OfLaunches):
    """`/api/v1/projects/<id>/open`: the way back from a session that has stopped, for browsers."""

    leads_on = ("/", "hub.projects")

    async def get(self, project: str) -> None:
        """Go to the project's link, by way of a login where nobody is known."""
        if self.who is None:
            self.redirect(auth.login_url(self.web.base, self.web.base + self.request.path))
            return
        view, _ = await self.project(project)
        if _is_archived(view):  # its link would make another project
            raise ProjectArchived(view.title)
        self.redirect(self.web.base + schemas.launch_link(view.project.provider, view.project.spec))


class Sessions(OfLaunches):
    """`/api/v1/sessions`."""

    async def get(self) -> None:
        """Those that run or start, of the projects of which one is a member."""
        views = await self.web.projects.list(self.whose)
        states = await self.states()
        running = [(one.project, states[one.project.id]) for one in views if one.project.id in states]
        self.send(
            [
                schemas.Session.model_validate({"project": project.id, "state": state, "session": self.at(project)})
                for project, state in running
            ]
        )


class Session(OfLaunches):
    """`/api/v1/sessions/<project id>`."""

    async def delete(self, project: str) -> None:
        """Stop it; its files stay. No error if it does not run."""
        _, role = await self.project(project)
        if role is Role.VIEWER:
            raise Forbidden("stop this session")
        await self.web.sessions.stop(project)
        self.set_status(HTTPStatus.NO_CONTENT)


def _is_archived(view: ProjectView) -> bool:
    return view.project.archived is not None


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/api/v1/projects",
        Projects,
        (
            Operation(
                "GET",
                "One's projects, the most recently used first.",
                schemas.Project,
                many=True,
                who="login",
                query=(("archived", "`true`: those that are archived, which are left out otherwise."),),
            ),
        ),
    ),
    Route(
        "/api/v1/projects/{id}/session",
        ProjectSession,
        (
            Operation(
                "POST",
                "Resume it: the same as launching its link.",
                schemas.Launch,
                201,
                who="login",
                errors=("project-missing", "forbidden", "project-archived"),
            ),
        ),
    ),
    Route(
        "/api/v1/projects/{id}/token",
        ProjectToken,
        (
            Operation(
                "POST",
                "Mint a token that opens the project's session and nothing else. Only for programs that ask with "
                "a token.",
                schemas.Entry,
                201,
                who="login",
                errors=("project-missing", "forbidden", "hub-down"),
            ),
        ),
    ),
    Route(
        "/api/v1/projects/{id}/lease",
        ProjectLease,
        (
            Operation(
                "DELETE",
                "Say that the container which last had its workspace is gone, where its engine cannot be asked. For "
                "the operator.",
                "",
                204,
                who="login",
                errors=("project-missing", "forbidden"),
            ),
        ),
    ),
    Route(
        "/api/v1/projects/{id}/open",
        OpenProject,
        (
            Operation(
                "GET", "Go to its launch link.", HTML, 302, who="login", errors=("project-missing", "project-archived")
            ),
        ),
    ),
    Route(
        "/api/v1/sessions",
        Sessions,
        (Operation("GET", "One's sessions that run or start.", schemas.Session, many=True, who="login"),),
    ),
    Route(
        "/api/v1/sessions/{id}",
        Session,
        (
            Operation(
                "DELETE",
                "Stop the session of the project with this id; its files stay.",
                "",
                204,
                who="login",
                errors=("project-missing", "forbidden"),
            ),
        ),
    ),
)
