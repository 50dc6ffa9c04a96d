"""Sets the rules before the first session starts, looks after them, and removes them when no session is left.

Fails closed: while the rules are not in place no session starts (the launcher reads `run/egress.json`), unless the
operator chose `egress = "open"`. Sessions that run go on; what is missing is set again at the next look.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.operate.egress import filter as packets
from launcher.operate.egress import machine, note
from launcher.operate.egress.policy import policy
from launcher.operate.egress.rules import Side
from launcher.operate.egress.table import Endpoint
from launcher.operate.installation import InstallationError

if TYPE_CHECKING:
    from docker import DockerClient

    from launcher.operate.egress.table import Policy
    from launcher.operate.installation import Installation
    from launcher.settings import Settings

log = logging.getLogger(__name__)
LOOK_S = 30.0


@dataclass(frozen=True, slots=True)
class Bridge:
    """The sessions' bridge, and the hub's place on it."""

    interface: str
    gateway: str
    hub_port: int
    others: tuple[str, ...] = ()
    """Interfaces of other bridges with strangers on them, to whom nothing of this machine is open."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """As the rules know them."""
        hub = Endpoint(ipaddress.ip_address(self.gateway), self.hub_port, "tcp", "the hub")
        return Side(self.interface, (hub,)), *map(Side, self.others)


class Guard:
    """The rules of one run of the service."""

    def __init__(self, client: DockerClient, installation: Installation, settings: Settings, bridge: Bridge) -> None:
        """Nothing is set yet."""
        self._client, self._installation, self._settings, self._bridge = client, installation, settings, bridge
        self._filter: packets.PacketFilter | None = None
        self._policy: Policy | None = None
        self._state = ""

    async def install(self) -> str:
        """Set the rules. Returns a sentence that says so. Raises InstallationError with what to do."""
        if self._settings.egress == "open":
            await self._remove_old()
            self._note(ok=True, seen="open, as the setting egress says")
            return "Sessions reach whatever this machine reaches, as the setting egress says."
        try:
            self._filter = await asyncio.to_thread(
                packets.choose, self._client, self._installation.id, self._bridge.interface
            )
            await self._set()
        except packets.FilterError as error:
            self._note(ok=False, seen=error.reason)
            raise InstallationError(
                f"The rules that close private networks to sessions could not be set ({error.reason}). Install "
                'nftables and start the service as root, or choose egress = "open" to let sessions reach everything.'
            ) from None
        return f"Sessions reach no private network, no mail server and nothing of this machine ({self._filter.name})."

    async def watch(self) -> None:
        """Look every half minute whether they are as they were set; set them again if not. Runs until cancelled."""
        while self._filter is not None:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> bool:
        """Look once. True if all was as it was set."""
        if self._filter is None:
            return True
        try:
            if await asyncio.to_thread(self._filter.state) == self._state:
                self._note(ok=True, seen=self._filter.name)
                return True
            log.warning("the egress rules of sessions were changed or removed; they are set again")
            await self._set()
        except packets.FilterError as error:
            log.error("the egress rules of sessions cannot be set: %s; no session starts until they are", error)  # noqa: TRY400  # a sentence, no traceback
            self._note(ok=False, seen=error.reason)
        return False

    async def remove(self) -> None:
        """Remove them, if none of our sessions is left. What cannot be removed is logged, and replaced by the next."""
        if self._filter is None:
            return
        try:
            if not await asyncio.to_thread(sessions_left, self._client, self._installation):
                await asyncio.to_thread(self._filter.remove)
                note.remove(self._installation.path("run"))
        except packets.FilterError as error:
            log.warning("the egress rules of sessions could not be removed: %s", error)

    async def _set(self) -> None:
        if self._filter is None:
            return
        if self._policy is None:
            own = await asyncio.to_thread(machine.endpoints)
            self._policy = policy(self._settings, own)
        await asyncio.to_thread(self._filter.install, self._policy, self._bridge.sides)
        self._state = await asyncio.to_thread(self._filter.state)
        self._note(ok=True, seen=self._filter.name)

    async def _remove_old(self) -> None:
        """Of an earlier run that had them."""
        try:
            old = await asyncio.to_thread(packets.choose, self._client, self._installation.id, self._bridge.interface)
            await asyncio.to_thread(old.remove)
        except packets.FilterError:
            return

    def _note(self, *, ok: bool, seen: str) -> None:
        note.write(self._installation.path("run"), note.Note(ok, seen))


def sessions_left(client: DockerClient, installation: Installation) -> bool:
    """Whether a session of this installation runs; True where the engine cannot say."""
    try:
        labels = [installation.label, "repolaunch.kind=session"]
        return bool(client.containers.list(filters={"label": labels}))
    except packets.FOREIGN:
        return True
