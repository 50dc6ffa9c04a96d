"""The files of commits on disk, shared between launches.

Simultaneous leases of one commit share one folder and one fetch. The fetch belongs to the folder, not to who asked
first: whoever leaves, the others get their files. A few folders nobody leases are kept, so that the next launch of a
link fetches nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from launcher.model import Checkout
from launcher.repos.archived import fetched
from launcher.repos.budget import Limits
from launcher.repos.fetch import Fetcher
from launcher.repos.folders import remove

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from launcher.model import ResolvedRepo
    from launcher.repos.access import Keyring
    from launcher.repos.addresses import AddressPolicy
    from launcher.repos.archived import Archive

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays on disk although nobody leases it: the most recently used, up to both limits."""

    folders: int = 8
    bytes: int = 4 * 2**30
    grace_s: float = 5
    """Seconds that a fetch goes on although everybody who wanted it has left."""


@dataclass(eq=False)
class _Shared:
    """One folder. `task` ends with what it holds: the checkout and its size in bytes."""

    path: Path
    task: asyncio.Task[tuple[Checkout, int]]
    leases: int = 0
    used: float = 0
    removal: asyncio.TimerHandle | None = field(default=None)

    @property
    def good(self) -> bool:
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None

    @property
    def size(self) -> int:
        return self.task.result()[1] if self.good else 0


class GitCheckouts:
    """A `stages.Checkouts` on this machine's disk."""

    def __init__(
        self,
        root: Path,
        policy: AddressPolicy,
        allowed_protocols: tuple[str, ...],
        limits: Limits | None = None,
        keep: Keep | None = None,
        clock: Callable[[], float] = time.monotonic,
        archive: Archive | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        """`root` belongs to this object alone; call `recover` before the first `open`.

        `archive` has the files of commits that their repository does not give; `keyring` opens what is private.
        """
        self._archive = archive
        self._root = root
        self._fetcher = Fetcher(policy, allowed_protocols, limits or Limits(), keyring)
        self._keep = keep or Keep()
        self._clock = clock
        self._shared: dict[str, _Shared] = {}
        self._removals: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)

    def mind(self, leads_to: Callable[[str], None]) -> None:
        """Tell it each address that a repository or a host leads on to; what it raises ends the checkout."""
        self._fetcher.mind(leads_to)

    async def recover(self) -> None:
        """Remove what a process that was killed left behind."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._root.chmod(0o755)
        leftovers = [path for path in self._root.iterdir() if path.name not in {one.path.name for one in self._all()}]
        for path in leftovers:
            await asyncio.to_thread(remove, path)
        if leftovers:
            log.info("removed %d checkouts of an earlier run", len(leftovers))

    @contextlib.asynccontextmanager
    async def open(self, repo: ResolvedRepo) -> AsyncIterator[Checkout]:
        """See `stages.Checkouts.open`.

        Raises RepositoryTooLarge, CheckoutRefused, SubmoduleFailed, RefMissing (the commit is gone), and what the
        resolver raises.
        """
        key = _folder_key(repo)
        shared = self._shared.get(key)
        if shared is None:
            shared = self._begin(key, repo)
        shared.leases += 1
        if shared.removal is not None:
            shared.removal.cancel()
            shared.removal = None
        try:
            checkout, _ = await asyncio.shield(shared.task)
            await self._fetcher.check(checkout)
            known = checkout.repo
            found = replace(repo, commit=known.commit, archived=known.archived, private=known.private)
            yield Checkout(found, checkout.path, checkout.tree)
        finally:
            shared.leases -= 1
            shared.used = self._clock()
            self._left(key, shared)

    def kept(self, url: str) -> int:
        """How many folders of this repository are kept though nobody leases them."""
        return len(self._idle_of(url))

    async def forget(self, url: str) -> None:
        """Remove those."""
        for key, one in self._idle_of(url):
            self._forget(key, one)
        await asyncio.gather(*self._removals, return_exceptions=True)

    def _idle_of(self, url: str) -> list[tuple[str, _Shared]]:
        idle = [(key, one) for key, one in self._shared.items() if one.leases == 0 and one.good]
        return [(key, one) for key, one in idle if one.task.result()[0].repo.url == url]

    def _begin(self, key: str, repo: ResolvedRepo) -> _Shared:
        path = self._root / f"{key}-{next(self._numbers)}"
        getting = fetched(self._fetcher, self._archive, repo, path)
        task = asyncio.create_task(getting, name=f"checkout {path.name}")
        shared = self._shared[key] = _Shared(path, task)
        task.add_done_callback(lambda _: self._ended(key, shared))
        return shared

    def _ended(self, key: str, shared: _Shared) -> None:
        """A fetch that went wrong is forgotten at once: the next launch tries again."""
        if not shared.good:
            self._forget(key, shared)

    def _left(self, key: str, shared: _Shared) -> None:
        if shared.leases:
            return
        if not shared.task.done():
            loop = asyncio.get_running_loop()
            shared.removal = loop.call_later(self._keep.grace_s, shared.task.cancel)
            return
        if not shared.good:
            self._forget(key, shared)
        self._tidy()

    def _tidy(self) -> None:
        """Remove what is not leased and passes the limits, the longest unused first."""
        idle = sorted(
            ((key, one) for key, one in self._shared.items() if one.leases == 0 and one.good),
            key=lambda pair: pair[1].used,
        )
        size = sum(one.size for _, one in idle)
        while idle and (len(idle) > self._keep.folders or size > self._keep.bytes):
            key, oldest = idle.pop(0)
            size -= oldest.size
            self._forget(key, oldest)

    def _forget(self, key: str, shared: _Shared) -> None:
        if self._shared.get(key) is shared:
            del self._shared[key]
        removal = asyncio.get_running_loop().create_task(asyncio.to_thread(remove, shared.path))
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)

    def _all(self) -> list[_Shared]:
        return list(self._shared.values())

    async def close(self) -> None:
        """Stop the fetches under way and wait for removals; kept folders stay until `recover`."""
        tasks = [one.task for one in self._all() if not one.task.done()]
        for one in self._all():
            if one.removal is not None:
                one.removal.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self._removals, return_exceptions=True)
        self._fetcher.close()


def _folder_key(repo: ResolvedRepo) -> str:
    """Equal key, one folder. What is private is each person's own: fetched with their own credential."""
    version = repo.record.id if repo.record else repo.commit
    whose = f"\0{repo.private.account}" if repo.private else ""
    return hashlib.sha256(f"{repo.url}\0{version}\0{repo.name}{whose}".encode()).hexdigest()[:16]
