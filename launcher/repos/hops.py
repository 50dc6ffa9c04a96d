"""HTTP requests of our own: to checked addresses, with redirects that are followed hop by hop."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher.errors import AddressRefused, HostUnreachable
from launcher.repos import urls
from launcher.repos.curl import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.repos.addresses import AddressPolicy, Checked
    from launcher.repos.curl import Curl, Transfer

HOPS = 5
BATCH = 50
"""Transfers that one curl makes one after the other, on one connection."""
AT_ONCE = 4
_REDIRECTS = {301, 302, 303, 307, 308}
_SECRETS = re.compile(r"(?i)authorization|cookie|token")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that a batch may take, and what is called meanwhile to stop it."""

    seconds: float
    guard: Callable[[], None] | None = None


class Hops:
    """Makes transfers, many at once."""

    def __init__(self, policy: AddressPolicy, curl: Curl, protocols: Sequence[str]) -> None:
        """`protocols`: those of `http` and `https` in it may be used."""
        self._policy = policy
        self._curl = curl
        self._protocols = tuple(one for one in ("http", "https") if one in protocols)

    async def run(self, transfers: Sequence[Transfer], pace: Pace) -> list[Answer]:
        """The answer of each transfer, redirects followed.

        Raises BadUrl, ProtocolRefused, AddressRefused and HostUnreachable where an address cannot be used at all, and
        what the guard raises.
        """
        answers: dict[int, Answer] = {}
        waiting = [(number, one, "") for number, one in enumerate(transfers)]
        for _ in range(HOPS + 1):
            told = await self._round(waiting, pace)
            answers |= {number: answer for (number, _, _), answer in told}
            waiting = [
                (number, _onwards(one, answer), one.url)
                for (number, one, _), answer in told
                if answer.status in _REDIRECTS and answer.location
            ]
            if not waiting:
                break
        for number, _, _ in waiting:
            answers[number] = Answer(0, reason=f"it redirects more than {HOPS} times")
        return [answers[number] for number in range(len(transfers))]

    async def _round(
        self, waiting: Sequence[tuple[int, Transfer, str]], pace: Pace
    ) -> list[tuple[tuple[int, Transfer, str], Answer]]:
        """One request for each, grouped by host; each host's name is looked up once, and pinned."""
        groups: dict[tuple[str, str, int], list[tuple[int, Transfer, str]]] = {}
        for item in waiting:
            href = urls.split_href(item[1].url, self._protocols)
            groups.setdefault((href.protocol, href.host, href.port), []).append(item)
        slots = asyncio.Semaphore(AT_ONCE)

        async def go(origin: tuple[str, str, int], items: Sequence[tuple[int, Transfer, str]]) -> list[Answer]:
            async with slots:
                return await self._curl.run([one for _, one, _ in items], checked[origin], pace.seconds, pace.guard)

        checked = {}
        for (protocol, host, port), items in groups.items():
            checked[protocol, host, port] = await self._check(protocol, host, port, items[0][2])
        batches = [
            (origin, items[at : at + BATCH]) for origin, items in groups.items() for at in range(0, len(items), BATCH)
        ]
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(go(*batch)) for batch in batches]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [
            pair
            for (_, items), task in zip(batches, running, strict=True)
            for pair in zip(items, task.result(), strict=True)
        ]

    async def _check(self, protocol: str, host: str, port: int, via: str) -> Checked:
        try:
            return await self._policy.check(host, port, protocol)
        except HostUnreachable as error:
            raise HostUnreachable(f"{protocol}://{host}", error.reason) from None
        except AddressRefused as error:
            # What comes after the path may be a signature.
            raise AddressRefused(error.host, error.address, error.kind, via.partition("?")[0]) from None


def _onwards(transfer: Transfer, answer: Answer) -> Transfer:
    """The same request at the next address; to another host without what was meant for this one."""
    here, there = _origin(transfer.url), _origin(answer.location)
    headers = transfer.headers
    if here != there:
        headers = {name: value for name, value in headers.items() if not _SECRETS.search(name)}
    return replace(transfer, url=answer.location, headers=headers)


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])
