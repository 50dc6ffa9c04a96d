"""Parts that a site does without: what the web takes where it is given none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from launcher.model import Account
    from launcher.web.views import Turn


class NobodyWaits:
    """A Queue in which nobody waits."""

    taken = 0

    async def admit(self, account: Account, has_session: Callable[[], Awaitable[str | None]]) -> None:
        """Everybody."""

    def turn(self, _launch: str) -> None:
        return None

    def overview(self) -> tuple[Turn, ...]:
        return ()


class NothingHeld:
    """A Collection of nothing."""

    async def look(self, *, every: bool = False) -> Sequence[Any]:  # noqa: ARG002  # as Collection has it
        return ()

    collect = look


class NobodyKnows:
    """A Forgetting of a `Web` that a test makes without one; the service always has one (launcher/compose/web.py)."""

    async def look(self, url: str) -> Any:
        raise NotImplementedError(url)

    forget = look


class NotMeasured:
    """A Storage that was never measured."""

    def held(self, _project: str) -> None:
        return None

    def notice(self, _project: str) -> None:
        return None


class NothingMeasured:
    """Durations of which none is known."""

    async def of(self, _url: str) -> Mapping[str, float]:
        return {}


async def nothing() -> None:
    """Look nothing up."""
