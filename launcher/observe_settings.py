"""The settings of what an operator sees: metrics, the record of launches, logs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class ObserveSettings(BaseModel):
    """What an operator may choose about it."""

    metrics_repositories: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Repositories that BinderHub's metrics name by their addresses: those that are launched most; "
        "the rest are `other`. 0: none is named.",
    )
    log_format: Literal["human", "json"] = Field(
        "human",
        description="How launcher, worker, hub and `up` log: `human`, or `json` (a JSON object on each line: `time`, "
        "`level`, `logger`, `message`, and `launch`, the id of the launch that the line belongs to).",
    )
    launch_log: Literal["file", "stdout", "off"] = Field(
        "file",
        description="Where a line of JSON goes for every launch that ended, and one as BinderHub's event log has it: "
        "`file` is `launcher/launches.jsonl` in the data folder (60 MiB at most); `stdout` is the launcher's log.",
    )
