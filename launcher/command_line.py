"""What the commands of `repolaunch` have in common: options, and how a failure becomes a sentence and an exit code."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from launcher import settings
from launcher.disks import FULL
from launcher.operate.client import Client, Refused
from launcher.operate.installation import Installation, InstallationError, find_installation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Result = TypeVar("Result")
DATA = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), default=Path("data"), show_default=True,
    envvar="REPOLAUNCH_DATA", help="The data folder: everything that the service keeps.",
)  # fmt: skip
SETTINGS = click.option(
    "--settings", "file", type=click.Path(path_type=Path, dir_okay=False), envvar="REPOLAUNCH_SETTINGS",
    help="The settings file (TOML).",
)  # fmt: skip
NO_ROOM = "There is no room left on a disk. What was saved before is kept. Make room; `repolaunch doctor` shows where."
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of sentences.")


def with_client(data: Path, file: Path | None, run: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    """Run a command that asks the running service, as its operator."""

    async def run_with(installation: Installation, _: settings.Settings) -> None:
        noted = installation.service()
        await run(Client(noted["local_url"], installation.secret("operator-token"), noted["base_url"]))

    with_installation(data, file, run_with)


def with_installation(
    data: Path,
    file: Path | None,
    run: Callable[[Any, settings.Settings], Coroutine[Any, Any, Result]],
    *,
    find: Callable[[Path], Installation | None] = find_installation,
    **overrides: Any,
) -> Result:
    """Run a command on the installation at `data`."""
    try:
        chosen = settings.load(file, **overrides)
        return asyncio.run(run(find(data), chosen))
    except (settings.SettingWrong, InstallationError, Refused) as error:
        click.echo(str(error), err=True)
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        click.echo(NO_ROOM, err=True)
        raise SystemExit(1) from None
