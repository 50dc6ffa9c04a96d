"""Why a session did not start, in a form that both a person and the launcher can read.

JupyterHub passes a failure on as one text (`Spawn failed: …`). Ours is `<code>: <sentence>`, and the last lines
that the server wrote, if any, on the lines that follow. `launcher/sessions/progress.py` reads it.
"""

from __future__ import annotations

from docker.errors import APIError
from jupyterhub.spawner import SpawnException

REFUSED = "refused"
"""The launcher said no, or could not be asked."""
FAILED = "failed"
"""The container could not be made, or the server ended."""
TIMEOUT = "timeout"
"""The server did not answer in time."""

FULL = "full"
"""The container engine's disk is full."""
ENGINE = "engine"
"""The container engine did not answer."""

TAIL_LINES = 20
LINE_CHARACTERS = 300
ENGINE_FULL = (
    "There is no room left on the disk of the container engine. Your files are kept; the operator has to make room."
)
ENGINE_AWAY = "The container engine does not answer. Your files are kept; try again in a few minutes."


class NoSession(SpawnException):  # type: ignore[misc]  # jupyterhub has no types
    """A spawn that ended with a sentence. `log_message` is for the hub's log only."""

    def __init__(self, code: str, sentence: str, tail: tuple[str, ...] = (), log_message: str = "") -> None:
        super().__init__(sentence, reason=code, log_message=log_message or sentence, status_code=400)
        self.jupyterhub_message = "\n".join((f"{code}: {sentence}", *tail))


def of_engine(error: BaseException, said: str) -> NoSession:
    """What an error of the engine means; `said` is told where its words say nothing that is known."""
    code = FAILED
    if "no space left on device" in str(error).lower():
        code, said = FULL, ENGINE_FULL
    elif not isinstance(error, APIError):  # that one is an answer
        code, said = ENGINE, ENGINE_AWAY
    return NoSession(code, said, log_message=f"{said} {error}")


def tail_of(output: bytes) -> tuple[str, ...]:
    """The last lines of a program's output, without control characters."""
    lines = output.decode("utf-8", "replace").splitlines()
    clean = ("".join(char for char in line if char.isprintable())[:LINE_CHARACTERS] for line in lines)
    return tuple(line for line in clean if line.strip())[-TAIL_LINES:]
