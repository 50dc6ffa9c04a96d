"""What operators' tools and the hub ask: health, metrics, versions, providers, and what a spawn may have."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from tornado.web import HTTPError

from launcher.errors import BadRequest
from launcher.web import auth, schemas
from launcher.web.handler import Handler
from launcher.web.routes import JSON, Operation, Route

if TYPE_CHECKING:
    from launcher.web.interface import Resolver

log = logging.getLogger(__name__)


class HealthHandler(Handler):
    """`/health`."""

    any_site = answers_all = True

    async def get(self) -> None:
        """200 when every part is well, else 503. The operator's token reads more of what is wrong."""
        outcomes = await self.web.health.outcomes()
        well, operator = all(one.ok for one in outcomes), auth.operator_asks(self.request, self.web)
        told = [(one, (operator and one.details) or one.message) for one in outcomes]
        checks = [schemas.Check(service=one.service, ok=one.ok, message=said, **one.more) for one, said in told]
        status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        self.send(schemas.HealthAnswer(ok=well, checks=checks), status)


class MetricsHandler(Handler):
    """`/metrics`."""

    answers_all = True

    async def get(self) -> None:
        """As Prometheus reads it."""
        await self.web.measure()
        for one in await self.web.health.outcomes():
            self.web.metrics.part_is(one.service, well=one.ok)
        self.set_header("Content-Type", self.web.metrics.content_type)
        self.finish(self.web.metrics.text())


class Versions(Handler):
    """`/versions`."""

    any_site = answers_all = True

    def get(self) -> None:
        """The versions of the service's parts."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(self.web.versions))


class RepoProviders(Handler):
    """`/api/repoproviders`."""

    any_site = True

    def get(self) -> None:
        """How links are written, as BinderHub's clients read it."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(list(self.web.links.providers)))


class _Internal(Handler):
    """What the hub alone may ask. Not for the public: the proxy's requests are told apart."""

    answers_all = True

    def check_proxied(self) -> None:
        """Refuse what came through the public proxy, as if nothing were here."""
        if "X-Forwarded-For" in self.request.headers or "X-Forwarded-Host" in self.request.headers:
            raise HTTPError(HTTPStatus.NOT_FOUND)

    async def ask(self, resolver: Resolver) -> None:
        """Send its answer, or why there is none."""
        self.check_proxied()
        kind, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if kind.lower() not in {"token", "bearer"} or not auth.same(token.strip(), self.web.internal_token):
            log.warning("Somebody who is not the hub asked %s", self.request.path)
            self._answer(HTTPStatus.FORBIDDEN, {"message": "Only the hub may ask this."})
            return
        try:
            asked = json.loads(self.request.body)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            raise BadRequest("body", "It is not a JSON object.", "a JSON object")
        answer = await resolver.answer(asked)
        self._answer(answer.status, dict(answer.body))

    def _answer(self, status: int, body: dict[str, object]) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(body))


class InternalResolve(_Internal):
    """`/internal/resolve`: the hub asks at every spawn."""

    async def post(self) -> None:
        """What a spawn may have, or why it may not."""
        await self.ask(self.web.resolve)


class InternalLease(_Internal):
    """`/internal/lease`: the hub asks, and takes the next one, at every spawn."""

    async def post(self) -> None:
        """Whose turn it is to write in a workspace."""
        await self.ask(self.web.leasing)


ROUTES: Final[tuple[Route, ...]] = (
    Route("/api/repoproviders", RepoProviders, (Operation("GET", "How links are written.", JSON),)),
    Route("/versions", Versions, (Operation("GET", "Versions of the service's parts.", JSON),)),
    Route(
        "/health",
        HealthHandler,
        (Operation("GET", "Whether every part is well (else 503); asked at most every 15 s.", schemas.HealthAnswer),),
    ),
    Route("/metrics", MetricsHandler, (Operation("GET", "Numbers for Prometheus.", "text/plain"),)),
)
INTERNAL: Final[tuple[Route, ...]] = (
    Route(
        "/internal/resolve",
        InternalResolve,
        (Operation("POST", "What a spawn may have. For the hub alone, not through the proxy.", JSON, who="hub"),),
    ),
    Route(
        "/internal/lease",
        InternalLease,
        (Operation("POST", "Whose turn it is to write in a workspace. For the hub alone.", JSON, who="hub"),),
    ),
)
