"""What is launched is archived beside its image, so that it can be launched when its repository is gone.

One archive for everybody: what somebody's credential opened is not in it, so what is here was public.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from launcher.errors import LauncherError
from launcher.tasks import Tasks

if TYPE_CHECKING:
    from launcher.model import Checkout, Environment, Image, ResolvedRepo
    from launcher.stages import Checkouts, Images, LaunchTell

log = logging.getLogger(__name__)
_MOST = 4096
"""Commits that are remembered to have been archived; to look again costs two requests."""


class Keeper(Protocol):
    """Keeps a checkout's files."""

    async def archive(self, checkout: Checkout) -> str:
        """Keep them; `""` where they are too large. Again: nothing changes. Raises RegistryDown, BuildBroken."""
        ...


class Archiving:
    """A stages.Images: what has an image has its files archived, beside the launch."""

    def __init__(self, inner: Images, checkouts: Checkouts, keeper: Keeper) -> None:
        """Wrap `inner`."""
        self._inner = inner
        self._checkouts = checkouts
        self._keeper = keeper
        self._done: dict[tuple[str, str, str], None] = {}
        self._tasks = Tasks()

    async def get(
        self, repo: ResolvedRepo, environment: Environment, tell: LaunchTell, *, afresh: bool = False
    ) -> Image:
        """As stages.Images."""
        image = await self._inner.get(repo, environment, tell, afresh=afresh)
        what = (repo.url, repo.origin.ref, repo.commit)
        # What is private is never launched without its host's word: a copy could not be used.
        if not repo.archived and repo.private is None and what not in self._done:
            self._done[what] = None
            while len(self._done) > _MOST:
                del self._done[next(iter(self._done))]
            self._tasks.start(self._keep(repo, what), f"archive-{repo.commit[:12]}")
        return image

    def forget(self, url: str, commit: str) -> None:
        """The files of this commit are no longer kept: its next launch archives them again."""
        for what in [what for what in self._done if (what[0], what[2]) == (url, commit)]:
            del self._done[what]

    async def close(self) -> None:
        """Stop what is under way; the next launch of the commit begins again."""
        await self._tasks.close()

    async def _keep(self, repo: ResolvedRepo, what: tuple[str, str, str]) -> None:
        try:
            async with self._checkouts.open(repo) as checkout:
                if not await self._keeper.archive(checkout):
                    log.info("the files of commit %s are too large to be archived", repo.commit[:12])
        except LauncherError as error:
            self._done.pop(what, None)
            log.warning("commit %s was not archived: %s", repo.commit[:12], type(error).__name__)
