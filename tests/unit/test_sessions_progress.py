"""What the hub tells while a server starts, and how it says that it did not."""

from __future__ import annotations

import pytest

from launcher.errors import LauncherError, SpawnFailed, SpawnRefused, SpawnTimeout
from launcher.sessions.hub import Step, _Progress, failure

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
