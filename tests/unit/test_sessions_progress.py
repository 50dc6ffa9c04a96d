"""What the hub tells while a server starts, and how it says that it did not."""

from __future__ import annotations

import asyncio

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from launcher.errors import DiskFull, EngineDown, HubDown, LauncherError, SpawnFailed, SpawnRefused, SpawnTimeout
from launcher.sessions.hub import HubClient
from launcher.sessions.progress import Progress, Step, failure

# As JupyterHub 6.1 sends it, empty lines included.
STREAM = (
    b'\n\ndata: {"progress": 0, "message": "Server requested"}\n\n'
    b'data: {"progress": 50, "message": "Waiting for the server to answer", "code": "step.session.waiting"}\n\n\n\n'
    b'data: {"progress": 100, "ready": true, "message": "Server ready at /user/x/", "url": "/user/x/"}\n\n'
)
STEPS = [
    Step("Server requested", 0, "step.session.requested"),
    Step("Waiting for the server to answer", 50, "step.session.waiting"),
]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pieces_of_any_size_make_the_same_steps(size: int) -> None:
    steps: list[Step] = []
    progress = Progress(steps.append)
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
    progress = Progress(steps.append)
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
        ("Spawn failed: full: There is no room left.", DiskFull("container engine")),
        ("Spawn failed: engine: It does not answer.", EngineDown("It did not answer while the session started")),
    ],
)
def test_a_failure_says_what_it_was(message: str, error: LauncherError) -> None:
    found = failure(message, 60)
    assert (type(found), vars(found)) == (type(error), vars(error))


class _Hub:
    """Answers what the client asks after a stream that broke off; the first stream has no last word."""

    def __init__(self, pending: str | None) -> None:
        self.listened = 0
        hub = self

        class Progress(RequestHandler):
            async def get(self) -> None:
                hub.listened += 1
                self.write('data: {"message": "Starting", "progress": 20}\n\n')
                await self.flush()
                if hub.listened == 1:
                    await asyncio.sleep(0.2)  # the line arrives before the end does
                    self.detach().close()
                    return
                self.write('data: {"message": "There", "progress": 100, "ready": true}\n\n')

        class User(RequestHandler):
            def get(self) -> None:
                self.write({"name": "project-abcdefghij", "servers": {"": {"ready": False, "pending": pending}}})

        routes = [(r"/users/project-abcdefghij/server/progress", Progress), (r"/users/project-abcdefghij", User)]
        self.server = HTTPServer(Application(routes))
        (listener,) = bind_sockets(0, "127.0.0.1")
        self.server.add_socket(listener)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("pending,listened", [("spawn", 2), (None, 1)])
async def test_a_stream_that_breaks_off_is_listened_to_again(pending: str | None, listened: int) -> None:
    fake = _Hub(pending)
    client = HubClient(fake.url, "token")
    steps: list[Step] = []
    try:
        if pending:
            await client.follow("project-abcdefghij", steps.append, 10)
        else:
            with pytest.raises(HubDown):
                await client.follow("project-abcdefghij", steps.append, 10)
    finally:
        client.close()
        fake.server.stop()
        await fake.server.close_all_connections()
    assert fake.listened == listened
    assert steps == [Step("Starting", 20)], "told once"
