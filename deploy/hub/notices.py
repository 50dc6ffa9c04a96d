"""The operator's word above every page, from the policy file: on the hub's pages as on the launcher's."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyterhub.apihandlers.base import APIHandler

from launcher.gate.file import PolicyFile
from launcher.gate.reading import parse
from launcher.repos.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Notices:
    """What is said now. A file that cannot be read changes nothing, here as there; the launcher tells the operator."""

    def __init__(self, policy: str, kept: Path) -> None:
        """`policy`: the file, `""`: none; `kept` is where the last good version is kept, which nobody else writes."""
        read = partial(parse, providers=tuple(PROVIDERS))
        self._file = PolicyFile(Path(policy), kept, read, self) if policy else None

    @property
    def banner(self) -> str:
        """Some HTML, clean; `""`: nothing is said."""
        return self._file.policy.pages.banner if self._file else ""

    def policy_read(self, *, well: bool) -> None:
        """See `launcher.gate.file.Told`: nobody counts it here."""

    def read_first(self, prepare: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        """`BaseHandler.prepare`, with a look at the file where a page may be made."""

        async def prepared(handler: Any) -> None:
            if self._file and not isinstance(handler, APIHandler):
                await self._file.look()
            await prepare(handler)

        return prepared
