"""BinderHub's metrics, by its names, labels and buckets: dashboards made for it go on working.

`status` is `success` or `failure`, of launches also `pod_quota` or `repo_quota`: no place in the queue was left,
as the site, or the repository, had all its sessions. Who waits in the queue is no launch under way. `provider` is the
name that BinderHub has for it; `repo` the repository's address, of those that are launched most (`names.py`), where
everybody may have it.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

from prometheus_client import Counter, Gauge, Histogram

from launcher.web.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry

    from launcher.errors import QueueFull
    from launcher.model import RepoRef

    Status = Literal["success", "failure"]

BUILD_SECONDS: Final = (60, 120, 300, 600, 1800, 3600, 7200)
LAUNCH_SECONDS: Final = (2, 5, 10, 20, 30, 60, 120, 300, 600)
PROVIDERS: Final = {
    "gh": "GitHub",
    "gl": "GitLab",
    "gist": "Gist",
    "git": "Git",
    "zenodo": "Zenodo",
    "figshare": "Figshare",
    "hydroshare": "Hydroshare",
    "dataverse": "Dataverse",
    "ckan": "CKAN",
    "swh": "SWHID",
}
"""What BinderHub calls each provider, in its metrics and its event log."""


class BinderMetrics:
    """Numbers as BinderHub counts them."""

    def __init__(self, registry: CollectorRegistry, repositories: int) -> None:
        """At most so many `repositories` are shown by their addresses."""
        by_repo = ["status", "provider", "repo"]
        self._names = Names(repositories, self._forget)
        self._build_seconds = Histogram(
            "binderhub_build_time_seconds", "Seconds that a build took.", ["status"],
            buckets=BUILD_SECONDS, registry=registry,
        )  # fmt: skip
        self._launch_seconds = Histogram(
            "binderhub_launch_time_seconds",
            "Seconds from the image to the session; `retries` is always 0.",
            ["status", "retries"],
            buckets=LAUNCH_SECONDS,
            registry=registry,
        )
        self._builds = Counter(
            "binderhub_build_count", "Builds that ended, by repository.", by_repo, registry=registry
        )  # fmt: skip
        self._launches = Counter(
            "binderhub_launch_count", "Sessions that were started, by repository.", by_repo, registry=registry
        )
        self._building = Gauge("binderhub_inprogress_builds", "Builds that are running now.", registry=registry)
        self._launching = Gauge("binderhub_inprogress_launches", "Sessions that are starting now.", registry=registry)
        remaining = Gauge(
            "binderhub_github_rate_limit_remaining",
            "Requests that are left to ask GitHub's API: NaN, as it is not asked at all.",
            registry=registry,
        )
        remaining.set(math.nan)

    @contextmanager
    def building(self, ref: RepoRef, *, public: bool) -> Iterator[None]:
        """A build runs inside."""
        began = time.perf_counter()
        with self._building.track_inprogress():
            try:
                yield
            except Exception:
                self._built("failure", ref, began, public=False)  # an address enters by what went well
                raise
        self._built("success", ref, began, public=public)

    def launch_begins(self) -> None:
        """A session begins to start, or goes on to when it has waited."""
        self._launching.inc()

    def launch_waits(self) -> None:
        """A session that began to start waits for a place now."""
        self._launching.dec()

    def launch_refused(self, error: QueueFull, ref: RepoRef) -> None:
        """There was no session for it, and no place in the queue."""
        status = "repo_quota" if error.reason == "repository" else "pod_quota"
        self._launches.labels(status, PROVIDERS[ref.provider], self._names.label(ref.url, may_enter=False)).inc()

    def launch_ends(self, status: Status | None, ref: RepoRef, seconds: float, *, public: bool) -> None:
        """It ended; `status` None: somebody stopped it."""
        self._launching.dec()
        if status is None:
            return
        self._launch_seconds.labels(status, "0").observe(seconds)
        repo = self._names.label(ref.url, may_enter=public and status == "success")
        self._launches.labels(status, PROVIDERS[ref.provider], repo).inc()

    def _built(self, status: Status, ref: RepoRef, began: float, *, public: bool) -> None:
        self._build_seconds.labels(status).observe(time.perf_counter() - began)
        repo = self._names.label(ref.url, may_enter=public)
        self._builds.labels(status, PROVIDERS[ref.provider], repo).inc()

    def _forget(self, repo: str) -> None:
        for counter in (self._builds, self._launches):
            counter.remove_by_labels({"repo": repo})
