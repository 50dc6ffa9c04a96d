"""The settings of builds: a part of `launcher/settings.py`."""

from __future__ import annotations

from pydantic import BaseModel, Field

from launcher.setting_kinds import Bytes  # noqa: TC001  # pydantic reads it


class BuildSettings(BaseModel):
    """What an operator may choose about builds."""

    build_timeout_s: float = Field(3600, gt=0, description="Seconds that one build may take.")
    build_limit: int = Field(2, ge=1, description="Builds at one time; others wait and are told their place.")
    build_engine: str = Field(
        "own",
        description="Where images are built. `own`: in a container with an engine of its own, where the limits below "
        "hold and the egress rules do. `shared`: by the engine of the sessions, for machines that cannot run such a "
        "container; only time and output are limited. Else the folder of a build engine that somebody else keeps.",
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
        "place.",
    )
