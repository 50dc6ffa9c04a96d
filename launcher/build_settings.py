"""The settings of builds: a part of `launcher/settings.py`."""

from __future__ import annotations

import json
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from launcher.setting_kinds import Bytes  # noqa: TC001  # pydantic reads it


class SiteNixpkgs(BaseModel):
    """One state of nixpkgs: a revision, its date, and its archive with the hash of what is in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rev: str = Field(pattern=r"^[0-9a-f]{40}$")
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    url: str = Field(pattern=r"^https?://\S+$")
    sha256: str = Field(min_length=1)


def _from_text(value: object) -> object:
    """What the environment says, as the settings file would; a value that is no JSON is told of as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value else None
    except ValueError:
        return value


Nixpkgs = Annotated[SiteNixpkgs | None, BeforeValidator(_from_text)]


SHARED: Final = "shared"
"""Of `build_engine`: the engine of the sessions builds."""


class BuildSettings(BaseModel):
    """What an operator may choose about builds."""

    build_timeout_s: float = Field(3600, gt=0, description="Seconds that one build may take.")
    build_limit: int = Field(2, ge=1, description="Builds at one time; others wait and are told their place.")
    build_engine: str = Field(
        "own",
        description="Where images are built. `own`: in a container with an engine of its own, where the limits below "
        "hold and the egress rules do. `shared`: by the engine of the sessions, for machines that cannot run such a "
        "container; only time and output are limited, the egress rules hold for Nix and Guix alone, and private "
        "repositories are refused. Else the folder of a build engine that somebody else keeps.",
    )
    build_local_images: tuple[str, ...] = Field(
        ("localhost/repolaunch/base:*",),
        description="Images of this machine's engine that a build may start from (`debian:trixie`, "
        "`localhost/ours/*`); all others are fetched from their registries. Not with `shared`, where all may.",
    )
    build_memory: int = Field(4 * 2**30, ge=64 * 2**20, description="Bytes of memory of one build.")
    build_cpus: float = Field(2.0, gt=0, description="Processor cores of one build.")
    build_processes: int = Field(2048, ge=64, description="Processes and threads of one build.")
    build_disk: int = Field(10 * 2**30, ge=2**20, description="Bytes that the steps of one build may write.")
    build_log: int = Field(8 * 2**20, ge=2**16, description="Bytes of output of one build.")
    build_cache: int = Field(
        20 * 2**30, ge=2**20, description="Bytes of build cache that the build engine keeps; the oldest goes first."
    )
    archive_max_bytes: Bytes = Field(
        512 * 2**20,
        description="Bytes of a commit's files that are kept, packed, in the registry when it is launched: a launch "
        "then works though the repository's host is away or no longer has them. Larger ones are not kept. 0: none is, "
        "and what was kept is not used.",
    )
    stores: str = Field(
        "",
        description="Folder of what Nix and Guix have built: it grows with every environment, and belongs on a local "
        "disk. Empty: `stores` in the data folder. A build engine that somebody else keeps must have it at the same "
        "place, and so must a hub in a container.",
    )
    mount_stores: bool = Field(
        default=True,
        description="Whether sessions see their Nix or Guix environment in the stores themselves, read-only, not in "
        "an image that the container engine has to unpack first: the first session of an environment starts many "
        "seconds earlier, and nothing lies on the disk twice. The image is pushed to the registry all the same. Where "
        "the engine does not see the folder of the stores, `up` says so and sessions get images.",
    )
    closure: str = Field(
        "",
        description="Folder where set-up keeps the notebook server of Nix and Guix images (its `REPOLAUNCH_CLOSURE`). "
        "Empty: `repolaunch/closure` in the cache of the user that runs the service, else in `/var/cache` (root's).",
    )
    nixpkgs: Nixpkgs = Field(
        None,
        description="The nixpkgs that is meant where an author says `<nixpkgs>` and thereby pins none: `rev`, `date`, "
        "`url` of its archive and `sha256` of what is in it; in the environment as JSON. The launch page says that "
        "the site has chosen it, and how to pin it. Empty: such declarations are refused.",
    )
    nix_caches: str = Field(
        "",
        description='Binary caches that Nix copies finished paths from, a JSON list: `[{"url": "https://…", "key": '
        '"name:public key"}]`; `folder` in place of `url` is one below `stores`. Only what is signed with its key is '
        "taken. Empty: everything is built from its sources.",
    )
    store_cache: str = Field(
        "",
        pattern=r"^$|^https?://[^\s?#'\"\\]+$|^[^/\s,:'\"\\][^\s,:'\"\\]*$",
        description="The site's own cache: what Nix and Guix have built is copied there, signed with a key that this "
        "site makes for itself, and looked for there before it is built again. An http(s) address that takes PUT, or a "
        "folder below `stores`. `docs/how-to/caches.md`. Empty: there is none.",
    )
    guix_channels: str = Field(
        "",
        description="File with the Guix channels that are meant where an author has no `channels.scm`; the launch "
        "page says so. Empty: the Guix of the image, as Debian has it.",
    )
    guix: str = Field(
        "",
        description='How Guix is run, a JSON object: `{"substitutes": ["https://…"]}` says where what is already '
        "built may come from. `docs/explanation/guix.md` has all of it. Empty: everything is built from its sources.",
    )
