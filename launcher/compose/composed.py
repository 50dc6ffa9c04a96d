"""Every part of one launcher."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launcher.builds.noted import Noted
from launcher.compose.builds import Builds, BuildWorker
from launcher.compose.common import Common, new_id
from launcher.compose.repos import Repos
from launcher.compose.sessions import Sessions
from launcher.explain import explain
from launcher.gate.tickets import Ticketed
from launcher.launch import Launch, Stages
from launcher.launches import Launches
from launcher.web.counting import CountedStory
from launcher.web.launch_log import LaunchEnds

if TYPE_CHECKING:
    from launcher.given import Given


class Composed:
    """Every part of one launcher."""

    def __init__(self, given: Given) -> None:
        """Put them together; nothing runs yet."""
        self.common = Common(given, self._policy_changed)
        self.asked = BuildWorker(given)
        self.repos = Repos(self.common, self.asked.archive)
        self.builds = Builds(self.common, self.asked, self.repos.checkouts)
        self.sessions = Sessions(self.common, self.repos.checkouts)
        self.launches = self._launches()

    def _launches(self) -> Launches:
        """What leads from a link to a session."""
        common, builds, sessions = self.common, self.builds, self.sessions
        stages = Stages(
            common.disks,
            self.repos.resolver,
            self.repos.checkouts,
            Noted(builds.detector, common.rows.origins),
            builds.archiving if self.asked.archive else builds.images,
            builds.pushing,
            sessions.projects,
            sessions.places,
            sessions.noticed,
        )
        return Launches(
            Ticketed(CountedStory(Launch(stages), common.metrics), sessions.places),
            common.rows.launches,
            common.rows.logs,
            explain,
            clock=time.time,
            new_id=new_id,
            ends=LaunchEnds(common.metrics, common.launch_log),
        )

    def _policy_changed(self) -> None:
        self.builds.limited.changed()
