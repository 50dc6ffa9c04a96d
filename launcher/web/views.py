"""What handlers see of things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.events import State
    from launcher.model import Account, Project, RepoRef


class LaunchView(Protocol):
    """A launch as it stands. Times are seconds since the epoch, UTC."""

    @property
    def id(self) -> str: ...
    @property
    def account(self) -> Account: ...
    @property
    def ref(self) -> RepoRef: ...
    @property
    def urlpath(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def project(self) -> str | None: ...
    @property
    def commit(self) -> str | None: ...
    @property
    def created(self) -> float: ...
    @property
    def ended(self) -> float | None: ...
    @property
    def build_only(self) -> bool: ...


class ProjectView(Protocol):
    """A project, and what only lists show."""

    @property
    def project(self) -> Project: ...
    @property
    def title(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def used(self) -> float: ...


class SessionView(Protocol):
    """A server that exists now."""

    @property
    def project(self) -> str: ...
    @property
    def state(self) -> str:
        """`starting`, `running` or `stopping`."""
        ...


class CredentialView(Protocol):
    """A credential, without what opens."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def username(self) -> str: ...
    @property
    def public(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def used(self) -> float | None: ...


class Turn(Protocol):
    """How a launch stands in the queue (`launcher.gate.places.Turn`)."""

    @property
    def launch(self) -> str: ...
    @property
    def place(self) -> int: ...
    @property
    def ahead(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def since(self) -> float: ...


class Answer(Protocol):
    """What the hub is answered: a status and a JSON object."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> Mapping[str, object]: ...
