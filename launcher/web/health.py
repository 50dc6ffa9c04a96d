"""`/health`: each check is asked at most once in 15 seconds, however many ask, and never for longer than its limit."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.errors import LauncherError, PolicyBroken
from launcher.explain import explain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Check = Callable[[], Awaitable[object]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check's answer; `message` is empty when it is well."""

    service: str
    ok: bool
    message: str = ""
    details: str = ""
    """The same with what only the operator may read, where there is such."""
    more: Mapping[str, object] = field(default_factory=dict)
    """What a check that is well tells besides."""


class Health:
    """Asks the parts of the service. A check is well when it returns, ill when it raises or takes too long.

    A mapping that it returns is told besides.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        clock: Callable[[], float],
        max_age_s: float = 15,
        limit_s: float = 5,
    ) -> None:
        """`checks`: name of the service → what to await. `clock`: monotonic seconds."""
        self._checks = {name: _Cached(name, check, clock, (max_age_s, limit_s)) for name, check in checks.items()}

    async def outcomes(self) -> list[Outcome]:
        """All answers, asked side by side."""
        return list(await asyncio.gather(*(one.outcome() for one in self._checks.values())))


class _Cached:
    def __init__(self, name: str, check: Check, clock: Callable[[], float], limits: tuple[float, float]) -> None:
        self._name, self._check, self._clock = name, check, clock
        self._max_age_s, self._limit_s = limits
        self._asking: asyncio.Task[Outcome] | None = None
        self._asked = float("-inf")

    async def outcome(self) -> Outcome:
        old = self._clock() - self._asked > self._max_age_s
        if self._asking is None or (old and self._asking.done()):
            self._asked = self._clock()
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Outcome:
        try:
            async with asyncio.timeout(self._limit_s):
                told = await self._check()
        except TimeoutError:
            return Outcome(self._name, ok=False, message=f"No answer within {self._limit_s:g} seconds.")
        except LauncherError as error:
            return _ill(self._name, error)
        except Exception:
            log.exception("The health check of %s broke", self._name)
            return Outcome(self._name, ok=False, message="The check itself broke; it is in the launcher's log.")
        return Outcome(self._name, ok=True, more=told if isinstance(told, dict) else {})


def _ill(name: str, error: LauncherError) -> Outcome:
    """Why a policy file is broken may quote it: patterns, networks and people whom an operator bans."""
    seen = explain(error).seen
    if isinstance(error, PolicyBroken):
        return Outcome(name, ok=False, message=seen.partition("\n")[0], details=seen)
    return Outcome(name, ok=False, message=seen)
