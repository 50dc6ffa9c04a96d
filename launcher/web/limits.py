"""`/api/v1/limits` and `/api/v1/queue`: what a site lets people have, how full it is, and who waits."""

from __future__ import annotations

from typing import Final

from launcher.errors import Forbidden
from launcher.web import schemas
from launcher.web.handler import Handler
from launcher.web.routes import Operation, Route


class Limits(Handler):
    """`/api/v1/limits`."""

    any_site = True

    def get(self) -> None:
        """For everybody: no name of anybody is in it."""
        policy, queue = self.web.limits(), self.web.queue
        self.send(
            schemas.Limits(
                open_to=policy.launch.open_to,
                sessions=policy.sessions.in_all,
                sessions_per_repository=policy.sessions.per_repository,
                sessions_per_person=policy.sessions.per_person,
                launches_per_address=policy.rates.per_address,
                launches_per_person=policy.rates.per_person,
                taken=queue.taken,
                waiting=len(queue.overview()),
                waiting_most=policy.sessions.waiting,
            )
        )


class Queue(Handler):
    """`/api/v1/queue`."""

    asks_who = True

    async def get(self) -> None:
        """Who waits, in the order of their places. For the operator."""
        _ = self.account
        if not self.is_operator:
            raise Forbidden("see who waits (its operator may)")
        self.send([await self._waiting(one) for one in self.web.queue.overview()])

    async def _waiting(self, turn: object) -> schemas.Waiting:
        launch = await self.web.launches.get(str(getattr(turn, "launch", "")))
        ref = launch.ref
        return schemas.Waiting(
            **schemas.Turn.of(turn).model_dump(),
            launch=launch.id,
            account=launch.account.name,
            link=schemas.launch_link(ref.provider, ref.spec, launch.urlpath),
        )


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/api/v1/limits",
        Limits,
        (Operation("GET", "What this site lets people have, and how full it is.", schemas.Limits),),
    ),
    Route(
        "/api/v1/queue",
        Queue,
        (
            Operation(
                "GET",
                "Launches that wait for a place, in the order of their places. For the operator.",
                schemas.Waiting,
                many=True,
                who="login",
                errors=("forbidden",),
            ),
        ),
    ),
)
