"""The providers of records, as rows of the table of providers."""

from __future__ import annotations

from launcher.repos.provider import Provider
from launcher.repos.records import links

_VALIDATE = r"10\.\d+\/(.)+"
_DETECT = r"^(https?://(dx\.|www\.)?doi\.org/|doi:)?(?<repo>10\.\d+/.+)$"


def _by_doi(id: str, name: str, doi: str) -> Provider:  # noqa: A002  # as the field is called
    """A provider whose records have DOIs."""
    return Provider(
        id=id,
        name=f"{name} DOI",
        form="<DOI>",
        example=f"/v2/{id}/{doi}",
        validate=_VALIDATE,
        detect=_DETECT,
        label=f"{name} DOI",
        placeholder=doi,
        url_encode=False,
        parse=links.parse_doi,
        is_record=True,
    )


ROWS = (
    _by_doi("zenodo", "Zenodo", "10.5281/zenodo.3242074"),
    _by_doi("figshare", "Figshare", "10.6084/m9.figshare.9782777.v1"),
    _by_doi("dataverse", "Dataverse", "10.7910/DVN/TJCLKP"),
    Provider(
        id="hydroshare",
        name="Hydroshare resource",
        form="<32 hexadecimal digits of the resource>",
        example="/v2/hydroshare/142c59757ed54de1816777828c9716e7",
        validate=r"[^/]+",
        detect=r"^(https?://www\.hydroshare\.org/resource/)?(?<repo>[0-9a-f]{32})/?$",
        label="Hydroshare resource id or URL",
        placeholder="142c59757ed54de1816777828c9716e7",
        url_encode=True,
        parse=links.parse_hydroshare,
        is_record=True,
    ),
    Provider(
        id="ckan",
        name="CKAN dataset",
        form="<percent-encoded address of the dataset's page>",
        example="/v2/ckan/https%3A%2F%2Fdata.depositar.io%2Fdataset%2Fbinder-example-sea-turtle-sightings-in-taiwan",
        validate=r"[^/]+",
        detect="",
        label="CKAN dataset URL",
        placeholder="https://demo.ckan.org/dataset/sample-dataset-1",
        url_encode=True,
        parse=links.parse_ckan,
        is_record=True,
    ),
    Provider(
        id="swh",
        name="Software Heritage",
        form="swh:1:<dir, rev, rel or snp>:<40 hexadecimal digits>",
        example="/v2/swh/swh:1:dir:977fc4b98c0e85816348cebd3b12026407c368b6",
        validate=r"swh:1:(dir|rev|rel|snp):[0-9a-f]{40}.*",
        detect=r"^(https?://archive\.softwareheritage\.org/)?(?<repo>swh:1:[^/]+.*)$",
        label="Software Heritage id (SWHID)",
        placeholder="swh:1:rev:aafb16d69fd30ff58afdd69036a26047f3aebdc6",
        url_encode=False,
        parse=links.parse_swh,
        is_record=True,
    ),
)
