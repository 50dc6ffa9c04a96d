"""What the launcher's process is started with.

`repolaunch up` gives it these variables:

| variable REPOLAUNCH_LAUNCHER_… | meaning |
|---|---|
| SETTINGS | the settings as JSON, complete |
| DATA | the data folder |
| INSTALLATION | the installation's id |
| PORT | where it listens, on the loopback address |
| TOKEN, RESOLVE_SECRET, COOKIE_SECRET, OPERATOR_TOKEN, CREDENTIALS_KEY, NAMESPACE_SECRET | secrets |
| HUB_API | the hub's REST interface |
| REGISTRY | host:port of the registry |
| ENGINE_ROOT | the folder where the container engine keeps its images; "" where it is not known |
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from launcher.settings import Settings

PREFIX = "REPOLAUNCH_LAUNCHER_"
OWN = "launcher"
"""The launcher's own folder in the data folder; it writes there, and where the checkouts are."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the launcher shares with the others, or keeps from everybody."""

    launcher_token: str
    resolve_secret: str
    cookie_secret: str
    operator_token: str
    credentials_key: str
    """Locks people's credentials; several, the first in use, after a rotation."""
    namespace_secret: str
    """Names private repositories' namespaces."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the process was started with."""

    settings: Settings
    data: Path
    id: str
    port: int
    secrets: Secrets
    hub_api: str
    registry: str
    engine_root: str


def given(environ: dict[str, str]) -> Given:
    """Read the table above."""
    told = {name.removeprefix(PREFIX): value for name, value in environ.items() if name.startswith(PREFIX)}
    locks = (told["CREDENTIALS_KEY"], told["NAMESPACE_SECRET"])
    secrets = Secrets(told["TOKEN"], told["RESOLVE_SECRET"], told["COOKIE_SECRET"], told["OPERATOR_TOKEN"], *locks)
    return Given(
        Settings.model_validate_json(told["SETTINGS"]),
        Path(told["DATA"]),
        told["INSTALLATION"],
        int(told["PORT"]),
        secrets,
        told["HUB_API"],
        told["REGISTRY"],
        told.get("ENGINE_ROOT", ""),
    )
