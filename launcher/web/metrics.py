"""`/metrics`, by Prometheus's rules. What strangers write is a label in BinderHub's numbers alone, and bounded."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from launcher import errors
from launcher.explain import INTERNAL, ROWS, row_of
from launcher.web.binder_metrics import BinderMetrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.events import Stage
    from launcher.model import RepoRef

    Outcome = Literal["ready", "failed", "cancelled"]

REFUSALS: Final = (
    errors.TooOften,
    errors.QueueFull,
    errors.LaunchClosed,
    errors.Forbidden,
    errors.PersonBanned,
    errors.RepositoryBanned,
    errors.RepositoryNotAllowed,
)
"""Why a launch is not begun."""
STAGE_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
REQUEST_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Metrics:
    """The launcher's own numbers, in a registry of their own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, repositories: int = 100) -> None:
        """Begin at zero; at most so many `repositories` are named."""
        self.registry = CollectorRegistry()
        self.binder = BinderMetrics(self.registry, repositories)
        ProcessCollector(registry=self.registry)
        self._begin_launches(self.registry)
        self._begin_disks(self.registry)
        self._begin_collections(self.registry)
        self._begin_requests(self.registry)
        self._begin_queue(self.registry)

    def _begin_launches(self, registry: CollectorRegistry) -> None:
        self._launches = Counter(
            "repolaunch_launches",
            "Launches that ended, by outcome: ready, failed, cancelled.",
            ["outcome"],
            registry=registry,
        )
        self._failures = Counter(
            "repolaunch_launch_failures", "Launches that failed, by the code of the error.", ["code"], registry=registry
        )
        self._stages = Histogram(
            "repolaunch_stage_seconds",
            "Seconds that a stage of a launch took, when it ended well.",
            ["stage"],
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self._builds = Gauge("repolaunch_builds_in_progress", "Builds that are running now.", registry=registry)
        self._build_seconds = Histogram(
            "repolaunch_build_seconds",
            "Seconds that a build ran, however it ended.",
            buckets=STAGE_SECONDS[4:],
            registry=registry,
        )
        for outcome in ("ready", "failed", "cancelled"):
            self._launches.labels(outcome)
        for row in (*ROWS.values(), INTERNAL):  # what never was is 0, so that its first time is an increase
            self._failures.labels(row.code)

    def _begin_disks(self, registry: CollectorRegistry) -> None:
        self._disks = Gauge(
            "repolaunch_disk_free_bytes",
            "Bytes free on the disk of a place: data folder, container engine.",
            ["place"],
            registry=registry,
        )
        self._near, self._over = (
            Gauge(f"repolaunch_workspaces_{name}_limit", f"Workspaces of running sessions {text}.", registry=registry)
            for name, text in (("near", "that hold nearly what they may"), ("over", "that hold more than they may"))
        )
        self._measured = Histogram(
            "repolaunch_workspace_measure_seconds",
            "Seconds that measuring one workspace took.",
            buckets=STAGE_SECONDS[:11],
            registry=registry,
        )
        self._workspace_stops = Counter(
            "repolaunch_workspace_stops",
            "Sessions stopped as their workspace held too much.",
            registry=registry,
        )

    def _begin_collections(self, registry: CollectorRegistry) -> None:
        self._held = Gauge(
            "repolaunch_held_bytes",
            "Bytes that a place held when it was last looked at: registry, stores (where that is measured).",
            ["place"],
            registry=registry,
        )
        self._collected = Counter(
            "repolaunch_collected",
            "Images, commits, environments and wheels that were collected, by place: registry, stores.",
            ["place"],
            registry=registry,
        )
        self._collected_bytes = Counter(
            "repolaunch_collected_bytes", "Bytes that collecting has freed, by place.", ["place"], registry=registry
        )
        self._collections = Counter(
            "repolaunch_collections", "Looks at what could be collected, by outcome.", ["outcome"], registry=registry
        )
        self._collection_seconds = Histogram(
            "repolaunch_collection_seconds",
            "Seconds that looking, and collecting what was to go, took.",
            buckets=STAGE_SECONDS[2:],
            registry=registry,
        )
        for place in ("registry", "stores"):
            self._collected.labels(place)
        for outcome in ("done", "failed"):
            self._collections.labels(outcome)

    def _begin_requests(self, registry: CollectorRegistry) -> None:
        self._parts = Gauge(
            "repolaunch_part_well",
            "1: the part is well, 0: it is not; as `/health` says, asked at most every 15 s.",
            ["part"],
            registry=registry,
        )
        self.watchers = Gauge("repolaunch_watchers", "Event streams that are open now.", registry=registry)
        self._refused = Counter(
            "repolaunch_launches_refused",
            "Launches that were not begun, by the code of the error: too often, closed, banned.",
            ["code"],
            registry=registry,
        )
        for error in REFUSALS:
            self._refused.labels(ROWS[error].code)
        self._policy = Gauge(
            "repolaunch_policy_well",
            "1: the policy file is in force; 0: it cannot be read, and the last version that was understood is.",
            registry=registry,
        )
        self._requests = Counter(
            "repolaunch_http_requests",
            "HTTP requests answered, by method, route and status.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "repolaunch_http_request_seconds",
            "Seconds until an HTTP request was answered (event streams are left out).",
            ["route"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )

    def _begin_queue(self, registry: CollectorRegistry) -> None:
        self._waiting = Gauge(
            "repolaunch_queue_waiting", "Launches that wait for a place, after a restart too.", registry=registry
        )
        self._oldest = Gauge(
            "repolaunch_queue_oldest_seconds",
            "Seconds that the launch which has waited longest for a place has waited; 0: none waits.",
            registry=registry,
        )
        self._taken = Gauge(
            "repolaunch_places_taken",
            "Sessions that are known to run or start; looked at while somebody waits.",
            registry=registry,
        )

    def part_is(self, part: str, *, well: bool) -> None:
        """A part of the service was looked at."""
        self._parts.labels(part).set(well)

    def stage_ended(self, stage: Stage, seconds: float) -> None:
        """A stage of a launch ended well after so many seconds."""
        self._stages.labels(stage.value).observe(seconds)

    def disk_free(self, place: str, free: int) -> None:
        """So many bytes are free on the disk of `place`."""
        self._disks.labels(place).set(free)

    def workspace_measured(self, seconds: float) -> None:
        """A workspace was measured in so many seconds."""
        self._measured.observe(seconds)

    def workspace_stopped(self) -> None:
        """A session was stopped for what its workspace holds."""
        self._workspace_stops.inc()

    def workspaces_stand(self, near: int, over: int) -> None:
        """So many of the running sessions' workspaces are near their limit, and over it."""
        self._near.set(near)
        self._over.set(over)

    def holds(self, place: str, bytes_: int) -> None:
        """A place holds so many bytes."""
        self._held.labels(place).set(bytes_)

    def collected(self, place: str, things: int, bytes_: int) -> None:
        """So many things went from a place, which freed so many bytes."""
        self._collected.labels(place).inc(things)
        self._collected_bytes.labels(place).inc(bytes_)

    def collection_ended(self, outcome: str, seconds: float) -> None:
        """A collection ended: `done` or `failed`."""
        self._collections.labels(outcome).inc()
        self._collection_seconds.observe(seconds)

    def launch_ended(self, outcome: Outcome, code: str = "") -> None:
        """A launch ended; `code` says of which error, where it failed."""
        self._launches.labels(outcome).inc()
        if code:
            self._failures.labels(code).inc()

    @contextmanager
    def building(self) -> Iterator[None]:
        """A build runs inside."""
        self._builds.inc()
        seconds = time.perf_counter()
        try:
            yield
        finally:
            self._builds.dec()
            self._build_seconds.observe(time.perf_counter() - seconds)

    def launch_refused(self, error: errors.LauncherError, ref: RepoRef) -> None:
        """A launch was not begun."""
        self._refused.labels(row_of(error).code).inc()
        if isinstance(error, errors.QueueFull):
            self.binder.launch_refused(error, ref)

    def queue_stands(self, waiting: int, oldest_s: float, taken: int) -> None:
        """So many launches wait, one of them for so long, and so many places are taken."""
        self._waiting.set(waiting)
        self._oldest.set(oldest_s)
        self._taken.set(taken)

    def policy_read(self, *, well: bool) -> None:
        """The policy file was read, or could not be."""
        self._policy.set(well)

    @property
    def builds_running(self) -> int:
        """How many builds run now."""
        return int(self.registry.get_sample_value("repolaunch_builds_in_progress") or 0)

    def answered(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count a request; `seconds` is None for an event stream."""
        self._requests.labels(method, route, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All numbers, as Prometheus reads them."""
        return generate_latest(self.registry)
