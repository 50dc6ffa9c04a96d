"""From an image to a session: projects and their workspaces, places, the hub, and what the hub is answered."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from launcher.disks import DATA
from launcher.explain import explain
from launcher.gate.places import Places, Rules
from launcher.gate.taken import Taken
from launcher.operate.egress import note
from launcher.operate.installation import CERTIFICATES
from launcher.projects.projects import WorkspaceProjects
from launcher.projects.volumes import HelperVolumes
from launcher.projects.watch import Watch
from launcher.sessions.awaited import Awaited
from launcher.sessions.hub import HubClient
from launcher.sessions.noticed import Noticed
from launcher.sessions.resolve import Limits, Resolve, Site
from launcher.sessions.sessions import HubSessions

if TYPE_CHECKING:
    from launcher.compose.common import Common
    from launcher.events import Failed
    from launcher.model import Project
    from launcher.repos.checkouts import GitCheckouts


class Sessions:
    """Projects, and the servers of them that run."""

    def __init__(self, common: Common, checkouts: GitCheckouts) -> None:
        """Nothing is asked yet."""
        self._common = common
        given, settings, data, rows = common.given, common.settings, common.data, common.rows
        self.volumes = HelperVolumes(
            data / "run" / "volumes" / "helper.sock", data / "checkouts", data / "workspaces", given.id
        )
        self.projects = WorkspaceProjects(rows.projects, rows.images, self.volumes, checkouts)
        self.hub = HubClient(given.hub_api, given.secrets.launcher_token)
        self.sessions = HubSessions(
            self.hub, settings.session_start_timeout_s, int(settings.session_token_hours * 3600), stopped=self._ended
        )
        self.places = Places(
            Taken(self.sessions, rows.projects, time.monotonic, common.aliases.one_name),
            Rules(lambda: common.policy().sessions, common.gate.has_high_quota),
            rows.queue,
            common.metrics,
            clock=time.time,
        )
        self.watch = Watch(
            settings.workspace_max_bytes,
            self.sessions,
            self.volumes,
            partial(common.disks.free, DATA),
            common.metrics,
        )
        self.awaited = Awaited(self.sessions, time.time)
        self.noticed = Noticed(self.awaited, self._notice)

    def resolve(self) -> Resolve:
        """Who answers the hub what a spawn may have."""
        settings = self._common.settings
        limits = Limits(
            settings.session_memory, settings.session_cpus, settings.session_processes, settings.session_tmp_bytes
        )
        site = Site(settings.base_url, CERTIFICATES.exists(), settings.session_runtime, settings.allow_origin)
        return Resolve(self._project, self.volumes.volume, limits, site, self._walls, self.awaited.launch_of)

    async def _project(self, project: str) -> Project | None:
        record = await self._common.rows.projects.get(project)
        return None if record is None else record.project

    def _ended(self, project: str) -> None:
        self.places.ended(project)

    def _notice(self, project: str) -> Failed | None:
        error = self.watch.beginning(project)
        return None if error is None else explain(error)

    def _walls(self) -> bool:
        return self._common.settings.egress == "open" or note.read(self._common.data / "run").ok
