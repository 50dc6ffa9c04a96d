"""HTTP by curl: to checked addresses only, never following a redirect by itself.

curl and not a client of Python: it is what git speaks HTTP with, so that proxies, certificate authorities and numeric
host names mean the same to both; and gigabytes pass beside the launcher's event loop.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.repos.programs import Program, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from launcher.repos.addresses import Checked
    from launcher.repos.programs import Programs

_FLAGS = """silent
globoff
path-as-is
write-out = "%{exitcode} %{http_code} %{redirect_url}\\n"
"""
_ALWAYS = (
    ("proto", "=http,https"),
    ("connect-timeout", "20"),
    ("speed-limit", "1"),
    ("speed-time", "60"),
)
_CANNOT_WRITE = "23"
_ENVIRONMENT = {"HOME": "/nonexistent", "LC_ALL": "C"}
_TELLS = {
    6: "its name does not resolve",
    7: "nothing listens there",
    28: "it did not answer in time",
    60: "its certificate is not one that this server trusts",
    63: "it sends more than it said",
}
"""curl's exit codes, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One request of a batch to one host; POST where there is a body. `limit`: bytes that its answer may have."""

    url: str
    output: Path
    limit: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    head: Path | None = None
    """Where the headers of the answer are written, as they came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a transfer: an HTTP status and where a redirect leads, or the reason why there is none."""

    status: int
    location: str = ""
    reason: str = ""


class Curl:
    """Runs batches of transfers, each batch on one connection where the host allows."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    async def run(
        self,
        transfers: Sequence[Transfer],
        checked: Checked,
        timeout_s: float,
        guard: Callable[[], None] | None = None,
    ) -> list[Answer]:
        """An answer for each transfer. All go to the host that was checked.

        Raises what the guard raises, and OSError where the disk is full.
        """
        # -q: no configuration of the machine's. Headers may be credentials (of an object store): not in argv.
        config = "next\n".join(_block(one, checked) for one in transfers).encode()
        program = Program(("curl", "-q", "--config", "-"), _ENVIRONMENT, None, timeout_s, guard, config)
        try:
            done = await self._programs.run(program)
        except TimedOut:
            return [Answer(0, reason=f"it did not answer within {timeout_s:g} seconds")] * len(transfers)
        answers = [_answer(line) for line in done.out.splitlines()[: len(transfers)]]
        return answers + [Answer(0, reason="it broke off")] * (len(transfers) - len(answers))


def _block(one: Transfer, checked: Checked) -> str:
    """A transfer in curl's configuration; none of its options holds for the one after `next`."""
    options = [
        *_ALWAYS,
        ("url", one.url),
        ("output", str(one.output)),
        ("max-filesize", str(one.limit)),
        *(("header", f"{name}: {value}") for name, value in one.headers.items()),
    ]
    if one.head:
        options.append(("dump-header", str(one.head)))
    if one.body:
        options.append(("data-raw", one.body))
    if checked.pin:
        options.append(("resolve", checked.pin))
    if checked.proxy:
        options.append(("proxy", checked.proxy))
    lines = (f'{name} = "{_escaped(value)}"\n' for name, value in options)
    return _FLAGS + "".join(lines)


def _escaped(value: str) -> str:
    if bad := re.search(r"[\x00-\x1f\x7f]", value):
        msg = f"U+{ord(bad[0]):04X} cannot be in curl's configuration"
        raise ValueError(msg)
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _answer(line: str) -> Answer:
    code, status, location = (*line.split(" ", 2), "", "")[:3]
    if code == _CANNOT_WRITE:
        raise OSError(errno.ENOSPC, "curl could not write what it was sent")
    if code != "0" or not status.isdigit():
        return Answer(0, reason=_TELLS.get(int(code) if code.isdigit() else 0, "it broke off"))
    return Answer(int(status), location)
