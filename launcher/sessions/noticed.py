"""A session's start tells what people have to know of its workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.events import Progress, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.model import Account, Project, Session
    from launcher.stages import Sessions, Tell


class Noticed:
    """A `stages.Sessions` around another one. `notice`: a project's id → a text; `""`: there is nothing to tell."""

    def __init__(self, inner: Sessions, notice: Callable[[str], str]) -> None:
        self._inner = inner
        self._notice = notice

    async def start(self, project: Project, account: Account, tell: Tell) -> Session:
        """See `stages.Sessions`."""
        if text := self._notice(project.id):
            tell(Progress(Stage.SESSION, text))
        return await self._inner.start(project, account, tell)

    async def stop(self, project: str) -> None:
        """See `stages.Sessions`."""
        await self._inner.stop(project)
