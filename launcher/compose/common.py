"""What every part of a launcher is given: rows, the operator's policy, disks, numbers."""

from __future__ import annotations

import secrets
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.disks import DATA, ENGINE, Disks
from launcher.gate.file import PolicyFile
from launcher.gate.gate import Gate
from launcher.gate.reading import parse
from launcher.given import OWN
from launcher.operate.installation import POLICY, policy_path
from launcher.repos.aliases import Aliases
from launcher.repos.provider import sites_of
from launcher.repos.providers import PROVIDERS
from launcher.store.credentials import CredentialRows
from launcher.store.database import Database
from launcher.store.durations import Durations
from launcher.store.images import EnvironmentRows, ImageRows
from launcher.store.launches import BuildRows, LaunchRows
from launcher.store.leases import LeaseRows
from launcher.store.logs import EventLogs
from launcher.store.origins import OriginRows
from launcher.store.projects import ProjectRows
from launcher.store.queue import QueueRows
from launcher.store.shelf import Shelf
from launcher.store.uses import UseRows
from launcher.web.launch_log import LaunchLog, Sink
from launcher.web.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.gate.policy import Policy
    from launcher.given import Given


class Rows:
    """What is kept in the database."""

    def __init__(self, url: str) -> None:
        """Nothing is opened yet."""
        self.database = database = Database(url)
        self.logs = EventLogs(database, time.time)
        self.launches = LaunchRows(database)
        self.builds = BuildRows(database)
        self.images = ImageRows(database, time.time)
        self.environments = EnvironmentRows(database)
        self.projects = ProjectRows(database, time.time)
        self.shelf = Shelf(database, time.time)
        self.leases = LeaseRows(database, time.time)
        self.credentials = CredentialRows(database)
        self.queue = QueueRows(database, self.logs.writer)
        self.origins = OriginRows(database)
        self.uses = UseRows(database)
        self.durations = Durations(database, time.monotonic)


class Common:
    """What every part is given."""

    def __init__(self, given: Given, policy_changed: Callable[[], None]) -> None:
        """Nothing runs yet. `policy_changed` is called whenever the operator has chosen otherwise."""
        self.given, self.settings, self.data = given, given.settings, given.data
        self.sites = sites_of(self.settings)
        self.metrics = Metrics(self.settings.metrics_repositories)
        self.launch_log = LaunchLog(Sink(self.settings.launch_log, self.data / OWN), self.settings.base_url)
        self.rows = Rows(self.settings.database_url)
        self.policy_file = PolicyFile(
            policy_path(self.data, self.settings),
            self.data / OWN / f"{POLICY}.kept",
            partial(parse, providers=tuple(PROVIDERS)),
            self.metrics,
            policy_changed,
        )
        self.aliases = Aliases(self.sites)
        self.gate = Gate(self.policy, time.monotonic, self.aliases)
        self.disks = Disks(_places(given), self.settings.disk_floor_bytes)

    def policy(self) -> Policy:
        """What the operator has chosen, as of now."""
        return self.policy_file.policy


def new_id() -> str:
    """A name that nothing has had before."""
    return secrets.token_hex(16)


def _places(given: Given) -> dict[str, Path]:
    """Whose disks are watched."""
    engine = {ENGINE: Path(given.engine_root)} if given.engine_root else {}
    return {DATA: given.data, **engine}
