"""Where the named providers are: a part of `launcher/settings.py`."""

from __future__ import annotations

from pydantic import BaseModel, Field

from launcher.setting_kinds import ApiUrl  # noqa: TC001  # pydantic reads it


class ProviderSettings(BaseModel):
    """The base addresses; those of other sites are in the links, or where a DOI leads."""

    github_url: ApiUrl = Field("https://github.com", description="The site of the links `gh`.")
    gitlab_url: ApiUrl = Field("https://gitlab.com", description="The site of the links `gl`.")
    gist_url: ApiUrl = Field("https://gist.github.com", description="The site of the links `gist`.")
    doi_url: ApiUrl = Field("https://doi.org", description="Where DOIs are asked for (the Handle.Net REST interface).")
    zenodo_url: ApiUrl = Field(
        "https://zenodo.org", description="The site of the DOIs `10.5281/zenodo.…` (the REST interface of InvenioRDM)."
    )
    figshare_url: ApiUrl = Field(
        "https://api.figshare.com/v2", description="The interface of figshare, also of the portals of institutions."
    )
    hydroshare_url: ApiUrl = Field("https://www.hydroshare.org", description="The site of HydroShare.")
    swh_url: ApiUrl = Field("https://archive.softwareheritage.org", description="The site of Software Heritage.")
    provider_fresh_s: float = Field(
        60,
        ge=0,
        description="Seconds for which what a provider of records has said is believed, so that a class that opens one "
        "link is one question: providers count them. 0: each launch asks.",
    )
