"""The settings of what is collected: a part of `launcher/settings.py`."""

from __future__ import annotations

from pydantic import BaseModel, Field, model_validator

from launcher.marks import parse_mark
from launcher.setting_kinds import Bytes, Watermark  # noqa: TC001  # pydantic reads them


class CollectSettings(BaseModel):
    """What an operator may choose about what is collected."""

    collect_hours: float = Field(
        1,
        ge=0,
        description="Hours between two looks at whether the registry and the stores have grown beyond their marks. 0: "
        "only `repolaunch gc` collects.",
    )
    registry_high: Watermark = Field(
        "85%",
        description="How full the disk of the registry of our own may become (`85%`), or how many bytes it may hold: "
        "beyond that, images and archived commits that nobody uses go, those launched longest ago first.",
    )
    registry_low: Watermark = Field("75%", description="Down to what they go; as `registry_high`.")
    stores_high: Watermark = Field(
        "85%",
        description="The same of the folder `stores`: environments of Nix and Guix, Guix's channels, wheels. A number "
        "of bytes is compared with what the folder takes, which reads all of it at each look.",
    )
    stores_low: Watermark = Field("75%", description="Down to what they go; as `stores_high`.")
    archive_repository_bytes: Bytes = Field(
        4 * 2**30,
        description="Bytes that the archived commits of one repository may take together in the registry: beyond that "
        "those launched longest ago go at the next collection, whatever room there is. One commit, and what a project "
        "uses or a pin names, stay. 0: no limit.",
    )
    collect_foreign_registry: bool = Field(
        default=False,
        description="Let images go from a registry that is not ours, too: beyond `registry_high` bytes their manifests "
        "are removed, and what that frees is for its operator to collect. Not where another service uses those names.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> CollectSettings:
        for place in ("registry", "stores"):
            high, low = (parse_mark(getattr(self, f"{place}_{which}")) for which in ("high", "low"))
            if high.percent == low.percent and low.amount > high.amount:
                raise ValueError(f"{place}_low is above {place}_high")
        return self
