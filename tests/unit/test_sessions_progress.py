"""What the hub tells while a server starts, and how it says that it did not."""

from __future__ import annotations

import asyncio

import pytest

from launcher.errors import HubDown, LauncherError, SpawnFailed, SpawnRefused, SpawnTimeout
from launcher.sessions.hub import HubClient, Step, _Progress, failure

# As JupyterHub 6.1 sends it, empty lines included.
STREAM = (
    b'\n\ndata: {"progress": 0, "message": "Server requested"}\n\n'
    b'data: {"progress": 50, "message": "Waiting for the server to answer"}\n\n\n\n'
    b'data: {"progress": 100, "ready": true, "message": "Server ready at /user/x/", "url": "/user/x/"}\n\n'
)
STEPS = [Step("Server requested", 0), Step("Waiting for the server to answer", 50)]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pieces_of_any_size_make_the_same_steps(size: int) -> None:
    steps: list[Step] = []
    progress = _Progress(steps.append)
    for start in range(0, len(STREAM), size):
        progress.feed(STREAM[start : start + size])
    assert steps == STEPS
    assert progress.ready
    assert progress.failure is None


@pytest.mark.parametrize(
    "line", [b"data: {", b"data: 7", b'data: {"progress": "x"}', b"data: []", b"data: \xff", b"event: x"]
)
def test_a_damaged_line_ends_nothing(line: bytes) -> None:
    steps: list[Step] = []
    progress = _Progress(steps.append)
    progress.feed(line + b"\n" + STREAM)
    assert steps == STEPS
    assert progress.ready


@pytest.mark.parametrize(
    "message, error",
    [
        ("Spawn failed: refused: This is closed: now.", SpawnRefused("This is closed: now.")),
        ("Spawn failed: timeout: It did not answer.\nlast words", SpawnTimeout(60)),
        ("Spawn failed: failed: It ended.\none\ntwo: three", SpawnFailed("It ended.", ("one", "two: three"))),
        ("Spawn failed: HTTP 500: Internal Server Error", SpawnFailed("HTTP 500: Internal Server Error")),
        ("Spawn cancelled", SpawnFailed("Spawn cancelled")),
    ],
)
def test_a_failure_says_what_it_was(message: str, error: LauncherError) -> None:
    found = failure(message, 60)
    assert (type(found), vars(found)) == (type(error), vars(error))


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _event(data: str) -> bytes:
    line = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(line), line)


@pytest.mark.parametrize("ends_well", [True, False])
async def test_a_stream_that_breaks_off_is_listened_to_again(*, ends_well: bool) -> None:
    listened = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal listened
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        if path.endswith(b"/progress"):
            listened += 1
            writer.write(CHUNKED + _event('{"message": "Starting", "progress": 20}'))
            if listened > 1:
                writer.write(_event('{"message": "There", "progress": 100, "ready": true}') + b"0\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.2)  # the line arrives before the end does
            writer.close()
            return
        pending = '"spawn"' if ends_well else "null"
        server = f'{{"": {{"ready": false, "pending": {pending}}}}}'
        body = f'{{"name": "project-abcdefghij", "servers": {server}}}'.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hub = HubClient(f"http://127.0.0.1:{port}", "token")
    steps: list[Step] = []
    try:
        if ends_well:
            await hub.follow("project-abcdefghij", steps.append, 10)
        else:
            with pytest.raises(HubDown):
                await hub.follow("project-abcdefghij", steps.append, 10)
    finally:
        hub.close()
        server.close()
    assert listened == (2 if ends_well else 1)
    assert steps == [Step("Starting", 20)], "told once"
