"""How wrong launch links are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from launcher import errors
from launcher.explain.row import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

ROWS: Final[Mapping[type[errors.LauncherError], Row]] = {
    errors.UnknownProvider: Row(
        "unknown-provider",
        404,
        "Unknown provider",
        "The link names the provider “{provider}”.",
        "Use one of: {known}.",
    ),
    errors.BadSpec: Row(
        "bad-spec",
        400,
        "The link does not have the form of its provider",
        "For the provider “{provider}” the link says “{spec}”: {reason}.",
        "Write it as {form}.",
    ),
    errors.BadUrl: Row(
        "bad-url",
        400,
        "This is not the address of a repository",
        "The address is “{url}”: {reason}.",
        "Give the address that `git clone` would take, for example https://example.org/group/name.git.",
    ),
    errors.LocalPath: Row(
        "local-path",
        400,
        "This is a path on one computer",
        "“{url}” is a path on somebody's own computer, which nobody else can reach.",
        "Push it to a git host first (GitHub, GitLab, Codeberg, …), then give its address there.",
    ),
    errors.PublicationId: Row(
        "publication-id",
        400,
        "This names a publication, not a repository",
        "“{url}” is of {kind}: it names a publication, and holds no files to launch.",
        "Give the address of the repository with its code, or the DOI of its record on Zenodo, figshare, Dataverse or "
        "HydroShare: the publication often names it.",
    ),
    errors.SiteUnknown: Row(
        "site-unknown",
        400,
        "What is on this site cannot be launched",
        "“{url}” is a page of {site}: it is not a git repository, and files of that site are not fetched here.",
        "Give the address of a git repository, or the DOI or page of a record on Zenodo, figshare, Dataverse, "
        "HydroShare, CKAN or Software Heritage.",
    ),
    errors.ArchiveFile: Row(
        "archive-file",
        400,
        "This is a file, not a repository",
        "“{url}” is the address of a {form} file, not of a git repository.",
        "Give the address of the git repository that it was made from, or the DOI of a record that holds it on Zenodo, "
        "figshare, Dataverse or HydroShare.",
    ),
    errors.BadRef: Row(
        "bad-ref",
        400,
        "This cannot be a branch, tag or commit",
        "The reference is “{ref}”: {reason}.",
        "Give the name of a branch or tag, or a commit's id.",
    ),
    errors.ProtocolRefused: Row(
        "protocol-refused",
        400,
        "This protocol is not allowed",
        "The address “{url}” uses {protocol}.",
        "Use one of: {allowed}.",
    ),
    errors.AddressRefused: Row(
        "address-refused",
        403,
        "This address is not open to launches",
        "{host} leads to a {kind} address.",
        "Use a repository on a public server, or ask the operator to list its network in `allowed_networks`.",
        (("via", "{via} redirects there."),),
    ),
}
