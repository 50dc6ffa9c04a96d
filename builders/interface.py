"""What a builder is, and the lines that a builder process writes: one JSON object a line, on stdout.

The lines are a closed union, `Line`. Every verb's last line is one of FINAL; the exit status is 0 only after a final
line that is not an error. A damaged line becomes a `Log`: it is shown, never lost, never a crash.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


REPRODUCIBLE, LOCKED, LOOSE = "reproducible", "locked", "not-pinned"
PINNINGS = (REPRODUCIBLE, LOCKED, LOOSE)
"""How firmly an environment is pinned: all that it is built from is, and what declares it was evaluated purely; a lock
file names hashed packages; or something may be another thing tomorrow."""


# --------------------------------------------------------------------------- lines
@dataclass(frozen=True, slots=True)
class Log:
    """A line of a tool's output, without colour codes or control characters but tab."""

    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the build began: `[2/5] RUN pip install …`."""

    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Something worth a line; `percent` (0 to 100) when it is known."""

    text: str
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a directory declares: the fields of the launcher's Environment."""

    builder: str
    builder_version: str
    evidence: tuple[str, ...]
    key: str
    platform: str
    pinning: str = LOOSE
    """One of PINNINGS."""
    loose: tuple[str, ...] = ()
    """What is not pinned, each as `file:line: what`."""
    advice: tuple[str, ...] = ()
    """Lines that would pin it."""
    tree: tuple[str, ...] = ()
    """Why every file of the directory counts, each as `file:line: what`; none: what declares it alone does."""
    space: str = ""
    """The namespace that the key is of: that of a private repository, or `""`."""


@dataclass(frozen=True, slots=True)
class Unevaluated:
    """What a directory declares is known when it has been evaluated, which takes minutes: `detect` does that."""

    builder: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Digest of what `detect` depends on besides the directory: the builders, their versions, the platform."""

    fingerprint: str


@dataclass(frozen=True, slots=True)
class Built:
    """The build ended well; `engine_id` is the image's id in the engine."""

    engine_id: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What an image is like: the fields of the launcher's ImageFacts, which says what each means."""

    engine_id: str
    home: str
    repo_dir: str
    path: str
    server: tuple[str, ...]
    entrypoint: tuple[str, ...]
    passwd: str
    user_site: tuple[str, ...]
    content: str
    volumes: tuple[str, ...]
    jupyter_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pushed:
    """The push ended well; `digest` is the manifest's."""

    digest: str


@dataclass(frozen=True, slots=True)
class Archived:
    """Which commit of a repository the registry keeps the files of; all `""`: none."""

    source: str
    ref: str
    commit: str
    name: str
    tree: str


@dataclass(frozen=True, slots=True)
class Papers:
    """What the registry keeps about an image: each document as JSON, by media type; none: nothing is known of it."""

    documents: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verified:
    """What building an image again has shown."""

    verdict: str
    """`identical`; `different`; `not-comparable`: what it was built from is not pinned, or nothing is known of it."""
    difference: str
    """The first thing that differs, by name, or why nothing was compared."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the build worker knows of an image: its id or its digest; `""`: there is none."""

    digest: str


@dataclass(frozen=True, slots=True)
class Held:
    """Something that is kept in the stores or in the registry and could be let go, unless somebody uses it."""

    place: str
    """`registry` or `stores`."""
    kind: str
    name: str
    about: Mapping[str, Any]
    """`used`: seconds since the epoch, of its files; what else is known: `digest`, `key`, `space`, `source`, `commit`,
    `is_last`."""


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes that all of these things have; they are freed with the last of them."""

    place: str
    kind: str
    size: int | None
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rooms:
    """How much the places hold.

    By place: `held` (bytes; null where that is not known), `used` and `size` of its disk (null where that is none of
    ours), `reason` where nothing may be let go there.
    """

    places: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Error:
    """The verb failed: `error` names a class of `builders/errors.py`, `facts` are its fields."""

    error: str
    facts: Mapping[str, Any] = field(default_factory=dict)


Line = (
    Log
    | Step
    | Progress
    | Found
    | Unevaluated
    | Fingerprint
    | Built
    | Facts
    | Pushed
    | Archived
    | Papers
    | Verified
    | Known
    | Held
    | Share
    | Rooms
    | Error
)
FINAL = (
    Found,
    Unevaluated,
    Fingerprint,
    Built,
    Facts,
    Pushed,
    Archived,
    Papers,
    Verified,
    Known,
    Rooms,
    Error,
)

_TYPES: dict[str, type[Line]] = {
    "log": Log,
    "step": Step,
    "progress": Progress,
    "environment": Found,
    "unevaluated": Unevaluated,
    "fingerprint": Fingerprint,
    "built": Built,
    "facts": Facts,
    "pushed": Pushed,
    "archived": Archived,
    "papers": Papers,
    "verified": Verified,
    "known": Known,
    "held": Held,
    "share": Share,
    "rooms": Rooms,
    "error": Error,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}

Tell = Callable[[Line], None]

READING = "reading the repository"
"""A step, as people are told."""
MAX_LINE = 4 * 1024 * 1024
"""Bytes of the longest line (facts with a long /etc/passwd)."""

ENVIRONMENT = (
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_CONFIG_FILE",
    "REPOLAUNCH_BUILD_ENGINE",
    "REPOLAUNCH_NETWORK",
    "REPOLAUNCH_STORES",
    "REPOLAUNCH_VIEWS",
    "REPOLAUNCH_CLOSURE",
    "REPOLAUNCH_NIXPKGS",
    "REPOLAUNCH_NIX_CACHES",
    "REPOLAUNCH_STORE_CACHE",
    "REPOLAUNCH_GUIX",
    "XDG_CACHE_HOME",
)
"""The variables that a builder process understands: all that it should be given."""
BUILD_ENGINE = "REPOLAUNCH_BUILD_ENGINE"
"""The folder with the sockets of the engine that builds, if that is not DOCKER_HOST's."""
NETWORK = "REPOLAUNCH_NETWORK"
"""The engine's network of what Nix and Guix fetch, where no build engine is named; `bridge` where nothing is said."""
GUIX = "REPOLAUNCH_GUIX"
"""How Guix is run at this site (builders/guix/means.py)."""
SITE_CHANNELS = "site/channels.scm"
"""In the folder of the stores: the Guix channels that a site has chosen."""
STORES = "REPOLAUNCH_STORES"
"""The folder of the Nix and Guix stores (`Workshop.stores`)."""
VIEWS = "REPOLAUNCH_VIEWS"
"""`1`: sessions of this machine are given Nix and Guix environments as views of the stores (`builders/oci/view.py`)."""
CLOSURE = "REPOLAUNCH_CLOSURE"
"""The folder in which set-up keeps the notebook server of Nix and Guix images (`builders/server.py`)."""
NIXPKGS = "REPOLAUNCH_NIXPKGS"
"""The nixpkgs that a site has chosen for those who chose none (`builders/nix/site.py`)."""
NIX_CACHES = "REPOLAUNCH_NIX_CACHES"
"""The binary caches that a site trusts (`builders/nix/site.py`)."""
STORE_CACHE = "REPOLAUNCH_STORE_CACHE"
"""The cache that a site fills itself (`builders/site_cache.py`)."""
ENGINE_SOCKET, CONTROL_SOCKET = "engine.sock", "control.sock"
"""In it: of the engine itself, and of the supervisor that gives leases there."""
OURS = "repolaunch.installation"
"""The label of everything that an installation makes: an image that carries it is somebody's environment."""
SOURCE_LABEL, REVISION_LABEL = "org.opencontainers.image.source", "org.opencontainers.image.revision"
"""Labels with which whoever orders a build says what it is of: the repository's address, the commit. They are for the
image's papers: the image itself is everybody's whose files are the same."""
TREE_LABEL = "org.repolaunch.tree"
"""The label of an image that was made of every file of a directory: which files (`builders/key.py`: `tree_id`)."""
RECORD = ".git/repolaunch-record.json"
"""In a directory that was made of a record's files: the record's `id`, and its `files`, each with `path`, `url`,
`size`, and digests by algorithm."""
KEY_LABEL = "org.repolaunch.key"
"""The label of every environment's image, with its key."""
USERNAME = "REPOLAUNCH_REGISTRY_USERNAME"
PASSWORD = "REPOLAUNCH_REGISTRY_PASSWORD"  # noqa: S105  # the name of the variable
"""And for the verbs that speak to the registry: its login. Never as an argument."""
TLS = "REPOLAUNCH_REGISTRY_TLS"
CA_FILE = "REPOLAUNCH_REGISTRY_CA_FILE"
"""And for those that do so without the engine: `1` or `0`, and the file with the authority of its certificate."""


def format_line(line: Line) -> str:
    """The line as JSON, without its line end."""
    body = {each.name: getattr(line, each.name) for each in fields(line)}
    return json.dumps({"type": _NAMES[type(line)], **body}, ensure_ascii=False, separators=(",", ":"))


def parse_line(text: str) -> Line:
    """The line that `text` says; a `Log` of the text itself where it says none."""
    try:
        body = json.loads(text)
        kind = _TYPES[body.pop("type")]
        return kind(**{name: _checked(kind, name, value) for name, value in body.items()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Log(clean(text))


def _checked(kind: type[Line], name: str, value: object) -> Any:
    """`value` as the field's type has it. Raises ValueError, KeyError."""
    wanted = {each.name: str(each.type) for each in fields(kind)}[name]
    if wanted == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if wanted.startswith("Mapping") and isinstance(value, dict):
        return {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
    if wanted == "int | None" and (value is None or (isinstance(value, int) and not isinstance(value, bool))):
        return value
    if wanted == "str" and isinstance(value, str):
        return value
    raise ValueError(name)


# --------------------------------------------------------------------------- builders
@dataclass(frozen=True, slots=True)
class Declaration:
    """What one builder found in a directory."""

    evidence: tuple[str, ...]
    """The files that declare the environment, relative to the directory, sorted."""
    tree: tuple[str, ...] = ()
    """Why the build sees every file of the directory, each as `file:line: what`: the key is then the tree's. None: it
    sees the evidence only, or what evaluating it reads."""

    @property
    def whole_tree(self) -> bool:
        """Say whether every file counts."""
        return bool(self.tree)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the image of a declaration depends on besides builder and platform, and how firmly that is pinned."""

    digest: str
    """Equal text, same image."""
    pinning: str = LOOSE
    loose: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    """As `Found` has them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What all steps of one build together may use. All but `log` need the build engine."""

    memory: int = 4 * 2**30
    """Bytes."""
    cpus: float = 2.0
    processes: int = 2048
    """And threads."""
    disk: int = 10 * 2**30
    """Bytes that the steps write."""
    log: int = 8 * 2**20
    """Bytes of output."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where builders work: the same for every directory."""

    stores: Path
    """Folder with `nix/` and `gnu/`, which containers see as `/nix` and `/gnu`: what was built stays there. It need not
    exist."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Labels of every container that is made, so that a killed builder's are found."""
    limits: Limits = field(default_factory=Limits)
    views: bool = False
    """Whether sessions are given views of the stores: the engine then gets an image without what is in them."""
    space: str = ""
    """Namespace of the private repository that the directory is of; `""`: everybody's."""


@dataclass(frozen=True, slots=True)
class Order:
    """One build: of what, as what. Carries no user, no URL and no secret."""

    directory: Path
    found: Found
    inputs: Inputs
    name: str
    """The image's local name, with a tag."""
    labels: Mapping[str, str]
    date: int
    """Seconds since the epoch: the SOURCE_DATE_EPOCH of the build."""
    workshop: Workshop
    local_images: tuple[str, ...] = ()
    """Patterns: which images of the sessions' engine may be built on, where another engine builds."""
    afresh: bool = False
    """Use nothing that an earlier build has left: what is not pinned may be something else by now."""


@runtime_checkable
class Grounded(Protocol):
    """A builder whose inputs depend on something of this machine, besides the directory."""

    async def ground(self) -> str:
        """Another text, perhaps other inputs."""
        ...


@runtime_checkable
class Bare(Protocol):
    """A builder that has an environment for a directory which declares none."""

    def bare(self) -> Declaration:
        """What such a directory is taken to declare: no files."""
        ...


class Builder(Protocol):
    """Turns a directory into an image."""

    @property
    def name(self) -> str:
        """As events, labels and keys name it."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same directory would become another image."""
        ...

    @property
    def evaluates(self) -> bool:
        """Whether `inputs` runs what was declared: that takes minutes."""
        ...

    @property
    def looks_for(self) -> tuple[str, ...]:
        """The names of the files that it understands."""
        ...

    def detect(self, directory: Path) -> Declaration | None:
        """What the directory declares for this builder. Looks only. Raises EnvironmentConflict, EnvironmentBroken."""
        ...

    async def inputs(
        self, directory: Path, declared: Declaration, platform: str, workshop: Workshop, tell: Tell
    ) -> Inputs:
        """What the key covers. May evaluate what was declared, which is running it: behind walls, and cancellable.

        Raises EnvironmentBroken, and what `build` raises.
        """
        ...

    async def build(self, order: Order, tell: Tell) -> str:
        """Build; the image's engine id. Cancelling it stops everything that it started.

        Raises BuildFailed, BaseImageMissing, BuildBroken, EngineDown, and the error of a limit that was passed.
        """
        ...
