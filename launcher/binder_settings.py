"""What pages of other sites may do here: the settings of BinderHub's interface."""

from __future__ import annotations

from pydantic import BaseModel, Field

from launcher.setting_kinds import Origins  # noqa: TC001  # pydantic reads it


class BinderSettings(BaseModel):
    """Part of `launcher.settings.Settings`."""

    allow_origin: Origins = Field(
        (),
        description="Sites whose pages may launch links with their scripts (thebe, BinderHub's client) and reach the "
        "session that such a launch starts: `https://book.example.org`, or `*` for every site. Sessions that people "
        "enter by their login are reached by no other site's page. Empty: none.",
    )
