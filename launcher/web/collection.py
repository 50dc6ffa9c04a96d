"""`/api/v1/collection` and `/api/v1/forgetting`: what could be let go, and letting it go. For the operator."""

from __future__ import annotations

from typing import Final

from launcher.errors import Forbidden
from launcher.web import holdings
from launcher.web.handler import Handler
from launcher.web.routes import LINK_ERRORS, Operation, Route


class _OfOperator(Handler):
    asks_who = True

    def _only_operator(self) -> None:
        _ = self.account
        if not self.is_operator:
            raise Forbidden("see or collect what the service holds (its operator may)")


class Collection(_OfOperator):
    """`/api/v1/collection`."""

    async def get(self) -> None:
        """What would go now, and why each other stays; nothing is removed."""
        self._only_operator()
        every = self.get_query_argument("every", "") in {"1", "true"}
        self.send([holdings.Collection.of(one) for one in await self.web.collection.look(every=every)])

    async def post(self) -> None:
        """Collect, and tell what went. It does not end with the request that began it."""
        self._only_operator()
        asked = self.body_as(holdings.CollectionRequest)
        self.send([holdings.Collection.of(one) for one in await self.web.collection.collect(every=asked.every)])


class Forgetting(_OfOperator):
    """`/api/v1/forgetting`."""

    async def get(self) -> None:
        """What would go of a repository; nothing is removed. Raises the errors of links."""
        self._only_operator()
        ref = self.web.links.recognise(self.get_query_argument("url", ""), "").ref
        self.send(holdings.Forgotten.of(await self.web.forgetting.look(ref.url)))

    async def post(self) -> None:
        """Forget it, and tell what went. It does not end with the request that began it. Raises the errors of links."""
        self._only_operator()
        ref = self.web.links.recognise(self.body_as(holdings.ForgettingRequest).url, "").ref
        self.send(holdings.Forgotten.of(await self.web.forgetting.forget(ref.url)))


_EVERY: Final = (("every", "`true`: all that nobody uses, however much room there is."),)
_URL: Final = (("url", "Address of the repository, as a link to launch has it."),)
_ERRORS: Final = ("forbidden", "registry-down", "engine-down", "build-broken")

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/api/v1/collection",
        Collection,
        (
            Operation(
                "GET",
                "What could be collected.",
                holdings.Collection,
                many=True,
                who="login",
                query=_EVERY,
                errors=_ERRORS,
            ),
            Operation(
                "POST",
                "Collect what nobody uses; answers when that is done.",
                holdings.Collection,
                many=True,
                body=holdings.CollectionRequest,
                who="login",
                errors=_ERRORS,
            ),
        ),
    ),
    Route(
        "/api/v1/forgetting",
        Forgetting,
        (
            Operation(
                "GET",
                "What is held of a repository, and could be forgotten.",
                holdings.Forgotten,
                who="login",
                query=_URL,
                errors=(*_ERRORS, *LINK_ERRORS),
            ),
            Operation(
                "POST",
                "Forget a repository: its images, archived commits, checkouts; answers when that is done.",
                holdings.Forgotten,
                body=holdings.ForgettingRequest,
                who="login",
                errors=(*_ERRORS, *LINK_ERRORS),
            ),
        ),
    ),
)
