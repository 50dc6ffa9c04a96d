"""The JSON of what the stores and the registry hold, and of letting it go."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from launcher.web.schemas import iso


class CollectionRequest(BaseModel):
    """What to collect."""

    model_config = ConfigDict(extra="forbid")

    every: bool = Field(default=False, description="All that nobody uses, however much room there is.")


class ForgettingRequest(BaseModel):
    """What to forget."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description="Address of the repository, as a link to launch has it.")


class Collected(BaseModel):
    """Something that is, or was, held."""

    kind: str = Field(description="`image`, `source` (archived files), `environment`, `channels`, `wheels`, `other`.")
    name: str = Field(description="An environment's key, a digest, a tag.")
    used: str | None = Field(description="When it was launched last; null: that is not known.")
    source: str
    commit: str
    reason: str = Field("", description="Why it stays.")
    frees: int = Field(0, description="Bytes that go with it, after those before it went.")


class Collection(BaseModel):
    """One place: what goes there and what stays, and why."""

    place: Literal["stores", "registry"]
    held: int | None = Field(description="Bytes; null: that was not measured.")
    disk_used: int | None
    disk_size: int | None
    wanted: int = Field(description="Bytes that are to be freed.")
    reason: str = Field(description="Why nothing goes, whatever room there is.")
    freed: int | None = Field(description="Bytes, as measured afterwards; null: nothing was collected.")
    going: list[Collected]
    kept: list[Collected]

    @classmethod
    def of(cls, report: Any) -> Collection:
        """A report as JSON."""
        used, size = report.room.disk or (None, None)
        return cls(
            place=report.place,
            held=report.room.held,
            disk_used=used,
            disk_size=size,
            wanted=report.wanted,
            reason=report.reason,
            freed=report.freed,
            going=[_collected(one.thing, frees=one.frees) for one in report.plan.going],
            kept=[_collected(one.thing, reason=one.reason) for one in report.plan.kept],
        )


class Forgotten(BaseModel):
    """What goes, or went, of a repository, and what stays, and why."""

    url: str
    going: list[Collected]
    kept: list[Collected]
    projects: list[str] = Field(description="Projects that use what stays, and the repository's own: their ids.")
    checkouts: int = Field(description="Folders with the files of its commits.")
    trees: int = Field(description="Trees of which it is forgotten what they declare.")

    @classmethod
    def of(cls, told: Any) -> Forgotten:
        """What was told, as JSON."""
        return cls(
            url=told.url,
            going=[_collected(one.thing, frees=one.frees) for one in told.plan.going],
            kept=[_collected(one.thing, reason=one.reason) for one in told.plan.kept],
            projects=list(told.projects),
            checkouts=told.checkouts,
            trees=told.trees,
        )


def _collected(thing: Any, *, reason: str = "", frees: int = 0) -> Collected:
    return Collected(
        kind=thing.kind,
        name=thing.name,
        used=iso(thing.used) if thing.used else None,
        source=thing.source,
        commit=thing.commit,
        reason=reason,
        frees=frees,
    )
