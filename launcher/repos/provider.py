"""What a provider is: a row of the table in `providers.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.repos import urls

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.settings import Settings


@dataclass(frozen=True, slots=True)
class Sites:
    """Where the named providers' repositories lie and which protocols may be used."""

    github: str = "https://github.com"
    gitlab: str = "https://gitlab.com"
    gist: str = "https://gist.github.com"
    doi: str = "https://doi.org"
    zenodo: str = "https://zenodo.org"
    figshare: str = "https://api.figshare.com/v2"
    hydroshare: str = "https://www.hydroshare.org"
    swh: str = "https://archive.softwareheritage.org"
    protocols: tuple[str, ...] = urls.PROTOCOLS


def sites_of(settings: Settings) -> Sites:
    """Where the operator says that they are."""
    return Sites(
        protocols=settings.allowed_protocols,
        github=settings.github_url,
        gitlab=settings.gitlab_url,
        gist=settings.gist_url,
        doi=settings.doi_url,
        zenodo=settings.zenodo_url,
        figshare=settings.figshare_url,
        hydroshare=settings.hydroshare_url,
        swh=settings.swh_url,
    )


@dataclass(frozen=True, slots=True)
class Provider:
    """A row of the table: how a launch path of this provider looks."""

    id: str
    name: str
    form: str
    """What the spec of a launch path looks like, for people."""
    example: str
    validate: str
    """A regular expression that a spec matches, as clients of /api/repoproviders use it."""
    detect: str
    """A regular expression that finds `<repo>` in what a person typed, or `""`."""
    label: str
    placeholder: str
    url_encode: bool
    """Whether a client percent-encodes the repository in a launch path."""
    parse: Callable[[str, Sites], tuple[str, str, str]]
    """spec → (canonical repository part, url, ref), all decoded; raises ValueError with the reason."""
    is_record: bool = False
    """Its links have no branch, tag or commit: they lead to records (`launcher/repos/records`)."""
