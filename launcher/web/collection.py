"""`/api/v1/collection`: what could be collected, and collecting it. For the operator."""

from __future__ import annotations

from launcher.errors import Forbidden
from launcher.web import schemas
from launcher.web.handler import Handler


class Collection(Handler):
    """`/api/v1/collection`."""

    asks_who = True

    async def get(self) -> None:
        """What would go now, and why each other stays; nothing is removed."""
        self._only_operator()
        every = self.get_query_argument("every", "") in {"1", "true"}
        self.send([schemas.Collection.of(one) for one in await self.web.collection.look(every=every)])

    async def post(self) -> None:
        """Collect, and tell what went. It does not end with the request that began it."""
        self._only_operator()
        asked = self.body_as(schemas.CollectionRequest)
        self.send([schemas.Collection.of(one) for one in await self.web.collection.collect(every=asked.every)])

    def _only_operator(self) -> None:
        _ = self.account
        if not self.is_operator:
            raise Forbidden("see or collect what the service holds (its operator may)")
