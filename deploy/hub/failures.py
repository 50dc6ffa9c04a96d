"""Why a session did not start, in a form that both a person and the launcher can read.

JupyterHub passes a failure on as one text (`Spawn failed: …`). Ours is `<code>: <sentence>`, and the last lines
that the server wrote, if any, on the lines that follow. `launcher/sessions/hub.py` reads it.
"""

from __future__ import annotations

from jupyterhub.spawner import SpawnException

REFUSED = "refused"
"""The launcher said no, or could not be asked."""
FAILED = "failed"
"""The container could not be made, or the server ended."""
TIMEOUT = "timeout"
"""The server did not answer in time."""

TAIL_LINES = 20
LINE_CHARACTERS = 300


class NoSession(SpawnException):  # type: ignore[misc]  # jupyterhub has no types
    """A spawn that ended with a sentence. `log_message` is for the hub's log only."""

    def __init__(self, code: str, sentence: str, tail: tuple[str, ...] = (), log_message: str = "") -> None:
        super().__init__(sentence, reason=code, log_message=log_message or sentence, status_code=400)
        self.jupyterhub_message = "\n".join((f"{code}: {sentence}", *tail))


def tail_of(output: bytes) -> tuple[str, ...]:
    """The last lines of a program's output, without control characters."""
    lines = output.decode("utf-8", "replace").splitlines()
    clean = ("".join(char for char in line if char.isprintable())[:LINE_CHARACTERS] for line in lines)
    return tuple(line for line in clean if line.strip())[-TAIL_LINES:]
