"""How what went wrong with a repository is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from launcher import errors
from launcher.explain.row import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

ROWS: Final[Mapping[type[errors.LauncherError], Row]] = {
    errors.HostUnreachable: Row(
        "host-unreachable",
        502,
        "The repository's server does not answer",
        "Asking {url} failed: {reason}.",
        "Check the address. If it is right, try again later.",
    ),
    errors.RepositoryMissing: Row(
        "repository-missing",
        404,
        "There is no such repository",
        "The server of {url} says that it has no such repository, or none that is public.",
        "Check the spelling. If it is private: sign in, keep a token for its server, and open the link again.",
    ),
    errors.RepositoryPrivate: Row(
        "repository-private",
        403,
        "The repository is private",
        "The server of {url} asks for a login.",
        "Make the repository public, or use one that is.",
    ),
    errors.RefMissing: Row(
        "ref-missing",
        404,
        "There is no such branch, tag or commit",
        "{url} has no branch, tag or commit that is called exactly “{ref}”.",
        "Correct the reference, or leave it out to get the repository's default branch.",
        (("similar", "It has: {similar}."),),
    ),
    errors.RefAmbiguous: Row(
        "ref-ambiguous",
        400,
        "The reference means more than one thing",
        "In {url}, “{ref}” is: {candidates}.",
        "Write one of these in full.",
    ),
    errors.RepositoryTooLarge: Row(
        "repository-too-large",
        413,
        "The repository is too large",
        "Fetching {url} passed the limit of {limit} {what}.",
        "Make the repository smaller, or ask the operator to raise the limit.",
    ),
    errors.CheckoutRefused: Row(
        "checkout-refused",
        422,
        "The repository's files cannot be used",
        "In {url}, “{path}” is refused: {reason}.",
        "Remove or rename the file in the repository.",
    ),
    errors.SubmoduleFailed: Row(
        "submodule-failed",
        422,
        "A submodule cannot be had",
        "In {url}, the submodule “{path}” cannot be had. {cause}",
        "Correct or remove it in `.gitmodules`. A network that is not open is the operator's to open.",
    ),
    errors.LfsFailed: Row(
        "lfs-failed",
        422,
        "A large file cannot be had",
        "In {url}, the Git LFS file “{path}” cannot be had. {cause}",
        "Push it to its server (`git lfs push --all`), or correct `.lfsconfig`. "
        "A network that is not open is the operator's to open.",
    ),
    errors.RateLimited: Row(
        "rate-limited",
        503,
        "The provider asks us to wait",
        "Too many questions came from here: {url} is not answered for now.",
        "Try again later.",
        (("wait", "It says for how long: {wait}."),),
    ),
    errors.RecordGone: Row(
        "record-gone",
        410,
        "The record was taken away",
        "The provider of {url} says that it was withdrawn or deleted.",
        "Look at the record's page, which may say why, or use another version of it.",
    ),
    errors.RecordUnfit: Row(
        "record-unfit",
        422,
        "This is no record that can be launched",
        "{url} cannot be launched: {reason}.",
        "Give the DOI or the address of a public record that has files.",
    ),
    errors.RecordElsewhere: Row(
        "record-elsewhere",
        422,
        "This DOI leads to no archive that is understood here",
        "{url} leads to {host}, to a page of no archive that is known here: of a publication, perhaps.",
        "Give the DOI of a record on Zenodo (or another site of its kind), figshare, Dataverse or HydroShare, a link "
        "to CKAN or Software Heritage, or the address of a git repository.",
    ),
    errors.RecordDamaged: Row(
        "record-damaged",
        502,
        "A file of the record cannot be had",
        "In {url}, “{path}” cannot be had: {reason}.",
        "Try again later. If it stays so, tell the provider of the record.",
    ),
}
