"""Finds, makes and remembers projects: a row of the store and a workspace each."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import string
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from launcher.errors import WorkspaceFailed
from launcher.model import Kind, Project
from launcher.projects.volumes import Seed

if TYPE_CHECKING:
    from launcher.model import Account, Image, RepoRef, ResolvedRepo
    from launcher.projects.volumes import VolumeBackend
    from launcher.stages import Asked, Checkouts
    from launcher.store.images import ImageRows
    from launcher.store.projects import ProjectRows

log = logging.getLogger(__name__)

ID_LENGTH = 10


class WorkspaceProjects:
    """A `stages.Projects`.

    A project is made in this order: workspace, then row; its id is a function of the launch and the commit. Killed
    between the two, the launch runs again and finds the workspace that it has made. Where it does not (its branch has
    moved meanwhile), a workspace is left that no project has, never a project without a workspace.

    Launches of one link by one account make it in turn, so that all but the first find it: there is one process that
    makes projects, and a lock in it is enough.
    """

    def __init__(
        self,
        rows: ProjectRows,
        images: ImageRows,
        volumes: VolumeBackend,
        checkouts: Checkouts,
    ) -> None:
        self._rows = rows
        self._images = images
        self._volumes = volumes
        self._checkouts = checkouts
        self._making: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()

    async def find(self, account: Account, ref: RepoRef) -> Project | None:
        """See `stages.Projects`. A program without a cookie never has a project already."""
        if account.kind is Kind.ANONYMOUS or not account.name:
            return None
        project = await self._rows.find(account.name, ref.url, ref.ref)
        if project is not None and not await self._volumes.exists(project.id):
            # Never by us, and never to be repaired by an empty one in its place.
            raise WorkspaceFailed("the project's workspace is not where it was left")
        return project

    async def create(self, asked: Asked, repo: ResolvedRepo, image: Image) -> Project:
        """See `stages.Projects`."""
        link = (asked.account.name, asked.ref.url, asked.ref.ref)
        if asked.account.kind is Kind.ANONYMOUS:
            return await self._make(asked, repo, image)
        async with self._making.setdefault(link, asyncio.Lock()):
            return await self.find(asked.account, asked.ref) or await self._make(asked, repo, image)

    async def _make(self, asked: Asked, repo: ResolvedRepo, image: Image) -> Project:
        project = _new(asked, repo, image)
        contents = image.facts.engine_id.removeprefix("sha256:") if image.facts.content else ""
        async with self._checkouts.open(repo) as checkout:
            seed = Seed(checkout.path, repo.url, repo.commit, contents)
            if await self._volumes.create(project.id, seed) == "before":
                known = await self._rows.get(project.id)
                if known is not None:
                    return _same(known.project, project)
        return await self._rows.create(project, title(repo.url))

    async def move(self, project: Project, image: Image) -> Project:
        """See `stages.Projects`."""
        await self._rows.set_image(project.id, image)
        return replace(project, image=image)

    async def use(self, project: Project) -> Project:
        """See `stages.Projects`."""
        image = project.image
        if image.ref is None:
            known = await self._images.get(image.key)
            if known is not None and known.ref is not None and known.facts.engine_id == image.facts.engine_id:
                image = replace(image, ref=known.ref)
                await self._rows.set_image(project.id, image)
        await self._rows.touch(project.id)
        return replace(project, image=image)


def _new(asked: Asked, repo: ResolvedRepo, image: Image) -> Project:
    name = project_id(asked.id, repo.commit)
    account = asked.account
    alone = account.kind is Kind.ANONYMOUS
    return Project(
        id=name,
        owner=f"project-{name}" if alone else account.name,
        provider=repo.origin.provider,
        spec=repo.origin.spec,
        url=repo.url,
        ref=repo.origin.ref,
        commit=repo.commit,
        image=image,
        temporary=alone or account.kind is Kind.GUEST,
        token_entry=alone or account.kind is Kind.OPERATOR,  # the command line has no cookies either
    )


def _same(known: Project, wanted: Project) -> Project:
    """The project that an earlier run of the same launch has made. Raises WorkspaceFailed for any other."""
    if (known.owner, known.url, known.commit) != (wanted.owner, wanted.url, wanted.commit):
        raise WorkspaceFailed("a project of the new one's name was there already")
    return known


def project_id(launch: str, commit: str) -> str:
    """The id of the project that a launch makes from a commit; guessed only by who knows the launch's own id."""
    number = int.from_bytes(hashlib.sha256(f"project {launch} {commit}".encode()).digest())
    first, rest = string.ascii_lowercase, string.ascii_lowercase + string.digits
    number, digit = divmod(number, len(first))
    letters = [first[digit]]
    for _ in range(ID_LENGTH - 1):
        number, digit = divmod(number, len(rest))
        letters.append(rest[digit])
    return "".join(letters)


def title(url: str) -> str:
    """What a list of projects calls it at first: the last part of the repository's address."""
    name = urlsplit(url).path.rstrip("/").rpartition("/")[2].removesuffix(".git")
    return name or url
