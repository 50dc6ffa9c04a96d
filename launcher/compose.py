"""Settings → wiring → listen. The one place where the launcher's parts are put together, by hand.

`python -m launcher.compose` is the launcher's process; `given.py` says what it is started with.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import secrets
import signal
import sys
import time
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builders import logs
from launcher import __version__
from launcher.builds.archiving import Archiving
from launcher.builds.collecting import Collecting, Launching, Rules, Turns
from launcher.builds.forgetting import Forgetting
from launcher.builds.holdings import Holder
from launcher.builds.layers import Cached, Limited, Shared
from launcher.builds.noted import Noted
from launcher.builds.recorded import Pushing, Recorded
from launcher.builds.remembered import Remembered
from launcher.builds.run import Builders, Engine, Registry
from launcher.builds.verbs import WorkerBuild, WorkerInspect, WorkerPush
from launcher.builds.worker import Worker
from launcher.credentials.keyring import Keyring, applications
from launcher.credentials.oauth import OAuth
from launcher.credentials.vault import Vault
from launcher.disks import DATA, ENGINE, Disks
from launcher.explain import explain
from launcher.gate.file import PolicyFile
from launcher.gate.gate import Gate
from launcher.gate.places import Places
from launcher.gate.places import Rules as PlaceRules
from launcher.gate.reading import parse
from launcher.gate.taken import Taken
from launcher.gate.tickets import Ticketed
from launcher.given import OWN, PREFIX, given
from launcher.launch import Launch, Stages
from launcher.launches import Launches
from launcher.operate.egress import note
from launcher.operate.installation import CERTIFICATES, POLICY, policy_path, write_private
from launcher.projects.projects import WorkspaceProjects
from launcher.projects.volumes import HelperVolumes
from launcher.projects.watch import Watch
from launcher.rates import LOOPBACK, Rates
from launcher.repos import aliases
from launcher.repos.addresses import AddressPolicy
from launcher.repos.archived import ArchivedResolver
from launcher.repos.budget import Limits as CheckoutLimits
from launcher.repos.checkouts import GitCheckouts
from launcher.repos.private import PrivateResolver
from launcher.repos.provider import sites_of
from launcher.repos.providers import PROVIDERS, parse_spec, parse_url
from launcher.repos.recognise import folders, recognise
from launcher.repos.records.api import Api
from launcher.repos.records.resolver import ByProvider, RecordResolver
from launcher.repos.resolver import GitResolver
from launcher.sessions.awaited import Awaited
from launcher.sessions.hub import HubClient
from launcher.sessions.noticed import Noticed
from launcher.sessions.resolve import Limits as SessionLimits
from launcher.sessions.resolve import Resolve, Site
from launcher.sessions.sessions import HubSessions
from launcher.store.credentials import CredentialRows
from launcher.store.database import Database
from launcher.store.durations import Durations
from launcher.store.images import EnvironmentRows, ImageRows
from launcher.store.launches import BuildRows, LaunchRows
from launcher.store.logs import EventLogs
from launcher.store.origins import OriginRows
from launcher.store.projects import ProjectRows
from launcher.store.queue import QueueRows
from launcher.store.uses import UseRows
from launcher.tasks import Tasks
from launcher.web.app import make_app
from launcher.web.build_tokens import BuildTokens
from launcher.web.context import Links, Web
from launcher.web.counting import CountedBuild, CountedStory
from launcher.web.health import Health
from launcher.web.hub import Client, OAuthHub
from launcher.web.launch_log import LaunchEnds, LaunchLog, Sink
from launcher.web.looking import Looking
from launcher.web.metrics import Metrics
from launcher.web.serving import BACKLOG, serve
from launcher.web.serving import stop as stop_serving

if TYPE_CHECKING:
    from launcher.given import Given
    from launcher.model import Project
    from launcher.repos.provider import Provider
    from launcher.settings import Settings

log = logging.getLogger("launcher.compose")
BINDERHUB = "0.2.0"
DIST = Path(__file__).parents[1] / "frontend" / "dist"


class Composed:
    """Every part of one launcher."""

    def __init__(self, given: Given) -> None:
        """Put them together; nothing runs yet."""
        self._given = given
        settings, data = given.settings, given.data
        self.metrics = Metrics(settings.metrics_repositories)
        self.launch_log = LaunchLog(Sink(settings.launch_log, data / OWN), settings.base_url)
        self.site_policy = PolicyFile(
            policy_path(data, settings),
            data / OWN / f"{POLICY}.kept",
            partial(parse, providers=tuple(PROVIDERS)),
            self.metrics,
            self._policy_changed,
        )
        self.gate = Gate(
            lambda: self.site_policy.policy, time.monotonic, partial(aliases.names, sites=sites_of(settings))
        )
        self.database = Database(settings.database_url)
        self.logs = EventLogs(self.database, time.time)
        self.image_rows, self.build_rows = ImageRows(self.database, time.time), BuildRows(self.database)
        self.project_rows = ProjectRows(self.database, time.time)
        self.policy = policy = AddressPolicy(settings.allowed_networks, settings.allowed_endpoints)
        limits = CheckoutLimits(
            settings.checkout_max_bytes,
            settings.checkout_max_files,
            settings.checkout_timeout_s,
            settings.checkout_max_submodules,
        )
        self.worker = Worker(data / "run" / "worker" / "worker.sock")
        self.builders = Builders(self.worker, build_s=int(settings.build_timeout_s))
        archive = self.builders if settings.archive_max_bytes else None
        vault = Vault(given.secrets.credentials_key, given.secrets.namespace_secret)
        cloned = partial(parse_url, sites=sites_of(settings))
        self.keyring = Keyring(
            CredentialRows(self.database), vault, time.time, lambda text: cloned(text).url, settings.ssh_known_hosts
        )
        self.oauth = self.keyring.oauth = OAuth(applications(settings), time.time)
        self.checkouts = GitCheckouts(
            data / "checkouts", policy, settings.allowed_protocols, limits, archive=archive, keyring=self.keyring
        )
        self.engine = Engine(self.worker)
        self.registry = Registry(self.worker, given.registry, settings.registry_prefix)
        self.volumes = HelperVolumes(
            data / "run" / "volumes" / "helper.sock", data / "checkouts", data / "workspaces", given.id
        )
        self.hub = HubClient(given.hub_api, given.secrets.launcher_token)
        self.sessions = HubSessions(
            self.hub,
            settings.session_start_timeout_s,
            int(settings.session_token_hours * 3600),
            stopped=self._session_ended,
        )
        self.places = Places(
            Taken(self.sessions, self.project_rows, time.monotonic),
            PlaceRules(lambda: self.site_policy.policy.sessions, self.gate.has_high_quota),
            QueueRows(self.database, self.logs.writer),
            self.metrics,
            clock=time.time,
        )
        self.awaited = Awaited(self.sessions, time.time)
        self.projects = WorkspaceProjects(self.project_rows, self.image_rows, self.volumes, self.checkouts)
        self._compose_images()
        self._compose_launches(archive)

    def _compose_launches(self, archive: Builders | None) -> None:
        """What leads from a link to a session. `archive`: where what is launched is kept; None: nowhere."""
        given, policy = self._given, self.policy
        settings, data = given.settings, given.data
        asking = (policy, settings.allowed_protocols, settings.resolve_timeout_s, data / "checkouts")
        self.api = Api(*asking, settings.provider_fresh_s)
        self.resolver = GitResolver(*asking, known_hosts=settings.ssh_known_hosts)
        records = frozenset(row.id for row in PROVIDERS.values() if row.is_record)
        self.finder = ByProvider(self.resolver, RecordResolver(self.api, sites_of(settings)), records)
        resolver = PrivateResolver(self.finder, self.resolver, self.keyring)
        self.disks = Disks(_places(given), settings.disk_floor_bytes)
        self.watch = Watch(
            settings.workspace_max_bytes,
            self.sessions,
            self.volumes,
            partial(self.disks.free, DATA),
            self.metrics,
        )
        self.detector = Remembered(self.builders, EnvironmentRows(self.database))
        stages = Stages(
            self.disks,
            ArchivedResolver(resolver, archive) if archive else resolver,
            self.checkouts,
            Noted(self.detector, self.origins),
            self.archiving if archive else self.images,
            self.pushing,
            self.projects,
            self.places,
            Noticed(self.awaited, self._notice),
        )
        self.launches = Launches(
            Ticketed(CountedStory(Launch(stages), self.metrics), self.places),
            LaunchRows(self.database),
            self.logs,
            explain,
            clock=time.time,
            new_id=_new_id,
            ends=LaunchEnds(self.metrics, self.launch_log),
        )

    def _compose_images(self) -> None:
        build = CountedBuild(WorkerBuild(self.builders, self.checkouts), self.metrics)
        most = self._given.settings.build_limit
        self.limited = Limited(build, lambda: min(self.site_policy.policy.builds.at_once or most, most))
        self.recorded = recorded = Recorded(
            self.limited,
            self.build_rows,
            self.image_rows,
            self.logs,
            explain,
            clock=time.time,
            new_id=_new_id,
        )
        inspect = WorkerInspect(self.builders, self.checkouts)
        cached = Cached(recorded, self.registry, inspect, self.engine, self.image_rows, explain)
        push = WorkerPush(self.builders, self.registry)
        self.pushing = Pushing(cached, push, self.image_rows, self.build_rows, self.logs, explain, clock=time.time)
        turns, uses = Turns(), UseRows(self.database)
        self.origins = OriginRows(self.database)
        self.images = Shared(Launching(self.pushing, self.image_rows, turns))
        self.archiving = Archiving(self.images, self.checkouts, self.builders)
        self.collecting = Collecting(
            Holder(self.worker),
            uses,
            turns,
            Rules.of(self._given.settings, lambda: self.site_policy.policy.pins),
            self.metrics,
            clock=time.time,
            forgotten=self.archiving.forget,
        )
        self.forgetting = Forgetting(
            Holder(self.worker),
            (uses, self.origins),
            turns,
            self.checkouts,
            pins=lambda: self.site_policy.policy.pins,
            forgotten=self.archiving.forget,
        )

    def web(self) -> Web:
        """What the handlers need."""
        settings, known = self._given.settings, self._given.secrets
        links = sites_of(settings)
        client = Client(
            self._given.hub_api, known.launcher_token, "launcher", "service-launcher", base=settings.base_path
        )
        return Web(
            launches=self.launches,
            projects=self.project_rows,
            sessions=self.sessions,
            credentials=self.keyring,
            links=Links(
                partial(parse_spec, sites=links),
                partial(recognise, sites=links),
                partial(folders, sites=links),
                [display_config(row) for row in PROVIDERS.values()],
            ),
            hub=OAuthHub(client, time.monotonic, doubt=self.disks.check_database),
            resolve=self._resolve(),
            health=Health(self._checks(), time.monotonic),
            metrics=self.metrics,
            launch_log=self.launch_log,
            measure=partial(self.disks.measure, self.metrics.disk_free),
            storage=self.watch,
            collection=self.collecting,
            forgetting=self.forgetting,
            secret=bytes.fromhex(known.cookie_secret),
            operator_token=known.operator_token,
            internal_token=known.resolve_secret,
            public_url=settings.base_url,
            allow_origin=settings.allow_origin,
            wildcard=bool(settings.wildcard_url),
            guests=settings.guests,
            build_tokens=BuildTokens(
                bytes.fromhex(known.cookie_secret),
                Rates(lambda: self.site_policy.policy.rates.per_address, time.monotonic),
                time.time,
            ),
            gate=self.gate,
            looking=Looking(self.finder, Rates(settings.lookups_per_address, time.monotonic)),
            queue=self.places,
            limits=lambda: self.site_policy.policy,
            trusted_proxies=(*LOOPBACK, *settings.trusted_proxies),
            dist=DIST,
            versions=_versions(),
            durations=Durations(self.database, time.monotonic),
            site_limits=_limits(settings),
        )

    def _resolve(self) -> Resolve:
        settings = self._given.settings

        async def find(project: str) -> Project | None:
            record = await self.project_rows.get(project)
            return None if record is None else record.project

        limits = SessionLimits(
            settings.session_memory, settings.session_cpus, settings.session_processes, settings.session_tmp_bytes
        )
        site = Site(settings.base_url, CERTIFICATES.exists(), settings.session_runtime, settings.allow_origin)
        return Resolve(find, self.volumes.volume, limits, site, self._walls, self.awaited.launch_of)

    def _session_ended(self, project: str) -> None:
        self.places.ended(project)

    def _policy_changed(self) -> None:
        self.limited.changed()

    def _notice(self, project: str) -> str:
        error = self.watch.beginning(project)
        if error is None:
            return ""
        told = explain(error)
        return f"{told.title}. {told.seen} {told.todo}"

    def _walls(self) -> bool:
        return self._given.settings.egress == "open" or note.read(self._given.data / "run").ok

    def _checks(self) -> dict[str, Any]:
        return {
            "JupyterHub API": self.hub.version,
            "Pod quota": self._in_use,
            "build worker": self.worker.health,
            "Docker registry": self.registry.health,
            "Docker engine": self.engine.health,
            "database": self.database.check,
            "policy file": self.site_policy.check,
            "volume helper": self.volumes.health,
            **{f"disk of the {place}": partial(self.disks.check_one, place) for place in self.disks.places},
        }

    async def _in_use(self) -> dict[str, int | None]:
        """What runs, in the words of those who share visitors out between BinderHubs."""
        sessions, builds = len(await self.sessions.list()), self.metrics.builds_running
        limit = self.site_policy.policy.sessions.in_all or None
        return {"total_pods": sessions + builds, "build_pods": builds, "user_pods": sessions, "quota": limit}

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; what is under way is kept for the next process to go on with."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self._note_imports)
        async with AsyncExitStack() as stack:
            await self._start(stack)
            web = self.web()
            server = serve(make_app(web))
            server.listen(self._given.port, "127.0.0.1", backlog=BACKLOG)
            # Followers are gone before what they follow is closed.
            stack.push_async_callback(stop_serving, server, web)
            # What is here now stays: the collector need not look at it again and again while people wait.
            gc.collect()
            gc.freeze()
            log.warning("the launcher listens")
            await stop.wait()

    async def _start(self, stack: AsyncExitStack) -> None:
        """Open what is needed, the first last to be closed, and go on with what another process left."""
        stack.push_async_callback(self.database.close)
        await self.database.check()
        await self.site_policy.look()
        stack.push_async_callback(self.logs.close)
        stack.callback(self.hub.close)
        stack.callback(self.policy.close)
        stack.callback(self.resolver.close)
        stack.callback(self.oauth.close)
        stack.callback(self.api.close)
        await self.checkouts.recover()
        stack.push_async_callback(self.checkouts.close)
        stack.push_async_callback(self.pushing.close)
        stack.push_async_callback(self.images.close)
        stack.push_async_callback(self.archiving.close)
        stack.push_async_callback(self.collecting.close)
        stack.push_async_callback(self.forgetting.close)
        stack.push_async_callback(self.detector.close)
        stack.push_async_callback(self.awaited.close)
        stack.push_async_callback(self.launches.close)
        stack.callback(self.awaited.leave)
        stack.callback(self.places.leave)
        await self.recorded.recover()
        await self.pushing.recover()
        await self.places.recover()
        await self.launches.recover()
        tasks = Tasks()
        stack.push_async_callback(tasks.close)
        tasks.start(self._settle(), "builds that nobody went on with")
        tasks.start(self.watch.run(), "watch of the workspaces")
        tasks.start(self.site_policy.run(), "watch of the policy file")
        tasks.start(self.places.run(), "who waits for a place")
        tasks.start(self.collecting.run(), "collecting what nobody uses")

    async def _settle(self) -> None:
        await self.launches.settled()
        await self.recorded.forsake()

    def _note_imports(self) -> None:
        """What is imported, as a note in the data folder: the launcher's idle memory is a promise."""
        names = sorted({name.partition(".")[0] for name in sys.modules})
        write_private(self._given.data / OWN / "imported.json", json.dumps(names))


def _places(given: Given) -> dict[str, Path]:
    """Whose disks are watched."""
    engine = {ENGINE: Path(given.engine_root)} if given.engine_root else {}
    return {DATA: given.data, **engine}


def _limits(settings: Settings) -> dict[str, float]:
    """Those that authors and visitors want to know."""
    return {
        "session_memory": settings.session_memory,
        "session_cpus": settings.session_cpus,
        "workspace": settings.workspace_max_bytes,
        "repository": settings.checkout_max_bytes,
        "build_minutes": round(settings.build_timeout_s / 60),
    }


def _versions() -> dict[str, Any]:
    """As BinderHub tells them, and ours: which of its versions our interface is that of stands before the `+`."""
    return {
        "builder_info": {"repo2docker-version": version("jupyter-repo2docker")},
        "binderhub": f"{BINDERHUB}+repolaunch.{__version__}",
        "repolaunch": __version__,
        "python": sys.version.split()[0],
    }


def _new_id() -> str:
    return secrets.token_hex(16)


def display_config(row: Provider) -> dict[str, Any]:
    """A provider as BinderHub's `/api/repoproviders` shows it."""
    return {
        "displayName": row.name,
        "id": row.id,
        "spec": {"validateRegex": row.validate},
        "detect": {"regex": row.detect} if row.detect else {},
        "repo": {"label": row.label, "placeholder": row.placeholder, "urlEncode": row.url_encode},
        "ref": {"enabled": False} if row.is_record else {"enabled": True, "default": "HEAD"},
    }


def main() -> None:
    """Run the launcher's process."""
    what = given(dict(os.environ))
    for name in [name for name in os.environ if name.startswith(PREFIX)]:  # secrets; git needs none of it
        del os.environ[name]
    logs.begin(what.settings.log_format, what.settings.log_level)
    asyncio.run(Composed(what).run())


if __name__ == "__main__":
    main()
