"""Git, with nothing of what the machine or a stranger configured for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.disks import says_full
from launcher.repos.programs import Program, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from launcher.repos.programs import Programs

_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "SSH_ASKPASS": "false",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_NO_LAZY_FETCH": "1",
}
_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.autocrlf=false",
    "core.bigFileThreshold=32m",
    "core.packedGitWindowSize=32m",
    "credential.helper=",
    # Also keeps a dumb server's http-alternates from naming other hosts.
    "http.followRedirects=false",
    # A server may otherwise name bundles and packs that lie on other hosts.
    "transfer.bundleURI=false",
    "fetch.uriProtocols=",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "safe.directory=*",
    "advice.detachedHead=false",
)


@dataclass(eq=False)
class GitFailed(Exception):
    """Git ended with an error; `stderr` is as git wrote it: it may carry credentials and paths of the host."""

    status: int
    stderr: str
    timed_out: bool = False

    @property
    def is_full(self) -> bool:
        """A disk is full. Of a large file git says only that it could not be written, and has removed it again."""
        return says_full(self.stderr) or "unable to write" in self.stderr


@dataclass(frozen=True, slots=True)
class Command:
    """One call of git. `guard` is called every now and then while it runs, in a thread; what it raises ends git."""

    args: Sequence[str]
    cwd: Path | None = None
    timeout_s: float = 60
    env: Mapping[str, str] | None = None
    guard: Callable[[], None] | None = None
    records: int = 0
    """As of Program."""


class Git:
    """Runs git's commands."""

    def __init__(self, programs: Programs, protocols: Sequence[str]) -> None:
        """`protocols`: those that git may use, whatever a repository says."""
        self._programs = programs
        self.environment = _ENVIRONMENT | {"GIT_ALLOW_PROTOCOL": ":".join(protocols)}
        self.argv = ("git", *(part for setting in _CONFIG for part in ("-c", setting)))

    async def run(self, command: Command) -> str:
        """What git prints. Raises GitFailed, OutputTooLarge and what the guard raises."""
        env = self.environment | dict(command.env or {})
        argv = [*self.argv, *command.args]
        program = Program(argv, env, command.cwd, command.timeout_s, command.guard, records=command.records)
        try:
            done = await self._programs.run(program)
        except TimedOut:
            raise GitFailed(-1, "", timed_out=True) from None
        if done.status != 0:
            raise GitFailed(done.status, done.err)
        return done.out
