"""JupyterHub's configuration: all it needs comes by environment variables (the table is in settings.py)."""

import logging
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from jupyterhub.handlers.base import BaseHandler

from deploy.hub.allowance import Ground
from deploy.hub.authenticators import door, find, guarded
from deploy.hub.names import LAUNCHER, PROJECTS, SUPERVISOR
from deploy.hub.notices import Notices
from deploy.hub.pages import speaking, unguarded
from deploy.hub.settings import SHARED_PASSWORD, headers, read
from deploy.hub.spawner import PULL_S, ProjectSpawner, apply_user_options

c = get_config()
settings = read(os.environ)
# Wildcard: the launcher and the hub share the domain itself, sessions get its subdomains.
domain = urlsplit(settings.wildcard_url).hostname or ""
base = urlsplit(settings.public_url).path.rstrip("/")
start_timeout = float(settings.start_timeout_s)

# ---- addresses
c.JupyterHub.bind_url = settings.public_url
c.JupyterHub.hub_bind_url = settings.bind_url
c.JupyterHub.hub_connect_url = settings.connect_url or settings.bind_url
c.JupyterHub.subdomain_host = settings.wildcard_url
c.JupyterHub.hub_routespec = f"{domain}{base}/hub/"
c.JupyterHub.default_url = f"{base}/"
c.JupyterHub.trusted_downstream_ips = list(settings.trusted)
c.JupyterHub.template_paths = [str(Path(__file__).resolve().parent / "templates")]
c.JupyterHub.template_vars = {"unguarded": unguarded(settings.public_url)}
notices = Notices(settings.policy, Path(settings.cookie_secret_file).with_name("policy.toml.kept"))
# The launcher reads the same file, and says what is wrong with it.
logging.getLogger("launcher.gate").setLevel(logging.CRITICAL)
BaseHandler.prepare = notices.read_first(BaseHandler.prepare)
# JupyterHub tells templates nothing of the request, and so not in which language it is.
BaseHandler.template_namespace = speaking(BaseHandler.template_namespace, notices)
if settings.public_url.startswith("https:") and domain:
    # Browsers take such a cookie from its own host alone: no session can leave its login in somebody's browser.
    c.JupyterHub.cookie_host_prefix_enabled = True
if settings.public_url.startswith("https:") and not domain:
    # Cookies become `Secure`, which the proxy's headers do not tell the hub behind somebody else's TLS.
    c.JupyterHub.public_url = settings.public_url
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = settings.proxy_api_url
c.Proxy.extra_routes = {f"{domain}{base}/": settings.launcher_url}

# ---- restarts touch no session
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.db_url = settings.db_url
# Of an older version: copied first. One of a newer version is refused before the hub is started.
c.JupyterHub.upgrade_db = True
# It does that by the program `alembic`, which lies beside this Python whether or not that folder is on the PATH.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
c.JupyterHub.cookie_secret_file = settings.cookie_secret_file
c.JupyterHub.log_level = settings.log_level.upper()
if settings.log_format == "json":
    c.JupyterHub.logging_config = {"formatters": {"console": {"class": "builders.logs.Json"}}}

# ---- people
c.JupyterHub.authenticator_class = guarded(find(settings.authenticator), door(settings))
c.Authenticator.allow_all = settings.allow_all
if settings.allowed_users:
    c.Authenticator.allowed_users = settings.allowed_users
    # Else everybody who ever signed in, and every guest, would stay on the list.
    c.Authenticator.allow_existing_users = False
if settings.authenticator == SHARED_PASSWORD and settings.shared_password:
    c.SharedPasswordAuthenticator.user_password = settings.shared_password

# ---- what may be done
c.JupyterHub.services = [
    {
        "name": LAUNCHER,
        "api_token": settings.launcher_token,
        # No `url`: the launcher has the root of the address, so there is no route /services/launcher.
        "oauth_client_id": f"service-{LAUNCHER}",
        "oauth_redirect_uri": settings.oauth_redirect,
        "oauth_no_confirm": True,
        "display": False,
    }
]
if settings.supervisor_token:
    supervisor = {"name": SUPERVISOR, "api_token": settings.supervisor_token, "display": False}
    c.JupyterHub.services.append(supervisor)
of_projects = f"!group={PROJECTS}"
c.JupyterHub.load_roles = [
    {
        "name": LAUNCHER,
        # Nobody else's: it makes projects' accounts by `accounts.py`, not as one who may make any (`admin:users`).
        "description": "The launcher: starts, shares and stops the servers of projects",
        "services": [LAUNCHER],
        "scopes": [
            "list:users" + of_projects,  # which servers run
            "servers" + of_projects,  # start, watch and stop them
            "shares" + of_projects,  # let people in
            "read:users:name",  # by their names
            "tokens" + of_projects,  # mint the token of a session that a program started, owned by the project
        ],
    },
    {
        "name": SUPERVISOR,
        "description": "repolaunch up: stops the servers of projects, tells a new proxy its routes",
        "services": [SUPERVISOR] if settings.supervisor_token else [],
        "scopes": [
            "list:users" + of_projects,  # which servers run
            "delete:servers" + of_projects,  # stop them
            "proxy",  # restore the routes of a proxy that was restarted
        ],
    },
    {
        "name": "user",
        "description": "Everybody: sign in to the launcher, have tokens for it; start nothing",
        "scopes": [
            f"access:services!service={LAUNCHER}",
            "access:servers!user",  # a project's own server, for the tokens that its account owns
            "users:activity!user",  # a server tells the hub that it is used
            "tokens!user",  # a person's API tokens
            "read:users:name!user",  # who they are, as every login asks
            "read:users:groups!user",
        ],
    },
]
c.JupyterHub.allow_named_servers = False
c.JupyterHub.redirect_to_server = False

# ---- sessions
c.JupyterHub.spawner_class = ProjectSpawner
c.JupyterHub.tornado_settings = {
    "slow_spawn_timeout": 0,
    "slow_stop_timeout": 1,
    # Browsers that guess would send a fresh cookie with another site's form for two minutes.
    "cookie_options": {"samesite": "Lax"},
    "xsrf_cookie_kwargs": {"samesite": "Lax"},
    "headers": headers(settings),
}
c.Spawner.apply_user_options = apply_user_options
c.Spawner.start_timeout = int(PULL_S + start_timeout)
c.Spawner.http_timeout = int(start_timeout)
c.Spawner.consecutive_failure_limit = 0
# Seconds. A server that ended by itself (File > Shut Down) loses its route then, and its address a page that says so.
c.Spawner.poll_interval = 10
c.DockerSpawner.network_name = settings.network
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = False
c.ProjectSpawner.installation = settings.installation
stores = Path(settings.stores) if settings.stores else None
c.ProjectSpawner.ground = Ground(Path(settings.workspaces), Path(settings.files), settings.certificates, stores)
c.ProjectSpawner.launcher_url = settings.launcher_url
c.ProjectSpawner.resolve_secret = settings.resolve_secret
c.ProjectSpawner.answer_timeout = start_timeout
c.ProjectSpawner.registry_username = settings.registry_username
c.ProjectSpawner.registry_password = settings.registry_password

if settings.extra_config:
    load_subconfig(settings.extra_config)
