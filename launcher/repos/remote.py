"""Talks to git hosts: to checked addresses only, over allowed protocols, and with errors in our own words.

Redirects are followed here, not by git: each hop's address is checked before anything is sent to it.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.disks import FULL, FULL_WORDS
from launcher.errors import (
    AddressRefused,
    BadUrl,
    DiskFull,
    HostKeyUnknown,
    HostUnreachable,
    ProtocolRefused,
    RepositoryMissing,
    RepositoryPrivate,
    RepositoryTooLarge,
)
from launcher.repos import urls
from launcher.repos.access import helper, in_memory, told
from launcher.repos.curl import Curl, Transfer
from launcher.repos.git import Command, Git, GitFailed
from launcher.repos.programs import MEMORY_LIMIT, OutputTooLarge, Programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from launcher.repos.access import Access
    from launcher.repos.addresses import AddressPolicy, Checked
    from launcher.repos.urls import Address

CHECKOUTS = "repositories' files"
"""The place of which is told that it is full."""
HOPS = 5
_REDIRECT_BYTES = 2**20
_REDIRECT_S = 20
_INFO = "/info/refs?service=git-upload-pack"
_SSH = (
    "ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o LogLevel=ERROR "
    "-o ConnectTimeout=20 -o ForwardAgent=no -o UpdateHostKeys=no"
)
"""No key of the operator's: a stranger's link would read what the operator can."""
_ANYBODY = "-o IdentityFile=none -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=/dev/null"
"""Host keys: one that the machine lists (/etc/ssh/ssh_known_hosts) has to be it; any other host is taken for what it
says it is, as over http. None is remembered."""


class CommitWithheld(Exception):
    """The host does not hand out this commit by its id."""


_NO_MEMORY = re.compile(r"(?i)out of memory|malloc failed|cannot allocate memory")
_REDIRECTED = re.compile(r"returned error: 30[12378]|unable to update url base from redirection")


def _unreachable(reason: str) -> Callable[[str], Exception]:
    return lambda url: HostUnreachable(url, reason)


_SAYINGS: tuple[tuple[str, Callable[[str], Exception]], ...] = (
    (FULL_WORDS, lambda _: DiskFull(CHECKOUTS)),
    (r"(?i)not our ref|unadvertised object|no such remote ref|couldn't find remote ref", lambda _: CommitWithheld()),
    (r"could not read (Username|Password)|Authentication failed|terminal prompts disabled", RepositoryPrivate),
    (r"Host key verification failed", HostKeyUnknown),
    (r"returned error: 40[13]|Permission denied|Access denied", RepositoryPrivate),
    (r"(?i)access denied or repository not exported|does not appear to be a git repository", RepositoryMissing),
    (r"cannot run ssh|ssh: (command )?not found", _unreachable("there is no ssh program here")),
    (r"(?i)returned error: (404|410)|not found|no such repository|does not exist", RepositoryMissing),
    (r"Failed to connect|Couldn't connect|Connection refused", _unreachable("nothing listens there")),
    (r"[Tt]imed out", _unreachable("it did not answer in time")),
    (r"not valid: is this a git repository", _unreachable("it answered, but not as a git host")),
)
"""What git says (LC_ALL=C) and what it means. The first match counts."""


@dataclass(frozen=True, slots=True)
class Call:
    """A git command that talks to a host: `command` makes its arguments from the address to use."""

    command: Callable[[str], Sequence[str]]
    timeout_s: float
    cwd: Path | None = None
    guard: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class _Pinned:
    """How git is made to connect to the addresses that were checked."""

    url: str
    config: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)


def _anywhere(_: str) -> None:
    """No host leads anywhere that would not do."""


class Remote:
    """Runs git commands against hosts."""

    def __init__(
        self,
        policy: AddressPolicy,
        protocols: tuple[str, ...],
        memory: int = MEMORY_LIMIT,
        known_hosts: str = "",
    ) -> None:
        """`known_hosts`: a file of host keys, besides the machine's: to other hosts no key of a person is shown."""
        self._known_hosts = known_hosts or "/dev/null"
        self._policy = policy
        self._protocols = protocols
        self.programs = Programs(memory=memory)
        self.git = Git(self.programs, protocols)
        self.curl = Curl(self.programs)
        self.access: Access | None = None
        self.leads_to: Callable[[str], None] = _anywhere
        """Told each address that a host leads on to; what it raises stops that."""

    def opened(self, access: Access | None) -> Remote:
        """The same, with a person's credential; it is shown where that may be shown, and nowhere else."""
        remote = copy(self)
        remote.access = access
        return remote

    async def run(self, url: str, call: Call) -> str:
        """What git prints.

        Raises AddressRefused, ProtocolRefused, HostUnreachable, RepositoryMissing, RepositoryPrivate, CommitWithheld,
        DiskFull.
        """
        try:
            async with asyncio.timeout(call.timeout_s):
                return await self._run(url, call)
        except TimeoutError:
            raise HostUnreachable(url, f"it did not answer within {call.timeout_s:g} seconds") from None

    async def _run(self, url: str, call: Call) -> str:
        # A key is for ssh, whatever the address that people know the repository by.
        own = self.access.url if self.access is not None and self.access.kind == "ssh-key" else url
        here, via = urls.split(own, self._protocols), ""
        for _ in range(HOPS + 1):
            checked = await self._check(url, here, via)
            try:
                return await self._git(here, call, checked)
            except OutputTooLarge:
                raise HostUnreachable(url, "it names more branches and tags than can be read") from None
            except GitFailed as failed:
                if _NO_MEMORY.search(failed.stderr):
                    raise RepositoryTooLarge(url, "bytes of memory", self.programs.memory) from None
                if checked is None or not _REDIRECTED.search(failed.stderr):
                    raise translate(url, failed, call.timeout_s) from None
            here, via = await self._next(url, here, checked), str(here)
            self.leads_to(str(here))
        raise HostUnreachable(url, f"it redirects more than {HOPS} times")

    async def _git(self, here: Address, call: Call, checked: Checked | None) -> str:
        pinned = _pin(here, checked)
        with ExitStack() as stack:
            login: tuple[str, ...] = ()
            access = self.access if self.access is not None and self.access.opens(here) else None
            if access is not None and access.kind == "token":
                login = helper(here, stack.enter_context(in_memory(told(access))))
            elif access is not None and checked is not None:
                key = stack.enter_context(in_memory(access.secret))
                pinned = replace(pinned, env=_by_key(here, checked, key, self._known_hosts))
            args = [*pinned.config, *login, *call.command(pinned.url)]
            return await self.git.run(Command(args, call.cwd, call.timeout_s, pinned.env, call.guard))

    async def _check(self, url: str, here: Address, via: str) -> Checked | None:
        if here.protocol == "file":
            return None
        try:
            return await self._policy.check(here.host, here.port, here.protocol)
        except HostUnreachable as error:
            raise HostUnreachable(url, error.reason) from None
        except AddressRefused as error:
            raise AddressRefused(error.host, error.address, error.kind, via) from None

    async def _next(self, url: str, here: Address, checked: Checked) -> Address:
        """Where the host sends people from here."""
        known = self.access if self.access is not None and self.access.kind == "token" else None
        headers = known.header if known is not None and known.opens(here) else {}
        asked = Transfer(str(here) + _INFO, Path("/dev/null"), _REDIRECT_BYTES, headers)
        [answer] = await self.curl.run([asked], checked, _REDIRECT_S)
        if answer.reason:
            raise HostUnreachable(url, "it redirects, and then does not answer")
        target = answer.location
        if re.search(r"/(users/)?(sign_in|login|signin)\b", target):
            raise RepositoryPrivate(url)
        if not target.endswith(_INFO):
            raise HostUnreachable(url, "it redirects to something that is not a repository")
        try:
            there = urls.split(target.removesuffix(_INFO), self._protocols)
        except (BadUrl, ProtocolRefused):
            raise HostUnreachable(url, "it redirects to an address that cannot be a repository's") from None
        if there.protocol not in {"http", "https"} or (here.protocol, there.protocol) == ("https", "http"):
            raise HostUnreachable(url, "it redirects to a protocol that is less safe")
        return there

    def close(self) -> None:
        """Let the threads end."""
        self.programs.close()


@contextmanager
def full_disk_told() -> Iterator[None]:
    """What cannot be written because the disk is full becomes DiskFull; all else stays what it is."""
    try:
        yield
    except GitFailed as failed:
        if failed.is_full:
            raise DiskFull(CHECKOUTS) from None
        raise
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(CHECKOUTS) from None
        raise


def _pin(here: Address, checked: Checked | None) -> _Pinned:
    if checked is None:
        return _Pinned(str(here))
    if here.protocol in {"http", "https"}:
        config = ("-c", f"http.curloptResolve={checked.pin}") if checked.pin else ()
        proxies = ("http_proxy", "https_proxy") if checked.proxy else ()
        return _Pinned(str(here), config, dict.fromkeys(proxies, checked.proxy))
    address = checked.addresses[0]
    if here.protocol == "git":
        host = {"GIT_OVERRIDE_VIRTUAL_HOST": here.netloc}
        return _Pinned(str(replace(here, host=address)), env=host)
    command = f"{_SSH} {_ANYBODY} -o HostName={address} -o HostKeyAlias={here.host.replace(':', '-')}"
    return _Pinned(str(here), env={"GIT_SSH_COMMAND": command, "GIT_SSH_VARIANT": "ssh"})


def _by_key(here: Address, checked: Checked, key: str, known_hosts: str) -> dict[str, str]:
    """Git's environment for a person's key, which is shown to a host that is the one it should be."""
    # As known_hosts writes a host at another port.
    alias = here.host if here.port == urls.DEFAULT_PORTS["ssh"] else f"[{here.host}]:{here.port}"
    options = (
        f"HostName={checked.addresses[0]}",
        f"HostKeyAlias={alias}",
        f"IdentityFile={key}",
        f'UserKnownHostsFile="{known_hosts}"',  # it may be a list: quoted, it is one
        "StrictHostKeyChecking=yes",
    )
    command = " ".join((_SSH, *(f"-o {shlex.quote(one)}" for one in options)))
    return {"GIT_SSH_COMMAND": command, "GIT_SSH_VARIANT": "ssh"}


def translate(url: str, failed: GitFailed, timeout_s: float) -> Exception:
    """The error that git's words mean; CommitWithheld or a LauncherError."""
    if failed.timed_out:
        return HostUnreachable(url, f"it did not answer within {timeout_s:g} seconds")
    for pattern, make in _SAYINGS:
        if re.search(pattern, failed.stderr):
            return make(url)
    return HostUnreachable(url, _reason(failed.stderr))


def _reason(stderr: str) -> str:
    """Git's last complaint, without credentials, the address (the facts have it) and paths of this machine."""
    lines = [line for line in stderr.splitlines() if line.startswith(("fatal: ", "error: ", "ssh: "))]
    line = lines[0].partition(": ")[2] if lines else "git ended without saying why"
    line = re.sub(r"unable to access '[^']*': ", "", urls.redact(line))
    return re.sub(r"(?<![\w/:])/(?:[\w.-]+/)+[\w.-]*", "…", line)[:300]
