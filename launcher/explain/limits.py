"""How it is told that a launch may not be, or not now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from launcher import errors
from launcher.explain.row import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

ROWS: Final[Mapping[type[errors.LauncherError], Row]] = {
    errors.TooOften: Row(
        "too-often",
        429,
        "Too many people at once",
        "{what} within ten minutes, and no more for now.",
        "Wait {seconds} seconds and try again. Whoever signs in has a limit of their own.",
    ),
    errors.QueueFull: Row(
        "queue-full",
        503,
        "All places are taken",
        "{waiting} launches wait for one already, and no more can wait.",
        "Try again in {seconds} seconds, or when somebody's session has ended. What was launched is kept.",
    ),
    errors.LaunchClosed: Row(
        "launch-closed",
        403,
        "You may not launch here",
        "This site is open to {whom} alone.",
        "Sign in with an account that may, or ask the operator.",
    ),
    errors.RepositoryBanned: Row(
        "repository-banned",
        403,
        "This repository may not be launched here",
        "The operator of this site has closed “{spec}”.",
        "Ask the operator, or launch it elsewhere.",
    ),
    errors.RepositoryNotAllowed: Row(
        "repository-not-allowed",
        403,
        "This repository may not be launched here",
        "“{spec}” is not among the repositories that this site launches.",
        "Ask the operator to add it, or launch it elsewhere.",
    ),
    errors.PersonBanned: Row(
        "person-banned",
        403,
        "You may not launch here",
        "The operator of this site has closed it to your account: {reason}.",
        "Ask the operator.",
    ),
    errors.NetworkBanned: Row(
        "network-banned",
        403,
        "Your network is not answered here",
        "The operator of this site has closed it to requests from {label}.",
        "Ask the operator, or come from another network.",
    ),
    errors.PolicyBroken: Row(
        "policy-broken",
        503,
        "The policy file cannot be read",
        "The policy file is broken; the last good one holds.",
        "Operators: mend the file; it is read again at once.",
        (("reason", "Why: {reason}."), ("place", "It is in {place} of the file.")),
    ),
}
