"""JupyterHub: people, servers, the container engine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from launcher.operate import hub_database, registry, worker
from launcher.operate.children import Child
from launcher.operate.installation import CERTIFICATES, LOOPBACK, ROOT, policy_path
from launcher.operate.passed import passed_with_engine
from launcher.operate.passwords import shared_password

if TYPE_CHECKING:
    from launcher.operate.plan import Plan

HUB_CONFIG = ROOT / "deploy" / "hub" / "jupyterhub_config.py"


def child(plan: Plan) -> Child:
    """JupyterHub: people, servers, the container engine."""
    values = _values(plan)
    env = passed_with_engine() | {f"REPOLAUNCH_HUB_{name}": value for name, value in values.items() if value}
    env["CONFIGPROXY_AUTH_TOKEN"] = plan.installation.secret("proxy-token")
    argv = (sys.executable, "-m", "jupyterhub", "--config", str(HUB_CONFIG))
    return Child("hub", argv, env, f"{plan.hub_api_url}/", stop_s=30, restarted=plan.end_unknown_sessions)


def _values(plan: Plan) -> dict[str, str]:
    """What it is told, by variables `REPOLAUNCH_HUB_…`; `""`: not said."""
    installation, settings = plan.installation, plan.settings
    folder = installation.path("hub")
    username, password = registry.login(installation, settings)
    return {
        "PUBLIC_URL": settings.base_url,
        "BIND_URL": plan.hub_url,
        "DB_URL": f"sqlite:///{hub_database.path(installation)}",
        "COOKIE_SECRET_FILE": str(folder / "cookie-secret"),
        "PROXY_API_URL": f"http://{LOOPBACK}:{installation.ports.proxy_api}",
        "LAUNCHER_URL": plan.launcher_url,
        "OAUTH_REDIRECT": f"{settings.base_path}/api/v1/oauth_callback",
        "LAUNCHER_TOKEN": installation.secret("launcher-token"),
        "SUPERVISOR_TOKEN": installation.secret("supervisor-token"),
        "RESOLVE_SECRET": installation.secret("resolve-secret"),
        "INSTALLATION": installation.id,
        "NETWORK": installation.network,
        "WORKSPACES": str(installation.folder / "workspaces"),
        "FILES": str(folder / "files"),
        "STORES": str(worker.stores(installation, settings)) if plan.views else "",
        "CERTIFICATES": str(CERTIFICATES) if CERTIFICATES.exists() else "",
        "START_TIMEOUT_S": f"{settings.session_start_timeout_s:.0f}",
        "GUESTS": "1" if settings.guests else "0",
        "GUESTS_PER_ADDRESS": str(settings.guests_per_address),
        "GUESTS_IN_ALL": str(settings.guests_in_all),
        "TRUSTED_PROXIES": ",".join(settings.trusted_proxies),
        "AUTHENTICATOR": settings.authenticator,
        "SHARED_PASSWORD": shared_password(installation, settings),
        "MEMBERS": ",".join(settings.members),
        "EXTRA_CONFIG": settings.hub_config,
        "WILDCARD_URL": settings.wildcard_url,
        "REGISTRY_USERNAME": username,
        "REGISTRY_PASSWORD": password,
        "POLICY": str(policy_path(installation.folder, settings)),
        "LOG_LEVEL": settings.log_level,
        "LOG_FORMAT": settings.log_format,
    }
