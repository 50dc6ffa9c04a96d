"""What the handlers of the web are given."""

from __future__ import annotations

import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher import __version__
from launcher.rates import LOOPBACK, Rates
from launcher.repos.providers import PROVIDERS, parse_spec
from launcher.repos.recognise import folders, recognise
from launcher.sessions.leases import Leasing
from launcher.web.build_tokens import BuildTokens
from launcher.web.context import Links, Web
from launcher.web.health import Health
from launcher.web.hub import Client, OAuthHub
from launcher.web.looking import Looking

if TYPE_CHECKING:
    from launcher.compose.composed import Composed
    from launcher.repos.provider import Provider
    from launcher.settings import Settings

BINDERHUB = "0.2.0"
DIST = Path(__file__).parents[2] / "frontend" / "dist"


def web_of(composed: Composed) -> Web:
    """What the handlers need."""
    common, repos, builds, sessions = composed.common, composed.repos, composed.builds, composed.sessions
    settings, known = common.settings, common.given.secrets
    return Web(
        launches=composed.launches,
        projects=common.rows.projects,
        shelf=common.rows.shelf,
        sessions=sessions.sessions,
        credentials=repos.keyring,
        links=_links(composed),
        hub=_hub(composed),
        resolve=sessions.resolve(),
        leasing=Leasing(common.rows.leases),
        leases=common.rows.leases,
        health=Health(_checks(composed), time.monotonic),
        metrics=common.metrics,
        launch_log=common.launch_log,
        measure=partial(common.disks.measure, common.metrics.disk_free),
        storage=sessions.watch,
        collection=builds.collecting,
        forgetting=builds.forgetting,
        secret=bytes.fromhex(known.cookie_secret),
        operator_token=known.operator_token,
        internal_token=known.resolve_secret,
        public_url=settings.base_url,
        allow_origin=settings.allow_origin,
        wildcard=bool(settings.wildcard_url),
        guests=settings.guests,
        build_tokens=_build_tokens(composed),
        gate=common.gate,
        looking=Looking(repos.private, Rates(settings.lookups_per_address, time.monotonic)),
        queue=sessions.places,
        limits=common.policy,
        trusted_proxies=(*LOOPBACK, *settings.trusted_proxies),
        dist=DIST,
        versions=_versions(),
        durations=common.rows.durations,
        site_limits=_limits(settings),
    )


def _links(composed: Composed) -> Links:
    sites = composed.common.sites
    return Links(
        partial(parse_spec, sites=sites),
        partial(recognise, sites=sites),
        partial(folders, sites=sites),
        [display_config(row) for row in PROVIDERS.values()],
    )


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


def _hub(composed: Composed) -> OAuthHub:
    given = composed.common.given
    base = given.settings.base_path
    client = Client(given.hub_api, given.secrets.launcher_token, "launcher", "service-launcher", base=base)
    return OAuthHub(client, time.monotonic, doubt=composed.common.disks.check_database)


def _build_tokens(composed: Composed) -> BuildTokens:
    common = composed.common
    rates = Rates(lambda: common.policy().rates.per_address, time.monotonic)
    return BuildTokens(bytes.fromhex(common.given.secrets.cookie_secret), rates, time.time)


def _checks(composed: Composed) -> dict[str, Any]:
    common, asked, sessions = composed.common, composed.asked, composed.sessions
    return {
        "JupyterHub API": sessions.hub.version,
        "Pod quota": partial(_in_use, composed),
        "build worker": asked.worker.health,
        "Docker registry": asked.registry.health,
        "Docker engine": asked.engine.health,
        "database": common.rows.database.check,
        "policy file": common.policy_file.check,
        "volume helper": sessions.volumes.health,
        **{f"disk of the {place}": partial(common.disks.check_one, place) for place in common.disks.places},
    }


async def _in_use(composed: Composed) -> dict[str, int | None]:
    """What runs, in the words of those who share visitors out between BinderHubs."""
    common = composed.common
    sessions, builds = len(await composed.sessions.sessions.list()), common.metrics.builds_running
    limit = common.policy().sessions.in_all or None
    return {"total_pods": sessions + builds, "build_pods": builds, "user_pods": sessions, "quota": limit}


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
