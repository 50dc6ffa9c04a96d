"""Many readers of one log: what they share, whose turn it is, and those who are slow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from tornado.iostream import IOStream

from launcher.events import Log, Numbered, Ready, Stage
from launcher.web import watching
from launcher.web.pieces import PIECE, SHARED, Reading
from launcher.web.watching import KEEPALIVE, Watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from launcher.store.logs import EventLog, EventLogs
    from tests.fixtures.web import Site

READY = Ready("abc", "/user/project-abc/", "sha256:1", "Ready.")


def line(text: str | int) -> Log:
    return Log(Stage.BUILD, str(text))


class Encoder:
    """Counts what it encodes."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, numbered: Numbered) -> bytes:
        self.times += 1
        return b"%d\n" % numbered.n


class Ends:
    """Sockets in pairs: one end is read here, the other belongs to a reader."""

    def __init__(self) -> None:
        self.watching = Watching()
        self.taking: list[socket.socket] = []
        self.streams: list[IOStream] = []

    def add(self, reading: Reading, after: int = 0, *, chunked: bool = False) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.settimeout(0)
        self.taking.append(ours)
        ours.settimeout(0)
        self.streams.append(IOStream(theirs))
        self.watching.add(self.streams[-1], reading, after, chunked=chunked)
        return ours

    async def close(self) -> None:
        await self.watching.close()
        for one in self.taking:
            one.close()


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ends = Ends()
    yield ends
    await ends.close()


@pytest.fixture
def build(logs: EventLogs) -> EventLog:
    return logs.create("build")


async def everything(one: socket.socket) -> bytes:
    """All that comes until the end."""
    taken = b""
    async with asyncio.timeout(60):
        while part := await asyncio.get_running_loop().sock_recv(one, 65536):
            taken += part
    return taken


def numbers(until: int, first: int = 1) -> bytes:
    return b"".join(b"%d\n" % n for n in range(first, until + 1))


async def test_each_of_many_readers_gets_every_event_in_order_and_none_is_encoded_for_each(
    ends: Ends, build: EventLog
) -> None:
    encode = Encoder()
    reading = Reading(build, "build", encode)
    takers = [asyncio.create_task(everything(ends.add(reading))) for _ in range(100)]
    late = []
    for n in range(1, 2500):
        build.tell(line(n))
        if n % 100 == 0:
            await asyncio.sleep(0.001)
            late.append(asyncio.create_task(everything(ends.add(reading, after=n))))
    build.tell(READY)
    assert await asyncio.gather(*takers) == [numbers(2500)] * 100
    assert await asyncio.gather(*late) == [numbers(2500, n + 1) for n in range(100, 2500, 100)]
    assert encode.times < 25 * 2500


async def test_a_reader_of_a_log_that_is_not_in_memory(ends: Ends, logs: EventLogs, build: EventLog) -> None:
    for n in range(1, 4500):
        build.tell(line(n))
    build.tell(READY)
    await logs.flush()
    assert build.recent(0) is None
    assert await everything(ends.add(Reading(build, "build", Encoder()))) == numbers(4500)


async def test_readers_who_take_nothing_hold_one_piece_each_and_keep_nobody_waiting(
    ends: Ends, build: EventLog
) -> None:
    def encode(numbered: Numbered) -> bytes:
        return b"%06d" % numbered.n + b"x" * 9_993 + b"\n"

    reading = Reading(build, "build", encode)
    slow = [ends.add(reading) for _ in range(20)]
    quick = asyncio.create_task(everything(ends.add(reading)))
    for n in range(1, 600):
        build.tell(line(n))
        if n % 50 == 0:
            await asyncio.sleep(0.02)
    build.tell(READY)
    assert len(await quick) == 600 * 10_000
    waiting = [one._total_write_index - one._total_write_done_index for one in ends.streams[:20]]
    assert all(0 < size <= PIECE + 10_000 for size in waiting), waiting
    assert sum(len(piece.data) for piece in ends.watching.pieces._kept.values()) <= SHARED
    assert len(await everything(slow[0])) == 600 * 10_000  # it was slow, and has missed nothing


async def test_readers_take_turns_with_everybody_else(
    ends: Ends, build: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "TURN_S", 0)  # one reader at a time
    for _ in range(300):
        ends.add(Reading(build, "build", Encoder()))
    async with asyncio.timeout(30):
        while len(build.listeners) < 300:  # nothing to wait on
            await asyncio.sleep(0.01)
    others, most, behind = 0, 0, list(ends.taking)
    build.tell(READY)
    while behind:
        served = [one for one in behind if _has(one)]
        most = max(most, len(served))
        behind = [one for one in behind if one not in served]
        others += 1
        await asyncio.sleep(0)
    assert most <= 3, "so many had their turn before anybody else"
    assert others > 100


def _has(one: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        return bool(one.recv(1, socket.MSG_PEEK))
    return False


async def test_an_event_that_is_each_readers_own(ends: Ends, build: EventLog) -> None:
    tokens: Iterator[int] = iter(range(10))

    def encode(numbered: Numbered) -> bytes | None:
        return None if numbered.event == READY else b"%d\n" % numbered.n

    async def alone(numbered: Numbered) -> bytes:
        await asyncio.sleep(0.01)
        return b"%d: token %d\n" % (numbered.n, next(tokens))

    takers = [everything(ends.add(Reading(build, "build", encode, alone))) for _ in range(3)]
    build.tell(line(1))
    build.tell(READY)
    found = await asyncio.gather(*takers)
    assert sorted(found) == [b"1\n2: token 0\n", b"1\n2: token 1\n", b"1\n2: token 2\n"]


async def test_what_cannot_be_written_ends_one_reader_alone(
    ends: Ends, build: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    def encode(numbered: Numbered) -> bytes:
        raise ValueError(numbered)

    async def alone(numbered: Numbered) -> bytes:
        raise OSError(numbered)

    broken = [everything(ends.add(Reading(build, name, how, alone))) for name, how in (("a", encode), ("b", _never))]
    well = everything(ends.add(Reading(build, "c", Encoder())))
    build.tell(line(1))
    assert await asyncio.gather(*broken) == [b"", b""]
    build.tell(READY)
    assert await well == numbers(2)
    assert caplog.text.count("cannot be told") == 2


def _never(_: Numbered) -> None:
    return None


async def test_a_stream_stays_open_after_its_end_where_that_is_wanted(ends: Ends, build: EventLog) -> None:
    ends.watching.keepalive_s = 0.02
    build.tell(READY)
    taken = await everything(ends.add(Reading(build, "build", Encoder(), linger_s=lambda: 0.2)))
    assert b"1\n" + KEEPALIVE in taken


async def test_one_who_leaves_is_forgotten(ends: Ends, build: EventLog) -> None:
    changes: list[int] = []
    ends.watching.changed = changes.append
    one = ends.add(Reading(build, "build", Encoder()))
    await asyncio.sleep(0.01)
    assert build.listeners
    one.close()
    async with asyncio.timeout(5):
        while len(changes) < 2:  # nothing to wait on
            await asyncio.sleep(0.01)
    assert changes == [1, -1]
    assert not build.listeners


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_as_http_has_it(site: Site, version: str) -> None:
    site.script.gate.set()
    launch = await site.launch()
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    lines = [f"GET {launch['events']} HTTP/{version}", "Host: x", "Authorization: token ada-token", "", ""]
    writer.write("\r\n".join(lines).encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    headers = dict(one.split(": ", 1) for one in head.decode().split("\r\n")[1:])
    assert headers["Connection"] == "close"
    if version == "1.1":
        size, _, rest = body.partition(b"\r\n")
        body = rest[: int(size, 16)]
        assert rest[len(body) :] == b"\r\n0\r\n\r\n"
    event: dict[str, Any] = json.loads(body.partition(b"data: ")[2])
    assert body.startswith(b"id: 1\n")
    assert body.endswith(b"\n\n")
    assert event["type"] == "ready"
