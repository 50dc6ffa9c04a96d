"""The story of a launch: one line per stage."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from launcher.catalogue import NOTHING, Said, said, text
from launcher.errors import AfreshPinned, HostUnreachable, RefAmbiguous, RefMissing, RepositoryMissing
from launcher.events import Declared, Ended, Progress, Stage, Started

if TYPE_CHECKING:
    from collections.abc import Iterator

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
            tell(Progress(Stage.RESOLVE, **said("step.resolve.resumed", commit=project.commit[:10])))
        return await self._session(asked, project, tell)

    async def _build(self, asked: Asked, tell: StoryTell) -> Image:
        repo = await self._resolve(asked, tell)
        _, image = await self._image(repo, tell, afresh=asked.afresh)
        if image.ref is not None:
            return image
        with _told(tell, Stage.PUSH, said("step.push.waiting")) as ended:
            pushed = await self._stages.published.published(image)
            ended.said = said("step.push.published", image=pushed.name)
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
        asking = said("step.resolve.asking", url=asked.ref.url, ref=asked.ref.ref or "HEAD")
        with _told(tell, Stage.RESOLVE, asking) as ended:
            await self._stages.room.check()
            repo = await self._stages.resolver.resolve(asked.ref, asked.account)
            if repo.private:
                tell.hide()
            ended.said = _resolved(asked.ref.ref, repo)
        return repo

    async def _image(self, repo: ResolvedRepo, tell: LaunchTell, *, afresh: bool) -> tuple[ResolvedRepo, Image]:
        async with AsyncExitStack() as stack:
            with _told(tell, Stage.CHECKOUT, said("step.checkout.getting", version=repo.version)) as ended:
                checkout = await stack.enter_async_context(self._stages.checkouts.open(repo))
                ended.said = said("step.checkout.here")
                if checkout.repo.archived and not repo.archived:
                    ended.said = said("step.checkout.archived", version=repo.version)
            with _told(tell, Stage.DETECT, said("step.detect.looking")) as ended:
                environment = await self._stages.detector.detect(checkout, tell, afresh=afresh)
                tell(_declared(environment))
                ended.said = _detected(environment)
                if afresh and environment.pinning in _FIRM:
                    raise AfreshPinned(environment.evidence)
            with _told(tell, Stage.IMAGE, said("step.image.looking", key=environment.key[:12])) as ended:
                image = await self._stages.images.get(checkout.repo, environment, tell, afresh=afresh)
                ended.said = said("step.image.here", image=image.name)
            return checkout.repo, replace(image, pinning=environment.pinning)

    async def _project(self, asked: Asked, repo: ResolvedRepo, image: Image, tell: Tell) -> Project:
        with _told(tell, Stage.WORKSPACE, said("step.workspace.making")) as ended:
            project = await self._stages.projects.create(asked, repo, image)
            ended.said = said("step.workspace.ready")
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
        tell(Progress(Stage.WORKSPACE, **said("step.workspace.moved")))
        await self._stages.sessions.stop(project.id)
        return moved

    async def _session(self, asked: Asked, project: Project, tell: LaunchTell) -> Session:
        async with self._stages.places.hold(asked, project, tell):
            with _told(tell, Stage.SESSION, said("step.session.starting")) as ended:
                current = await self._stages.projects.use(project)
                session = await self._stages.sessions.start(current, asked.account, tell)
                ended.said = said("step.session.answers")
        return session


_FIRM = frozenset({"reproducible", "locked"})


def _resolved(wanted: str, repo: ResolvedRepo) -> Said:
    if repo.archived:
        return said("step.resolve.archived", commit=repo.commit[:10])
    if repo.record:
        return said("step.resolve.record", version=repo.version)
    if repo.name and wanted in {"main", "master"} and not repo.name.endswith(f"/{wanted}"):
        return said("step.resolve.default", ref=wanted, name=repo.name, version=repo.version)
    if repo.name:
        return said("step.resolve.found", name=repo.name, version=repo.version)
    return said("step.resolve.commit", version=repo.version)


def _detected(found: Environment) -> Said:
    if not found.evidence:
        return said("step.detect.bare")
    return said("step.detect.found", builder=found.builder, evidence=", ".join(found.evidence))


def _declared(found: Environment) -> Declared:
    pinning = found.pinning if found.pinning in _FIRM else "not-pinned"
    about = (found.evidence, found.pinning, found.loose, found.advice, found.tree)
    return Declared(Stage.DETECT, text("en", f"pinning.{pinning}.about"), found.builder, *about)


@dataclass(slots=True)
class _Outcome:
    said: Said = field(default_factory=NOTHING.copy)


@contextmanager
def _told(tell: Tell, stage: Stage, begun: Said) -> Iterator[_Outcome]:
    """Tell that a stage began and, if nothing was raised, that it ended and how long it took."""
    began = time.monotonic()
    outcome = _Outcome()
    tell(Started(stage, **begun))
    yield outcome
    tell(Ended(stage, seconds=round(time.monotonic() - began, 3), **outcome.said))
