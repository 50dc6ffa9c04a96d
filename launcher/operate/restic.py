"""restic, which keeps the backups: encrypted, each byte under its digest, only what is new is written.

Its own environment variables work: RESTIC_PASSWORD_FILE and the like, and those of a store elsewhere (sftp, S3, REST).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.operate.installation import InstallationError

if TYPE_CHECKING:
    from collections.abc import Sequence

PASSWORDS = ("RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND")
ELSEWHERE = re.compile(r"(sftp|rest|s3|swift|b2|azure|gs|rclone|local):")
"""How an address that is no folder begins."""
OLDEST = (0, 17)
"""The first whose exit codes tell no repository from a wrong password."""
INCOMPLETE, NO_REPOSITORY, LOCKED, WRONG_PASSWORD = 3, 10, 11, 12
SHOWN = 5
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run said: its lines of JSON, and everything that it complained of."""

    code: int
    lines: tuple[Line, ...]
    complaints: tuple[str, ...]
    text: str

    @property
    def last(self) -> Line:
        """The summary that ends a run."""
        return self.lines[-1] if self.lines else {}


@dataclass(frozen=True, slots=True)
class Restic:
    """One repository of backups."""

    program: str
    where: str
    """A folder, or an address of restic's (`sftp:…`, `s3:…`, `rest:…`)."""
    environ: dict[str, str]

    async def run(self, *arguments: str, cwd: Path | None = None, may: Sequence[int] = (0,)) -> Outcome:
        """Run one command of restic. Raises InstallationError for an exit code that is not in `may`."""
        outcome = await self._run(arguments, cwd)
        if outcome.code == LOCKED:
            await self._run(("unlock",), cwd)  # takes away only what runs that were killed have left
            outcome = await self._run(arguments, cwd)
        if outcome.code not in may:
            raise InstallationError(self._sentence(arguments[0], outcome))
        return outcome

    async def _run(self, arguments: tuple[str, ...], cwd: Path | None) -> Outcome:
        child = await asyncio.create_subprocess_exec(
            *(self.program, *arguments, "--json"),
            # The address may hold a password: never among the arguments, which every user of the machine sees.
            env=self.environ | {"RESTIC_REPOSITORY": self.where, "RESTIC_PROGRESS_FPS": "0.1"},
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, errors = await child.communicate()
        finally:
            if child.returncode is None:
                child.terminate()  # restic ends what it is at and takes its lock away
                await child.wait()
        return _outcome(child.returncode or 0, out, errors)

    def _sentence(self, verb: str, outcome: Outcome) -> str:
        if outcome.code == NO_REPOSITORY:
            return f"There is no backup in {shown(self.where)}. Look at its name, and whether it can be reached."
        if outcome.code == LOCKED:
            return f"Somebody else is at work on the backups in {shown(self.where)}. Try again later."
        if outcome.code == WRONG_PASSWORD:
            return f"The password does not open the backup in {shown(self.where)}."
        said = "; ".join(outcome.complaints[:SHOWN]) or "it gave no reason"
        return f"The backup in {shown(self.where)} could not be used: restic {verb} said: {said}"


def open_restic(where: str, password_file: Path | None) -> Restic:
    """The repository at `where`. Raises InstallationError: without restic, or without a password."""
    program = shutil.which("restic")
    if program is None:
        raise InstallationError(
            "Backups need restic, which is not installed. Run `make setup`, or install version 0.17 or newer."
        )
    environ = dict(os.environ)
    if password_file is not None:
        environ = {name: value for name, value in environ.items() if name not in PASSWORDS}
        environ["RESTIC_PASSWORD_FILE"] = str(password_file.absolute())
    if not any(environ.get(name) for name in PASSWORDS):
        raise InstallationError(
            "A backup holds every secret of the service, so it is encrypted, and no password was given. "
            "Write a long one into a file that you keep elsewhere too, and name it with --password-file."
        )
    return Restic(program, where if ELSEWHERE.match(where) else str(Path(where).absolute()), environ)


async def check_version(restic: Restic) -> None:
    """Raises InstallationError for a restic that is too old."""
    said = (await restic.run("version")).text
    found = re.search(r"(\d+)\.(\d+)", said)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        raise InstallationError(f"restic {found[0]} is too old: run `make setup`, or install restic 0.17 or newer.")


def shown(where: str) -> str:
    """The address without a password in it."""
    return re.sub(r"//[^/@]*@", "//", where)


def _outcome(code: int, out: bytes, errors: bytes) -> Outcome:
    text = out.decode(errors="replace")
    lines: list[Line] = []
    complaints: list[str] = []
    for line in [*text.splitlines(), *errors.decode(errors="replace").splitlines()]:
        try:
            read = json.loads(line)
        except ValueError:
            read = None
        if isinstance(read, list):
            lines += read
        elif not isinstance(read, dict):
            continue
        elif read.get("message_type") in {"error", "exit_error"}:
            complaints.append(_complaint(read))
        else:
            lines.append(read)
    if not complaints:
        complaints = [line for line in errors.decode(errors="replace").splitlines() if line.strip()][-1:]
    return Outcome(code, tuple(lines), tuple(complaints), text)


def _complaint(line: Line) -> str:
    """One line, without restic's own `Fatal:`; with the name of the file where there is one."""
    error = line.get("error") or {}
    said = str(line.get("message") or (error.get("message") if isinstance(error, dict) else error) or "")
    item = str(line.get("item") or "")
    first = " ".join(said.removeprefix("Fatal: ").split())[:300]
    return f"{item}: {first}" if item and item not in first else first
