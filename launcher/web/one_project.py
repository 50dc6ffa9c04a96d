"""`/api/v1/projects/<id>`: a project, and what its owner changes about it."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from launcher.errors import Forbidden, LinkTaken, ProjectRuns
from launcher.model import Role
from launcher.web import schemas
from launcher.web.api import OfLaunches
from launcher.web.routes import Operation, Route

if TYPE_CHECKING:
    from launcher.web.views import ProjectView

LONGEST_TITLE: Final = 200
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Control characters, ends of lines, and marks that turn text around: titles stand in lists and in terminals."""


def _readable(title: str) -> str:
    if _UNSEEN.search(title) or not any(unicodedata.category(one)[0] in "LNPS" for one in title):
        msg = "It has characters that cannot be seen, or no others"
        raise ValueError(msg)
    return title


Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TITLE),
    AfterValidator(_readable),
]


class ProjectChange(BaseModel):
    """What is to be otherwise about a project. What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    title: Title | None = Field(None, description="What lists call it: a line of 1 to 200 characters.")
    archived: bool | None = Field(
        None, strict=True, description="Whether it is put away: its files stay, no link leads to it, and it cannot run."
    )

    @model_validator(mode="after")
    def _something(self) -> ProjectChange:
        if self.title is None and self.archived is None:
            msg = "Give title, archived, or both"
            raise ValueError(msg)
        return self


class Project(OfLaunches):
    """`/api/v1/projects/<id>`."""

    async def get(self, project: str) -> None:
        """One of them."""
        view, _ = await self.project(project)
        states = await self.states()
        self.send(self.shown(view, states.get(project)))

    async def patch(self, project: str) -> None:
        """Rename it, put it away, take it back: for its owner. Nothing is changed where one of them cannot be."""
        view, role = await self.project(project)
        if role is not Role.OWNER:
            raise Forbidden("rename or archive this project (its owner may)")
        asked = self.body_as(ProjectChange)
        if asked.archived is True:
            await self._archive(view)
        elif asked.archived is False:
            other = await self.web.shelf.take_back(project)
            if other is not None:
                raise LinkTaken(other)
        if asked.title is not None:
            await self.web.shelf.rename(project, asked.title)
        await self.get(project)

    async def _archive(self, view: ProjectView) -> None:
        """Raises ProjectRuns. Asked twice: once it is archived the hub starts it no more, but may have just before."""
        project = view.project.id
        if view.project.archived is not None:
            return
        if project in await self.states():
            raise ProjectRuns(view.title)
        await self.web.shelf.archive(project)
        if project in await self.states():
            await self.web.shelf.take_back(project)
            raise ProjectRuns(view.title)


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/api/v1/projects/{id}",
        Project,
        (
            Operation("GET", "A project.", schemas.Project, who="login", errors=("project-missing",)),
            Operation(
                "PATCH",
                "Rename a project, archive it (its files stay), or take it back. For its owner and the operator.",
                schemas.Project,
                body=ProjectChange,
                who="login",
                errors=("project-missing", "forbidden", "bad-request", "project-runs", "link-taken", "hub-down"),
            ),
        ),
    ),
)
