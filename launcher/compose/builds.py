"""From an environment to an image by digest: the build worker, the layers before it, and what lets images go."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launcher.builds.archiving import Archiving
from launcher.builds.collecting import Collecting, Launching, Rules, Turns
from launcher.builds.forgetting import Forgetting
from launcher.builds.holdings import Holder
from launcher.builds.layers import Cached, Limited, Shared
from launcher.builds.recorded import Pushing, Recorded
from launcher.builds.remembered import Remembered
from launcher.builds.run import Builders, Engine, Registry
from launcher.builds.verbs import WorkerBuild, WorkerInspect, WorkerPush
from launcher.builds.worker import Worker
from launcher.compose.common import new_id
from launcher.explain import explain
from launcher.web.counting import CountedBuild

if TYPE_CHECKING:
    from launcher.compose.common import Common
    from launcher.given import Given
    from launcher.repos.checkouts import GitCheckouts


class BuildWorker:
    """Those who are asked through the build worker's socket."""

    def __init__(self, given: Given) -> None:
        """Nothing is asked yet."""
        settings = given.settings
        self.worker = Worker(given.data / "run" / "worker" / "worker.sock")
        self.builders = Builders(self.worker, build_s=int(settings.build_timeout_s))
        self.engine = Engine(self.worker)
        self.registry = Registry(self.worker, given.registry, settings.registry_prefix)
        self.archive = self.builders if settings.archive_max_bytes else None
        """Where what is launched is kept; None: nowhere."""


class Builds:
    """One build per key, from the outside in: `launcher/builds/layers.py`."""

    def __init__(self, common: Common, asked: BuildWorker, checkouts: GitCheckouts) -> None:
        """Nothing is built yet."""
        self._common, self._asked, self._checkouts = common, asked, checkouts
        rows = common.rows
        self.detector = Remembered(asked.builders, rows.environments)
        self.limited = Limited(CountedBuild(WorkerBuild(asked.builders, checkouts), common.metrics), self._at_once)
        self.recorded = Recorded(
            self.limited, rows.builds, rows.images, rows.logs, explain, clock=time.time, new_id=new_id
        )
        inspect, push = WorkerInspect(asked.builders, checkouts), WorkerPush(asked.builders, asked.registry)
        cached = Cached(self.recorded, asked.registry, inspect, asked.engine, rows.images, explain)
        self.pushing = Pushing(cached, push, rows.images, rows.builds, rows.logs, explain, clock=time.time)
        self._turns = Turns()
        self.images = Shared(Launching(self.pushing, rows.images, self._turns))
        self.archiving = Archiving(self.images, checkouts, asked.builders)
        self.collecting = self._collecting()
        self.forgetting = self._forgetting()

    def _at_once(self) -> int:
        most = self._common.settings.build_limit
        return min(self._common.policy().builds.at_once or most, most)

    def _collecting(self) -> Collecting:
        common = self._common
        return Collecting(
            Holder(self._asked.worker),
            common.rows.uses,
            self._turns,
            Rules.of(common.settings, lambda: common.policy().pins),
            common.metrics,
            clock=time.time,
            forgotten=self.archiving.forget,
        )

    def _forgetting(self) -> Forgetting:
        common = self._common
        return Forgetting(
            Holder(self._asked.worker),
            (common.rows.uses, common.rows.origins),
            self._turns,
            self._checkouts,
            pins=lambda: common.policy().pins,
            forgotten=self.archiving.forget,
        )
