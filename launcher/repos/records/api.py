"""Questions to the providers' interfaces: answers in JSON, asked for again only if they have changed."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher import __version__
from launcher.errors import (
    HostUnreachable,
    RateLimited,
    RecordGone,
    RecordUnfit,
    RepositoryMissing,
    RepositoryPrivate,
)
from launcher.repos import tree, urls
from launcher.repos.curl import Curl, Transfer
from launcher.repos.folders import remove
from launcher.repos.hops import Hops, Pace
from launcher.repos.programs import Programs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.repos.addresses import AddressPolicy

_LARGEST = 16 * 2**20
_PARTS = 300_000
"""Lists, tables and entries of them: what each takes as Python's object is many times its text."""
"""Bytes of one answer: the list of some ten thousand files."""
_KEPT = 8 * 2**20
_MOST = 1000
_OK, _SAME = 200, 304
WHO = {"User-Agent": f"repolaunch/{__version__}"}
"""Providers ask programs to say who they are."""
_LONGEST_WAIT = 7 * 24 * 3600
_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class _Known:
    etag: str
    body: bytes
    at: float


class Api:
    """Asks: once for all who ask the same at one time, and not again within `fresh_s` seconds.

    A class that opens one link is one question, and providers count them. Later an answer is asked for by its ETag:
    what has not changed is not sent again.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        protocols: Sequence[str],
        timeout_s: float = 30,
        scratch: Path | None = None,
        fresh_s: float = 60,
    ) -> None:
        """`timeout_s`: seconds of one question. `scratch`: as of GitResolver."""
        self._programs = Programs()
        self._hops = Hops(policy, Curl(self._programs), protocols)
        self._timeout_s = timeout_s
        self._scratch = scratch
        self._fresh_s = fresh_s
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[tuple[str, str], asyncio.Task[bytes]] = {}

    async def ask(self, url: str, record: str) -> Any:
        """What is in the answer's JSON. `record`: the address that people are told of. Raises as `ask_now`."""
        known = self._known.get(url)
        if known and time.monotonic() - known.at < self._fresh_s:
            return await asyncio.to_thread(json.loads, known.body)
        task = self._asking.get((url, record))
        if task is None:
            task = self._asking[url, record] = asyncio.create_task(self._in_folder(url, record, "GET"))
            task.add_done_callback(lambda _: self._asking.pop((url, record), None))
        # Whoever leaves, the others get their answer; it comes in time, or not at all.
        return await asyncio.to_thread(json.loads, await asyncio.shield(task))

    async def ask_now(self, url: str, record: str, method: str) -> Any:
        """The same, whatever is known.

        Raises HostUnreachable, RepositoryMissing, RepositoryPrivate, RecordGone, RateLimited, RecordUnfit (it is no
        JSON), AddressRefused, BadUrl, ProtocolRefused.
        """
        return await asyncio.to_thread(json.loads, await self._in_folder(url, record, method))

    async def _in_folder(self, url: str, record: str, method: str) -> bytes:
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="repolaunch-resolve-", dir=self._scratch))
        try:
            return await self._ask(url, record, method, folder)
        finally:
            await asyncio.to_thread(remove, folder)

    async def _ask(self, url: str, record: str, method: str, folder: Path) -> bytes:
        known = self._known.get(url)
        headers = {"Accept": "application/json", **WHO} | (
            {"If-None-Match": known.etag} if known and known.etag else {}
        )
        body, head = folder / "body", folder / "head"
        transfer = Transfer(url, body, _LARGEST, headers, "{}" if method == "POST" else "", head)

        def guard() -> None:
            if tree.size(folder) > _LARGEST:
                raise RecordUnfit(record, f"its description has more than {_LARGEST} bytes")

        [answer] = await self._hops.run([transfer], Pace(self._timeout_s, guard))
        if answer.reason:
            raise HostUnreachable(shown(url), answer.reason)
        if known and answer.status == _SAME:
            self._remember(url, known.etag, known.body)
            return known.body
        if answer.status not in range(_OK, 300):
            await asyncio.to_thread(_refuse, url, record, answer.status, head)
        text = await asyncio.to_thread(body.read_bytes) if body.exists() else b""
        if sum(text.count(sign) for sign in (b",", b"[", b"{")) > _PARTS:
            raise RecordUnfit(record, f"its description has more than {_PARTS} parts")
        try:
            await asyncio.to_thread(json.loads, text)
        except (ValueError, RecursionError):
            raise RecordUnfit(
                record, f"{urls.split_href(url, ('http', 'https')).host} answers, but not with JSON"
            ) from None
        self._remember(url, (await asyncio.to_thread(read_head, head)).get("etag", ""), text)
        return text

    def _remember(self, url: str, etag: str, body: bytes) -> None:
        self._known.pop(url, None)
        self._known[url] = _Known(etag if etag.isascii() and etag.isprintable() else "", body, time.monotonic())
        while len(self._known) > _MOST or sum(len(one.body) for one in self._known.values()) > _KEPT:
            self._known.popitem(last=False)

    def close(self) -> None:
        """Stop what is under way; let the threads end."""
        for task in self._asking.values():
            task.cancel()
        self._programs.close()


def shown(url: str) -> str:
    """An address without what may be a secret in it."""
    return urls.redact(url.partition("?")[0])


def read_head(path: Path) -> dict[str, str]:
    """The headers of the last answer that curl wrote there, by their names in lower case. Blocks."""
    found: dict[str, str] = {}
    lines = path.read_bytes().decode("latin-1").splitlines() if path.exists() else []
    for line in lines:
        if line.startswith("HTTP/"):
            found = {}
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip().lower()] = value.strip()
    return found


def _refuse(url: str, record: str, status: int, head: Path) -> None:
    """Raise what the status means. Blocks."""
    limited(url, status, head)
    if status in {401, 403}:
        raise RepositoryPrivate(record)
    if status == 404:  # noqa: PLR2004 - not found
        raise RepositoryMissing(record)
    if status == 410:  # noqa: PLR2004 - gone
        raise RecordGone(record)
    raise HostUnreachable(shown(url), f"it answers with status {status}")


def limited(url: str, status: int, head: Path | None) -> None:
    """Raises RateLimited where an answer says that too many questions were asked. Blocks."""
    told = read_head(head) if head else {}
    none_left = status == 403 and told.get("x-ratelimit-remaining") == "0"  # noqa: PLR2004 - as GitHub says it
    if status == 429 or none_left or (status == 503 and "retry-after" in told):  # noqa: PLR2004
        raise RateLimited(shown(url), _wait(told))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _wait(told: Mapping[str, str]) -> str:
    """For how long, in words; `""` where the answer does not say."""
    after, reset = told.get("retry-after", ""), told.get("x-ratelimit-reset", "")
    seconds = int(after) if _is_number(after) and len(after) < 10 else 0  # noqa: PLR2004 - digits
    if not seconds and _is_number(reset) and len(reset) < 12:  # noqa: PLR2004 - digits
        seconds = int(reset) - int(time.time())
    if not 0 < seconds < _LONGEST_WAIT:
        return ""
    if seconds < 2 * _MINUTE:
        return f"{seconds} seconds"
    return f"{-(-seconds // _MINUTE)} minutes" if seconds < 2 * _HOUR else f"{-(-seconds // _HOUR)} hours"
