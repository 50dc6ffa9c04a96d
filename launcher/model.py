"""The words of the project, as types. Before and after a stage are different types.

Everything here is frozen and free of behaviour that touches the outside world.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


# --------------------------------------------------------------------------- repositories
@dataclass(frozen=True, slots=True)
class RepoRef:
    """Where a link points; it may move (a branch, a tag).

    Guarantees: `provider` is a row of the table of providers, `url` was parsed and carries no
    credentials, `ref` neither begins with `-` nor holds control characters; `""` means the
    repository's default (`HEAD`).
    """

    provider: str
    spec: str
    """As a launch path says it, in its canonical form: `/v2/<provider>/<spec>` leads here."""
    url: str
    """What git is given: one of http, https, git, ssh (or file, where the operator allows it).

    Of a record (a DOI, an archive's id) it is where people find it; git is given nothing.
    """
    ref: str


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A file of a record, and where it is downloaded."""

    path: str
    """In the record, with `/` between folders, as the provider says it: not yet checked."""
    url: str
    size: int = -1
    """Bytes; -1 where the provider does not say."""
    checksum: str = ""
    """`md5:…`, `sha1:…`, `sha256:…` or `sha512:…` in lower-case hexadecimal digits; `""`: the provider gives none."""


@dataclass(frozen=True, slots=True)
class Record:
    """One version of what an archive holds: files without a history. It cannot move."""

    id: str
    """As people cite the version, and another one for each: `10.5281/zenodo.3242074`."""
    date: int
    """When the version was made, seconds since the epoch; the same whenever one asks."""
    files: tuple[RecordFile, ...]
    form: str = "files"
    """`plain`: files as they are. `files`: the same, but a single zip archive is unpacked. `tar`: one of everything."""
    tree: str = ""
    """The git tree id that the files have to have, where the archive says it."""
    concept: str = ""
    """What all its versions are cited by together: `10.5281/zenodo.3242073`; `""`: they have no such name."""


@dataclass(frozen=True, slots=True)
class Private:
    """How a repository was opened that does not open to everybody. Nothing of it is a secret."""

    account: str
    """Whose credential opened it."""
    credential: str
    """The credential's id."""
    space: str
    """The namespace of all that is made of it: 32 hexadecimal digits that nobody can guess (docs/adr/0019)."""


@dataclass(frozen=True, slots=True)
class ResolvedRepo:
    """One commit of one repository, or one version of a record; it cannot move.

    `commit` is the full lower-case hexadecimal id. Of a record it is `""` until its files are here: they are then in a
    commit of our own making, always the same one for the same files (`Checkout.repo` has it).
    """

    origin: RepoRef
    commit: str
    name: str
    """The full name that was found (`refs/heads/main`), or `""` when the link gave a commit."""
    archived: bool = False
    """The repository did not give it, or its files: these are the ones that were archived."""
    record: Record | None = None
    private: Private | None = None
    """None: everybody may have it."""

    @property
    def space(self) -> str:
        """The namespace of what is made of it; `""`: the one of everybody."""
        return self.private.space if self.private else ""

    @property
    def url(self) -> str:
        """The repository's address, without credentials."""
        return self.origin.url

    @property
    def version(self) -> str:
        """What it is, for people: the beginning of the commit, or the record's version."""
        return self.record.id if self.record else self.commit[:10]


@dataclass(frozen=True, slots=True)
class Checkout:
    """The files of one commit on disk: `path` is a git clone whose work tree is the commit's. `repo` has the commit.

    Shared between launches: read it, never write to it; it lives as long as its lease.
    """

    repo: ResolvedRepo
    path: Path
    tree: str
    """Equal tree, equal files: the commit's git tree id, or a digest of it where submodules or large files are here."""

    @property
    def known_as(self) -> str:
        """What is remembered of the tree is remembered by this: of a private repository it is its namespace's own."""
        space = self.repo.space
        return hashlib.sha256(f"{space} {self.tree}".encode()).hexdigest() if space else self.tree


# --------------------------------------------------------------------------- environments and images
@dataclass(frozen=True, slots=True)
class Environment:
    """What the files of a checkout declare. Equal `key`, same image (docs/explanation/keys.md)."""

    builder: str
    builder_version: str
    evidence: tuple[str, ...]
    """The files that declare it, relative to the checkout, sorted."""
    key: str
    """64 lower-case hexadecimal digits."""
    platform: str
    """As OCI names it: `linux/amd64`."""
    pinning: str = "not-pinned"
    """How firmly: `reproducible`, `locked` or `not-pinned` (docs/explanation/keys.md)."""
    loose: tuple[str, ...] = ()
    """What is not pinned, each as `file:line: what`."""
    advice: tuple[str, ...] = ()
    """Lines that would pin it."""
    tree: tuple[str, ...] = ()
    """Why every file of the checkout counts, each as `file:line: what`; none: what declares it alone does."""
    space: str = ""
    """As Private has it; the key is one of this namespace alone."""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image in a registry, by digest. Cannot move."""

    registry: str
    """host[:port], no scheme."""
    repository: str
    digest: str
    """`sha256:` and 64 hexadecimal digits."""

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}@{self.digest}"


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a session must know of an image before it starts it; found once by looking at it, never by running it."""

    engine_id: str
    """The image's configuration digest (`sha256:…`): Docker's image id."""
    home: str
    """The image's own HOME for the user that it names (`/home/jovyan`), `/` where it names none."""
    repo_dir: str
    """REPO_DIR of repo2docker, else WORKDIR, else `""`."""
    path: str
    """The image's PATH."""
    server: tuple[str, ...]
    """The single-user server's command: `("/opt/server/bin/repolaunch-singleuser",)`."""
    entrypoint: tuple[str, ...]
    passwd: str
    """Text of the `/etc/passwd` with which uid 1000 has a name: the image's own, plus an entry if it had none."""
    user_site: tuple[str, ...] = ()
    """The image's own `~/.local/lib/python*/site-packages` folders that exist."""
    content: str = ""
    """Path in the image that holds the repository's files and more (what `postBuild` made); `""`: clone instead."""
    volumes: tuple[str, ...] = ()
    """Where the image declares volumes (`VOLUME`): normal absolute paths, sorted, none near the workspace."""
    jupyter_path: tuple[str, ...] = ()
    """The absolute folders of the image's JUPYTER_PATH: there are its kernels, where the server has none itself."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that a session can start from: always immutable.

    `ref` is None until its push has ended; until then the engine's id is what a session starts from.
    """

    key: str
    facts: ImageFacts
    ref: ImageRef | None
    built: float = 0.0
    """When this site built it, seconds since the epoch, UTC; 0: another one did, or it is not known."""
    pinning: str = ""
    """As Environment has it; `""`: not known."""
    space: str = ""
    """As Private has it, of the repository that it was built from."""

    @property
    def name(self) -> str:
        """What a container engine is given: the registry digest, else the engine's own image id."""
        return str(self.ref) if self.ref is not None else self.facts.engine_id


# --------------------------------------------------------------------------- people, projects, sessions
class Kind(StrEnum):
    """What sort of person or program asks."""

    GUEST = "guest"
    MEMBER = "member"
    OPERATOR = "operator"
    ANONYMOUS = "anonymous"
    """A program without a cookie (BinderHub's clients): gets a project and a token for itself alone."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks. `name` is the hub's user name; for ANONYMOUS it is `""`."""

    name: str
    kind: Kind
    groups: tuple[str, ...] = field(default=(), compare=False)
    """As the hub said when they asked; kept nowhere."""


class Role(StrEnum):
    """What a person may do in a project."""

    OWNER = "owner"
    EDITOR = "editor"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Project:
    """A repository, people, a workspace and the image its sessions use."""

    id: str
    """Ten of `[a-z0-9]`, begins with a letter. Its hub account is `project-<id>`."""
    owner: str
    """A hub user name, or the project's own account when a program without a cookie asked."""
    provider: str
    spec: str
    url: str
    ref: str
    commit: str
    image: Image
    temporary: bool
    token_entry: bool
    """True: entered by a token in the URL (a program asked); False: by cookie only."""
    archived: float | None = None
    """When it was put away: no link leads to it, and no session of it starts. None: it is not."""

    @property
    def account(self) -> str:
        """The hub account whose server is this project's session."""
        return f"project-{self.id}"


@dataclass(frozen=True, slots=True)
class Holder:
    """A container that may write in a workspace, and the engine that alone can say whether it still runs."""

    engine: str
    container: str


@dataclass(frozen=True, slots=True)
class Lease:
    """Whose turn it is to write in a workspace. `epoch` counts the turns; `holder` None: nobody has one."""

    epoch: int
    holder: Holder | None


@dataclass(frozen=True, slots=True)
class Session:
    """A running server of a project. `path` begins and ends with `/`: `/user/project-abc/`."""

    project: Project
    path: str
