"""A session's start tells what people have to know of its workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.catalogue import about, said
from launcher.events import Progress, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.events import Failed
    from launcher.model import Account, Project, Session
    from launcher.stages import Sessions, Tell


class Noticed:
    """A `stages.Sessions` around another one. `notice`: a project's id → what its people have to know."""

    def __init__(self, inner: Sessions, notice: Callable[[str], Failed | None]) -> None:
        self._inner = inner
        self._notice = notice

    async def start(self, project: Project, account: Account, tell: Tell) -> Session:
        """See `stages.Sessions`."""
        if told := self._notice(project.id):
            tell(Progress(Stage.SESSION, **said("step.session.workspace", **about(told))))
        return await self._inner.start(project, account, tell)

    async def stop(self, project: str) -> None:
        """See `stages.Sessions`."""
        await self._inner.stop(project)
