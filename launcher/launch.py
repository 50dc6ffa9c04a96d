"""The story of a launch: one line per stage."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher.errors import AfreshPinned, HostUnreachable, RefAmbiguous, RefMissing, RepositoryMissing
from launcher.events import Declared, Ended, Progress, Stage, Started

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.model import Environment, Image, Project, ResolvedRepo, Session
    from launcher.stages import (
        Asked,
        Checkouts,
        Detector,
        Images,
        LaunchTell,
        Places,
        Projects,
        Published,
        Resolver,
        Room,
        Sessions,
        StoryTell,
        Tell,
    )


@dataclass(frozen=True, slots=True)
class Stages:
    """Everything that a launch meets, in order."""

    room: Room
    resolver: Resolver
    checkouts: Checkouts
    detector: Detector
    images: Images
    published: Published
    projects: Projects
    places: Places
    sessions: Sessions


class Launch:
    """Tells the story: from a link to a running server, or to an image. Holds no state between launches."""

    def __init__(self, stages: Stages) -> None:
        """Keep the stages."""
        self._stages = stages

    async def __call__(self, asked: Asked, tell: StoryTell) -> Session | Image:
        """Resume the project that this account has for this link, or make one; then start its server.

        Who asked for a build afresh has this one project moved to the new image; all others keep theirs.
        Where only a build was asked for, it ends with the image.

        Raises the errors of the stages (launcher/errors/).
        """
        if asked.build_only:
            return await self._build(asked, tell)
        project = await self._stages.projects.find(asked.account, asked.ref)
        if project is None:
            repo = await self._resolve(asked, tell)
            found, image = await self._image(repo, tell, afresh=asked.afresh)
            project = await self._project(asked, found, image, tell)
        elif asked.afresh:
            project = await self._renewed(asked, project, tell)
        else:
            await self._admitted(asked, project, tell)
            tell(Progress(Stage.RESOLVE, f"Resuming your project at commit {project.commit[:10]}, as you left it."))
        return await self._session(asked, project, tell)

    async def _build(self, asked: Asked, tell: StoryTell) -> Image:
        repo = await self._resolve(asked, tell)
        _, image = await self._image(repo, tell, afresh=asked.afresh)
        if image.ref is not None:
            return image
        with _told(tell, Stage.PUSH, "Waiting until the registry has the image") as ended:
            pushed = await self._stages.published.published(image)
            ended.message = f"The registry has it: {pushed.name}"
        return pushed

    async def _admitted(self, asked: Asked, project: Project, tell: StoryTell) -> None:
        """Ask the host of a private repository whether this person may still have it. Raises its refusals.

        A host that does not answer ends no project: there is nothing in it but what the person has already.
        """
        if not project.image.space:
            return
        tell.hide()
        with suppress(HostUnreachable, RefMissing, RefAmbiguous):
            repo = await self._stages.resolver.resolve(asked.ref, asked.account)
            if repo.archived:  # a copy from the time when it was everybody's
                raise RepositoryMissing(repo.url)

    async def _resolve(self, asked: Asked, tell: StoryTell) -> ResolvedRepo:
        with _told(tell, Stage.RESOLVE, f"Asking {asked.ref.url} for {asked.ref.ref or 'HEAD'}") as ended:
            await self._stages.room.check()
            repo = await self._stages.resolver.resolve(asked.ref, asked.account)
            if repo.private:
                tell.hide()
            ended.message = f"{repo.name or 'The commit'} is at {repo.version}"
            if repo.name and asked.ref.ref in {"main", "master"} and not repo.name.endswith(f"/{asked.ref.ref}"):
                ended.message = f"There is no {asked.ref.ref}; the default branch {repo.name} is at {repo.version}"
            if repo.record:
                ended.message = f"The version is {repo.version}"
            if repo.archived:
                ended.message = f"The repository does not give it. Commit {repo.commit[:10]} was archived and is used"
        return repo

    async def _image(self, repo: ResolvedRepo, tell: LaunchTell, *, afresh: bool) -> tuple[ResolvedRepo, Image]:
        async with AsyncExitStack() as stack:
            with _told(tell, Stage.CHECKOUT, f"Getting the files of {repo.version}") as ended:
                checkout = await stack.enter_async_context(self._stages.checkouts.open(repo))
                ended.message = "The files are here"
                if checkout.repo.archived and not repo.archived:
                    ended.message = f"They cannot be had any more. Those of {repo.version} were archived and are used"
            with _told(tell, Stage.DETECT, "Looking for what the repository declares") as ended:
                environment = await self._stages.detector.detect(checkout, tell, afresh=afresh)
                tell(_declared(environment))
                evidence = ", ".join(environment.evidence)
                ended.message = f"{environment.builder} builds it from {evidence}" if evidence else BARE
                if afresh and environment.pinning in _FIRM:
                    raise AfreshPinned(environment.evidence)
            with _told(tell, Stage.IMAGE, f"Looking for image {environment.key[:12]}") as ended:
                image = await self._stages.images.get(checkout.repo, environment, tell, afresh=afresh)
                ended.message = f"The image is here: {image.name}"
            return checkout.repo, replace(image, pinning=environment.pinning)

    async def _project(self, asked: Asked, repo: ResolvedRepo, image: Image, tell: Tell) -> Project:
        with _told(tell, Stage.WORKSPACE, "Making a workspace with the repository's files") as ended:
            project = await self._stages.projects.create(asked, repo, image)
            ended.message = "The workspace is ready"
        if asked.afresh and project.image.facts.engine_id != image.facts.engine_id:
            # Another launch of the same link has made it meanwhile.
            project = await self._moved(project, image, tell)
        return project

    async def _renewed(self, asked: Asked, project: Project, tell: StoryTell) -> Project:
        """The project at the commit that it has, on an image that was built now; its server has been stopped."""
        repo = await self._resolve(asked, tell)
        if repo.record is None:
            repo = replace(repo, commit=project.commit, name="")
        _, image = await self._image(repo, tell, afresh=True)
        return await self._moved(project, image, tell)

    async def _moved(self, project: Project, image: Image, tell: Tell) -> Project:
        moved = await self._stages.projects.move(project, image)
        tell(Progress(Stage.WORKSPACE, "Your project has the new image; its server is started again, its files stay."))
        await self._stages.sessions.stop(project.id)
        return moved

    async def _session(self, asked: Asked, project: Project, tell: LaunchTell) -> Session:
        async with self._stages.places.hold(asked, project, tell):
            with _told(tell, Stage.SESSION, "Starting the server") as ended:
                current = await self._stages.projects.use(project)
                session = await self._stages.sessions.start(current, asked.account, tell)
                ended.message = "The server answers"
        return session


BARE = "It says nothing of the packages that it needs, and gets this site's plain Python"
_FIRM = frozenset({"reproducible", "locked"})
_PINNINGS: Mapping[str, str] = {
    "reproducible": "The environment is reproducible: everything it is built from is pinned",
    "locked": "The environment is locked: its lock file names every package with its hash",
    "not-pinned": "The environment is not pinned: it may be another one tomorrow",
}


def _declared(found: Environment) -> Declared:
    message = _PINNINGS.get(found.pinning, _PINNINGS["not-pinned"])
    about = (found.evidence, found.pinning, found.loose, found.advice, found.tree)
    return Declared(Stage.DETECT, message, found.builder, *about)


@dataclass(slots=True)
class _Outcome:
    message: str = ""


@contextmanager
def _told(tell: Tell, stage: Stage, message: str) -> Iterator[_Outcome]:
    """Tell that a stage began and, if nothing was raised, that it ended and how long it took."""
    began = time.monotonic()
    outcome = _Outcome()
    tell(Started(stage, message))
    yield outcome
    tell(Ended(stage, outcome.message, round(time.monotonic() - began, 3)))
