"""The proxy: the one public address and its routes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from launcher.operate import sessions
from launcher.operate.children import Child
from launcher.operate.installation import LOOPBACK, ROOT, InstallationError
from launcher.operate.passed import passed

if TYPE_CHECKING:
    from launcher.operate.plan import Plan
    from launcher.settings import Settings

PROXY = ROOT / "deploy" / "proxy" / "node_modules" / ".bin" / "configurable-http-proxy"
PROXY_ESCAPES = ROOT / "deploy" / "proxy" / "escapes.mjs"
HTTPS = 443


def child(plan: Plan) -> Child:
    """What leads from the public address to the other parts. Raises InstallationError."""
    if not PROXY.exists():
        raise InstallationError("The proxy is not installed. Run `make setup`.")

    async def restore_routes() -> None:
        """The proxy keeps its routes in memory; the hub knows them."""
        await sessions.restore_routes(plan.hub_api_url, plan.installation)

    api = plan.installation.ports.proxy_api
    argv = (
        str(PROXY),
        *("--ip", plan.settings.host, "--port", str(plan.settings.port)),
        *("--api-ip", LOOPBACK, "--api-port", str(api)),
        *("--error-target", f"{plan.launcher_url}/proxy-error", "--log-level", "warn"),
        # What has no route is the launcher's: after a restart too, and on a stopped session's own subdomain.
        *("--default-target", plan.launcher_url),
        *(("--host-routing",) if plan.settings.wildcard_url else ()),
        *_tls(plan.settings),
    )
    env = passed() | {
        "REPOLAUNCH_TLS_CERTIFICATE": plan.settings.tls_certificate,
        "REPOLAUNCH_TLS_KEY": plan.settings.tls_key,
        "REPOLAUNCH_BASE_PATH": plan.settings.base_path,
        "CONFIGPROXY_AUTH_TOKEN": plan.installation.secret("proxy-token"),
        "NODE_OPTIONS": f"--import={PROXY_ESCAPES.as_uri()}",
    }
    return Child("proxy", argv, env, f"http://{LOOPBACK}:{api}/api/routes", restarted=restore_routes)


def _tls(settings: Settings) -> tuple[str, ...]:
    if not settings.tls_certificate:
        return ()
    # People type the port of the public address, which another machine may lead to ours.
    typed = urlsplit(settings.base_url).port or HTTPS
    redirect = ("--redirect-port", str(settings.redirect_port), "--redirect-to", str(typed))
    pair = ("--ssl-cert", settings.tls_certificate, "--ssl-key", settings.tls_key)
    return (*pair, *(redirect if settings.redirect_port else ()))
