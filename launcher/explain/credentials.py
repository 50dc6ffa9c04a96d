"""How what went wrong with people's own credentials is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from launcher import errors
from launcher.explain.row import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

OPENED: Final = frozenset({"repository-missing", "repository-private", "credential-refused", "credential-damaged"})
"""Refusals that a credential may turn: of a private repository nobody is told more than that it is not there."""

ROWS: Final[Mapping[type[errors.LauncherError], Row]] = {
    errors.CredentialRefused: Row(
        "credential-refused",
        403,
        "Your credential does not open the repository",
        "The server of {url} says that it has no such repository, or none that your credential may read.",
        "Check the spelling. If it is right, make a new token that may read it, and keep that instead of the old one.",
    ),
    errors.HostKeyUnknown: Row(
        "host-key-unknown",
        502,
        "The repository's server may be another one",
        "The server of {url} shows a host key that this site does not know.",
        "Ask the operator to list it in `ssh_known_hosts`, or launch the repository by its https address.",
    ),
    errors.ConnectFailed: Row(
        "connect-failed",
        502,
        "The git host gave no token",
        "Asking {site} failed: {reason}.",
        "Try again later. If it stays so, tell the operator, whose application there may have been changed.",
    ),
    errors.CredentialMissing: Row(
        "credential-missing",
        404,
        "There is no such credential",
        "You keep no credential that is called “{id}”.",
        "Look at the list of those that you keep.",
    ),
    errors.CredentialDamaged: Row(
        "credential-damaged",
        500,
        "Your credential cannot be opened",
        "It was locked with a key that this site no longer has.",
        "Remove it and keep it anew.",
    ),
    errors.PrivateNotHere: Row(
        "private-not-here",
        403,
        "This site opens no private repositories",
        "It builds in the engine of its sessions, where anybody's build may start from every image.",
        "Ask the operator to give builds an engine of their own (`build_engine`).",
    ),
    errors.NamesNotProven: Row(
        "names-not-proven",
        403,
        "This site keeps no credentials",
        "People sign in here with one password that all share, under any name: anybody could use what yours keeps.",
        "Ask the operator for a way to sign in that proves who you are (`authenticator`).",
    ),
    errors.CredentialsFull: Row(
        "credentials-full",
        409,
        "You keep too many credentials",
        "One person may keep {limit}.",
        "Remove one that you no longer use.",
    ),
}
