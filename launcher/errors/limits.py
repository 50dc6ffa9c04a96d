"""What can stand against a launch that was understood: who may, how often, how many at one time."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.errors.base import LauncherError, RetryLater


@dataclass(eq=False)
class TooOften(RetryLater):
    """A limit of so many within ten minutes is reached: `what` names it; there is room again after `seconds`."""

    what: str
    seconds: int


@dataclass(eq=False)
class QueueFull(RetryLater):
    """As many launches wait for a place as may wait. `reason`: what there is too much of, as of `events.Queued`."""

    waiting: int
    seconds: int
    reason: str = "sessions"


@dataclass(eq=False)
class LaunchClosed(LauncherError):
    """Only `whom` may launch here, and who asks is not one of them."""

    whom: str


@dataclass(eq=False)
class RepositoryBanned(LauncherError):
    """The operator does not let this be launched; `spec` begins with the provider."""

    spec: str


@dataclass(eq=False)
class RepositoryNotAllowed(LauncherError):
    """The operator lets only some be launched, and this is none of them."""

    spec: str


@dataclass(eq=False)
class PersonBanned(LauncherError):
    """This person may not launch; `reason` is the operator's."""

    reason: str


@dataclass(eq=False)
class NetworkBanned(LauncherError):
    """Nothing of this network is answered; `label` is the operator's."""

    label: str


@dataclass(eq=False)
class PolicyBroken(LauncherError):
    """The operator's policy file cannot be read: the last good version stays in force. `place`: `line 7`, if known."""

    reason: str
    place: str = ""
