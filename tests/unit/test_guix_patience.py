"""How long the gate waits for guix-daemon: not for a cache that gives nothing, but for a build as long as it takes."""

from __future__ import annotations

import asyncio
import struct

import pytest

from builders.guix.operations import BUILD, OURS, SET_OPTIONS
from builders.guix.patience import SILENT, Patience
from builders.guix.wire import Refused, packed, refusal, word

QUIET_S = 0.1
LONG_S = 0.5
"""Several times as long."""
ADD, VALID, QUERY = 8, 1, 30
NEXT, LAST = word(0x6F6C6D67), word(0x616C7473)
DRV = "/gnu/store/dkf48807f35kk6h4clqknj2d91w3clji-x-1.drv"
STARTED = f"@ build-started {DRV} - x86_64-linux /var/log/x 17\n"
ENDED = f"@ build-succeeded {DRV} -\n"
FORGED = "@ build-succeeded y\n"
PIECES = [1, 7, 2**16]


def texts(*written: str) -> bytes:
    return b"".join(NEXT + packed(each.encode()) for each in written)


async def waited(
    told: bytes, *asked: int, quiet_s: float = QUIET_S, pieces: int = 2**16, most_s: float = LONG_S
) -> str:
    """`""`: whoever hears this, and then nothing for `most_s`, waits on; else why not."""
    patience, reader, heard = Patience(quiet_s), asyncio.StreamReader(), b""
    for operation in asked:
        patience.asked(operation)

    async def hears() -> None:
        nonlocal heard
        while True:
            heard += await patience.read(reader)

    hearing = asyncio.ensure_future(hears())
    for at in range(0, len(told), pieces):
        reader.feed_data(told[at : at + pieces])
        await asyncio.sleep(0)
    await asyncio.wait({hearing}, timeout=most_s)
    hearing.cancel()
    await asyncio.wait({hearing})
    assert heard == told, "it is passed on as it is"
    if hearing.cancelled():
        return ""
    error = hearing.exception()
    assert isinstance(error, Refused)
    return error.reason


@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize(
    "told",
    [
        b"",
        texts("updating substitutes from 'http://…'\n"),
        texts("a" * 9)[:-3],
        texts(STARTED, ENDED),
        texts(STARTED[:20], STARTED[20:], ENDED),
        texts(STARTED, f"@ build-log 17 {len(FORGED)}\n{FORGED}", ENDED),
    ],
)
async def test_a_daemon_that_builds_nothing_and_says_nothing_is_not_waited_for(told: bytes, pieces: int) -> None:
    assert await waited(told, SET_OPTIONS, BUILD, pieces=pieces, most_s=60) == SILENT
    if b"build-started" not in told:
        assert await waited(told, QUERY, pieces=pieces, most_s=60) == SILENT


@pytest.mark.parametrize(
    "told,asked",
    [
        (b"", ()),
        (b"", (VALID,)),
        (b"", (ADD,)),
        (texts(STARTED), (SET_OPTIONS, BUILD)),
        (texts(STARTED, f"@ build-log 17 {len(ENDED)}\n{ENDED}"), (SET_OPTIONS, BUILD)),
        (LAST + word(0), (QUERY,)),
        (texts("asks") + LAST, (QUERY,)),
        (refusal("no"), (SET_OPTIONS, BUILD)),
        # What is not understood.
        (struct.pack("<QQ", 0x6F6C6D67, 2**40), (QUERY,)),
        (word(0x64617461) + word(3), (QUERY,)),
    ],
    ids=str,
)
async def test_all_else_is_waited_for(told: bytes, asked: tuple[int, ...]) -> None:
    assert await waited(told, *asked) == ""


async def test_where_there_is_no_cache_nobody_is_hurried() -> None:
    assert await waited(b"", QUERY, quiet_s=0) == ""


@pytest.mark.parametrize("pieces", PIECES)
async def test_what_a_client_did_not_ask_for_it_is_not_told_and_builds_are_heard_of(pieces: int) -> None:
    began: list[str] = []
    patience, reader, told = Patience(0, began.append), asyncio.StreamReader(), texts("x\n", STARTED, ENDED) + LAST
    patience.asked(OURS)
    patience.asked(BUILD)
    whole, heard = LAST + told, b""
    for at in range(0, len(whole), pieces):
        reader.feed_data(whole[at : at + pieces])
    reader.feed_eof()
    while piece := await patience.read(reader):
        heard += piece
    assert heard == told
    assert began == [DRV]


async def test_the_end_of_the_daemon_is_an_end() -> None:
    patience, reader = Patience(QUIET_S), asyncio.StreamReader()
    patience.asked(QUERY)
    reader.feed_eof()
    assert await patience.read(reader) == b""
