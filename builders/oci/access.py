"""How a registry is spoken to: where it is, with which login, whether by TLS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builders.variables import CA_FILE, PASSWORD, TLS, USERNAME

if TYPE_CHECKING:
    from collections.abc import Mapping

_HERE = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Access:
    """How a registry is spoken to."""

    host: str
    """`host[:port]`."""
    login: tuple[str, str] | None = None
    tls: bool = True
    ca_file: str | None = None
    """Of the authority that signed its certificate, where the system's own do not do."""


def access(host: str, environ: Mapping[str, str]) -> Access:
    """As the variables of a builder process say. Where they say nothing of TLS: without it on this machine only."""
    username = environ.get(USERNAME, "")
    login = (username, environ.get(PASSWORD, "")) if username else None
    here = host.rpartition(":")[0] in _HERE or host in _HERE
    tls = {"1": True, "0": False}.get(environ.get(TLS, ""), not here)
    return Access(host, login, tls, environ.get(CA_FILE) or None)
