"""What a spawn may have: the launcher decides, the hub obeys (deploy/hub/allowance.py checks what is said here)."""

from __future__ import annotations

import asyncio
import logging
import posixpath
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from launcher.model import Project

log = logging.getLogger(__name__)

WORKSPACE = "/workspace"
WORK = f"{WORKSPACE}/work"
HOME = f"{WORKSPACE}/home"
USER = "1000:1000"
RUNTIME = "/tmp/jupyter-runtime"  # noqa: S108  # the session's own tmpfs
CERTIFICATES = "/etc/repolaunch/ca-certificates.crt"
CERTIFICATE_VARIABLES = (
    *("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE"),
    "GIT_SSL_CAINFO",
)
SERVER_ARGS = (
    # Somebody who loses access to a project is out of its session after this many seconds (the default is 300).
    "--HubOAuth.cache_max_age=30",
    # jupyter-collaboration would keep its history in the workspace.
    "--SQLiteYStore.db_path=/tmp/jupyter-ystore.db",
    # While the container engine hangs or is away, nobody reads what a server prints, and after 64 KiB of it the server
    # would stand still: a line for each request is a minute or so.
    "--Application.log_level=WARN",
)
NO_WALLS = (
    "No session starts now: the rules that keep sessions from private networks are not in place. "
    "The operator finds what to do with `repolaunch doctor`."
)
ARCHIVED = "The project is archived: its owner takes it back on the home page."
FORM = re.compile(r"project-([a-z][a-z0-9]{9})", re.ASCII)


class Mount(Protocol):
    """Where a project's workspace is (launcher.projects gives it)."""

    @property
    def name(self) -> str:
        """The volume's name."""
        ...

    @property
    def device(self) -> str:
        """The folder of the host."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session may use at most."""

    memory: int
    """Bytes, without swap."""
    cpus: float
    processes: int
    tmp_bytes: int


@dataclass(frozen=True, slots=True)
class Site:
    """What every session of this installation is told."""

    public_url: str
    certificates: bool = False
    """Whether sessions get the certificate authorities that this machine trusts, or have the image's own."""
    runtime: str = ""
    """The container engine's runtime for sessions (`runsc`, `kata`); `""`: its own."""
    allow_origin: tuple[str, ...] = ()
    """Sites whose pages may reach a session that a program started; `*`: all."""


@dataclass(frozen=True, slots=True)
class Volume:
    """The workspace of one session."""

    name: str
    device: str
    target: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """The answer to the hub."""

    image: str
    volume: Volume
    environment: dict[str, str]
    command: tuple[str, ...]
    entrypoint: tuple[str, ...] | None
    working_dir: str
    user: str
    memory: int
    cpu: float
    pids: int
    tmpfs: dict[str, str]
    passwd: str
    certificates: bool
    args: tuple[str, ...]
    runtime: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and JSON body for `POST /internal/resolve`."""

    status: int
    body: dict[str, object]


def environment(project: Project, site: Site) -> dict[str, str]:
    """The variables of a project's session.

    The workspace's HOME comes first everywhere, the image's own `~/.local` stays behind it: what `postBuild` put there
    is found, what a person installs wins. REPO_DIR is the image's and is left alone.
    """
    facts = project.image.facts
    local = posixpath.join(facts.home, ".local")
    values = {
        "HOME": HOME,
        "USER": "jovyan",
        "PATH": _path(f"{HOME}/.local/bin", *facts.path.split(":"), f"{local}/bin"),
        "JUPYTER_PATH": _path(f"{local}/share/jupyter", *facts.jupyter_path),
        "JUPYTER_CONFIG_PATH": _path(posixpath.join(facts.home, ".jupyter"), f"{local}/etc/jupyter"),
        "JUPYTER_RUNTIME_DIR": RUNTIME,
        "JUPYTERHUB_ROOT_DIR": WORK,
        "JUPYTERHUB_DEFAULT_URL": "/lab",
        "BINDER_REPO_URL": project.url,
        "BINDER_REF_URL": _ref_url(project),
        "BINDER_LAUNCH_HOST": site.public_url.rstrip("/") + "/",
        "BINDER_REQUEST": f"v2/{project.provider}/{project.spec}",
        "BINDER_PERSISTENT_REQUEST": _persistent(project),
    }
    if facts.user_site:
        # PYTHONUSERBASE would make `pip install --user` write to the read-only image. PYTHONPATH comes before what a
        # person installs, so it is set only for images that have packages there.
        values["PYTHONPATH"] = ":".join(facts.user_site)
    if site.certificates:
        values |= dict.fromkeys(CERTIFICATE_VARIABLES, CERTIFICATES)
    if project.token_entry:
        values["JUPYTERHUB_ALLOW_TOKEN_IN_URL"] = "1"  # noqa: S105  # a switch
    return values


def allowance(project: Project, limits: Limits, site: Site, mount: Mount) -> Allowance:
    """What the session of this project may have."""
    facts = project.image.facts
    return Allowance(
        image=project.image.name,
        volume=Volume(mount.name, mount.device, WORKSPACE),
        environment=environment(project, site),
        command=facts.server,
        entrypoint=facts.entrypoint or None,
        working_dir=WORK,
        user=USER,
        memory=limits.memory,
        cpu=limits.cpus,
        pids=limits.processes,
        tmpfs=_tmpfs(facts.volumes, limits.tmp_bytes),
        passwd=facts.passwd,
        certificates=site.certificates,
        args=SERVER_ARGS + _reached(project, site.allow_origin),
        runtime=site.runtime,
    )


class Resolve:
    """Answers the hub. `find` gives a project by its id, as it should be started now; `mount` its workspace."""

    def __init__(
        self,
        find: Callable[[str], Awaitable[Project | None]],
        mount: Callable[[str], Mount],
        limits: Limits,
        site: Site,
        walls: Callable[[], bool] = lambda: True,
        launch_of: Callable[[str], str] = lambda _: "",
    ) -> None:
        """`walls` says whether sessions are kept from where they must not reach; `launch_of`, which launch waits."""
        self._find = find
        self._mount = mount
        self._limits = limits
        self._site = site
        self._walls = walls
        self._launch_of = launch_of

    async def answer(self, question: object) -> Answer:
        """200 with an allowance for a project's own account that names its own project; else a refusal."""
        asked = question if isinstance(question, dict) else {}
        options = asked.get("user_options")
        match = FORM.fullmatch(str(asked.get("account", "")))
        if match is None or asked.get("server") or options != {"project": match[1]}:
            return Answer(403, {"message": "Only a project has a session, and only its own."})
        if not await asyncio.to_thread(self._walls):
            return Answer(503, {"message": NO_WALLS})
        project = await self._find(match[1])
        if project is None:
            return Answer(404, {"message": "There is no such project any more."})
        if project.archived is not None:
            return Answer(403, {"message": ARCHIVED})
        allowed = allowance(project, self._limits, self._site, self._mount(project.id))
        return Answer(200, asdict(allowed) | {"launch": self._launch_of(project.id)})


def _reached(project: Project, origins: tuple[str, ...]) -> tuple[str, ...]:
    """Which other sites' pages reach the session: none where somebody's login cookie opens it."""
    if not project.token_entry or not origins:
        return ()
    if "*" in origins:
        return ("--ServerApp.allow_origin=*",)
    # Older servers match a beginning.
    return (f"--ServerApp.allow_origin_pat=({'|'.join(re.escape(one) for one in origins)})$",)


def _tmpfs(volumes: tuple[str, ...], size: int) -> dict[str, str]:
    """Memory, not disk, for /tmp and wherever the image declares a volume: there the engine would make a disk.

    Each may be `size` bytes; all of them count to the session's memory.
    """
    # People compile in /tmp, so it may execute; nothing there gains rights (nosuid, no-new-privileges).
    options = f"rw,exec,nosuid,nodev,mode=1777,size={size}"
    # Where the image has a folder already, the engine gives its mode to the tmpfs, so the owner has to be right too.
    return dict.fromkeys(volumes, f"{options},uid=1000,gid=1000") | {"/tmp": options}  # noqa: S108


def _path(*parts: str) -> str:
    return ":".join(dict.fromkeys(part for part in parts if part))


def _ref_url(project: Project) -> str:
    """The commit on the git host's own pages, where it has a known form; else the repository's address."""
    forms = {"gh": "{url}/tree/{commit}", "gl": "{url}/tree/{commit}"}
    form = forms.get(project.provider, "{url}")
    return form.format(url=project.url.removesuffix(".git"), commit=project.commit)


def _persistent(project: Project) -> str:
    """The link with the commit in place of the reference: what BinderHub calls the persistent request."""
    # A reference may have slashes; `user/repo` has one, the other providers' first part is escaped as a whole.
    parts = 2 if project.provider == "gh" else 1
    return "/".join(("v2", project.provider, *project.spec.split("/")[:parts], project.commit))
