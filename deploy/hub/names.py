"""Names of accounts that nobody may sign in as: projects, guests and services.

A project is a hub account of its own: whoever could sign in under its name would own its session.
"""

from __future__ import annotations

import re
import unicodedata

PROJECT_PREFIX = "project-"
GUEST_PREFIX = "guest-"
LAUNCHER = "launcher"
SUPERVISOR = "supervisor"
"""The service as which `repolaunch up` asks the hub."""
PROJECTS = "projects"
"""The group of all projects' accounts."""
PROJECT_ACCOUNT = re.compile(r"project-([a-z][a-z0-9]{9})", re.ASCII)

RESERVED_PREFIXES = (PROJECT_PREFIX, GUEST_PREFIX)
RESERVED_NAMES = frozenset({LAUNCHER, SUPERVISOR, "operator", "project", "guest", "jupyterhub"})


def folded(name: str) -> str:
    """What a person sees in `name`: compatibility forms, case, invisible characters and kinds of dash undone."""
    visible = (char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) not in {"Cf", "Cc"})
    dashes = ("-" if unicodedata.category(char) == "Pd" or char == "\N{MINUS SIGN}" else char for char in visible)
    return "".join(dashes).casefold().strip()


def is_reserved(name: str) -> bool:
    """Whether `name`, or what it looks like, belongs to a project, a guest or a service."""
    seen = folded(name)
    return seen in RESERVED_NAMES or seen.startswith(RESERVED_PREFIXES)


def is_guest(name: str) -> bool:
    """Whether this account was made by the guest handler."""
    return name.startswith(GUEST_PREFIX)


def project_of(account: str) -> str | None:
    """The id of the project whose account this is."""
    match = PROJECT_ACCOUNT.fullmatch(account)
    return match[1] if match else None
