"""Where workspaces are: the interface, and the volume helper's side of it that the launcher sees."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from builders.sockets import open_socket
from launcher.errors import DiskFull, WorkspaceFailed

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

TARGET = "/workspace"
"""Where every container has its workspace: `work/` and `home/` are below."""
PROJECT_ID = re.compile(r"[a-z][a-z0-9]{9}\Z")
MAX_ANSWER = 1 << 20
_ASKED = 3
"""How often a helper that ends in the midst of it is asked."""
FULL = "full"
"""The helper's code for a disk without room."""


@dataclass(frozen=True, slots=True)
class Seed:
    """What a workspace begins with."""

    checkout: Path
    """A clone whose lease is held."""
    url: str
    commit: str
    image_contents: str = ""
    """The hexadecimal digits of the image whose own files are wanted; `""`: none."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Disk that a workspace takes; `complete` is False where counting stopped early."""

    bytes: int
    entries: int
    complete: bool


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """How a container gets a workspace: a named volume that binds the folder `device`, at `target`."""

    name: str
    device: str
    target: str


class VolumeBackend(Protocol):
    """Makes and finds workspaces. Nothing deletes one."""

    async def create(self, project: str, seed: Seed) -> str:
        """Make the workspace of a project: wholly or not at all; one that is there already is left as it is.

        Returns where its files came from: `clone`, `contents` or, where it was there, `before`.
        Raises WorkspaceFailed.
        """
        ...

    async def exists(self, project: str) -> bool:
        """Whether the project has a workspace; a half-made one is none. Raises WorkspaceFailed."""
        ...

    async def usage(self, project: str) -> Usage:
        """How much disk it takes. Raises WorkspaceFailed, also where there is none."""
        ...

    async def list(self) -> list[str]:
        """The projects that have a workspace, sorted. Raises WorkspaceFailed."""
        ...

    def volume(self, project: str) -> VolumeMount:
        """How a container gets the project's workspace. Raises WorkspaceFailed for what is no project's id."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds."""

    connect: float = 15
    """For a helper that is being started again."""
    answer: float = 60
    usage: float = 180
    """More than the helper gives itself (volume_helper/usage.py)."""
    seed: float = 1800


class HelperVolumes:
    """A `VolumeBackend` that asks the volume helper (`launcher/projects/volume_helper`)."""

    def __init__(
        self,
        socket: Path,
        checkouts: Path,
        workspaces: Path,
        installation: str,
        patience: Patience | None = None,
    ) -> None:
        """`checkouts` and `workspaces` are the folders, as the host names them, that the helper has mounted."""
        self._socket = socket
        self._checkouts = checkouts
        self._workspaces = workspaces
        self._installation = installation
        self._patience = patience or Patience()

    async def create(self, project: str, seed: Seed) -> str:
        """See VolumeBackend."""
        contents = f"{seed.image_contents}.tar" if seed.image_contents else ""
        try:
            checkout = seed.checkout.relative_to(self._checkouts).parts
        except ValueError:
            raise WorkspaceFailed("the checkout is not among the shared ones") from None
        answer = await self._ask(
            {
                "verb": "seed",
                "id": project,
                "checkout": checkout,
                "contents": contents,
                "url": seed.url,
                "commit": seed.commit,
            },
            self._patience.seed,
        )
        how = str(answer.get("seeded"))
        if contents and how == "clone":
            log.warning("workspace %s: the image's own files are gone or not this commit's; cloned", project)
        return how

    async def exists(self, project: str) -> bool:
        """See VolumeBackend."""
        return (await self._ask({"verb": "exists", "id": project})).get("exists") is True

    async def usage(self, project: str) -> Usage:
        """See VolumeBackend."""
        answer = await self._ask({"verb": "usage", "id": project}, self._patience.usage)
        return Usage(int(answer["bytes"]), int(answer["entries"]), complete=answer["complete"] is True)

    async def list(self) -> list[str]:
        """See VolumeBackend."""
        found: list[str] = []
        while True:
            answer = await self._ask({"verb": "list", "after": found[-1] if found else ""})
            found += [str(name) for name in answer["ids"]]
            if not answer["more"]:
                return found

    async def health(self) -> int:
        """Bytes free for workspaces. Raises WorkspaceFailed where the helper does not answer."""
        return int((await self._ask({"verb": "health"}))["free_bytes"])

    def volume(self, project: str) -> VolumeMount:
        """See VolumeBackend."""
        if not PROJECT_ID.match(project):
            raise WorkspaceFailed("that is no project's id")
        name = f"repolaunch-{self._installation}-{project}"
        return VolumeMount(name, str(self._workspaces / project), TARGET)

    async def _ask(self, request: dict[str, object], seconds: float | None = None) -> dict[str, Any]:
        line = json.dumps(request).encode() + b"\n"
        try:
            async with asyncio.timeout(seconds or self._patience.answer):
                answer = await self._exchange(line)
        except TimeoutError:
            raise WorkspaceFailed("the volume helper did not answer in time") from None
        if answer.get("code") == FULL:
            raise DiskFull("workspaces")
        if answer.get("ok") is not True:
            raise WorkspaceFailed(str(answer.get("reason", "the volume helper refused")))
        return answer

    async def _exchange(self, line: bytes) -> dict[str, Any]:
        """The answer. A helper that ends in the midst of it is asked again: every verb may be done twice."""
        for _ in range(_ASKED):
            reader, writer = await self._connect()
            try:
                writer.write(line)
                answer = json.loads(await reader.readuntil(b"\n"))
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
                log.warning("the volume helper stopped before it had answered: %s", type(error).__name__)
                continue
            finally:
                # Also tells the helper that nobody waits any more: it then keeps nothing of an unfinished workspace.
                writer.transport.abort()
            return answer if isinstance(answer, dict) else {}
        raise WorkspaceFailed("the volume helper stopped before it had answered, again and again")

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        until = asyncio.get_running_loop().time() + self._patience.connect
        while True:
            try:
                return await open_socket(self._socket, limit=MAX_ANSWER)
            except OSError as error:
                if asyncio.get_running_loop().time() > until:
                    log.warning("the volume helper's socket: %s", error)
                    raise WorkspaceFailed("the volume helper does not answer") from None
                await asyncio.sleep(0.1)
