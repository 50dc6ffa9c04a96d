"""Which sessions have a place: those that launches are just starting, and those that the hub says exist."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.model import Project


class Listed(Protocol):
    """A session that exists now."""

    @property
    def project(self) -> str: ...


class Running(Protocol):
    """The sessions that exist now (`launcher.sessions.sessions.HubSessions`)."""

    async def list(self) -> Sequence[Listed]:
        """Raises HubDown."""
        ...


class Known(Protocol):
    """A project that is kept."""

    @property
    def project(self) -> Project: ...


class Projects(Protocol):
    """Whose sessions those are (`launcher.store.projects.ProjectRows`)."""

    async def get(self, project: str) -> Known | None: ...


@dataclass(slots=True, eq=False)
class _Place:
    repository: str
    person: str
    launches: int = 0
    """That are starting it, or about to."""
    touched: float = 0.0
    """When a launch last had to do with it."""


class Taken:
    """The places that are taken."""

    def __init__(
        self, running: Running, projects: Projects, clock: Callable[[], float], one_name: Callable[[str], str] = str
    ) -> None:
        """`clock` tells monotonic seconds; `one_name` is the same for each way to write a repository's address."""
        self.one_name = one_name
        self._running, self._projects, self._clock = running, projects, clock
        self._places: dict[str, _Place] = {}
        self._counted: Counter[tuple[str, str]] = Counter()
        self.starting = 0
        """So many of them are just being started."""
        self.known = False
        """Whether the hub has been asked since the launcher was started."""

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, project: str) -> bool:
        return project in self._places

    def of(self, kind: str, name: str) -> int:
        """So many are of a `repository` (its one name), or of a `person`."""
        return self._counted[kind, name]

    def enter(self, project: Project) -> None:
        """A launch is about to start the session of this project."""
        place = self._places.get(project.id) or self._add(project.id, project)
        place.launches += 1
        self.starting += place.launches == 1
        place.touched = self._clock()

    def leave(self, project: str) -> None:
        """That launch has ended, well or not: from now on the hub says whether there is a session."""
        place = self._places[project]
        place.launches -= 1
        self.starting -= place.launches == 0
        place.touched = self._clock()

    def gone(self, project: str) -> None:
        """The session of this project has ended."""
        place = self._places.get(project)
        if place is not None and not place.launches:
            self._drop(project)

    async def look(self) -> None:
        """Ask the hub. Raises HubDown."""
        began = self._clock()
        listed = {one.project for one in await self._running.list()}
        for project in listed - set(self._places):
            known = await self._projects.get(project)
            if project not in self._places:
                self._add(project, known.project if known else None)
        for project, place in list(self._places.items()):
            if project not in listed and not place.launches and place.touched < began:
                self._drop(project)
        self.known = True

    def _add(self, project: str, known: Project | None) -> _Place:
        repository, person = (self.one_name(known.url), known.owner) if known else ("", "")
        place = self._places[project] = _Place(repository, person)
        self._counted.update([("repository", repository), ("person", person)])
        return place

    def _drop(self, project: str) -> None:
        place = self._places.pop(project)
        for one in (("repository", place.repository), ("person", place.person)):
            self._counted[one] -= 1
            if not self._counted[one]:
                del self._counted[one]
