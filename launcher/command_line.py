"""What the commands of `repolaunch` have in common: options, and how a failure becomes a sentence and an exit code."""

from __future__ import annotations

import asyncio
import re
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


class Id(click.ParamType[str]):
    """An id, also from an address of which it is a part. Nothing else gets into a path that is asked for."""

    def __init__(self, name: str, form: str, looks: str) -> None:
        """`form`: a regular expression; `looks`: how a person is told what it matches."""
        self.name = name
        self._form = re.compile(form)
        self._looks = looks

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The id alone."""
        parts = value.split("/") if value.startswith(("http://", "https://")) else [value]
        found = next((part for part in parts if self._form.fullmatch(part)), None)
        if found is None:
            self.fail(f"{value!r} is no {self.name}'s id, which is {self._looks}.", param, ctx)
        return found


LAUNCH = click.argument("launch", type=Id("launch", "[0-9a-f]{32}", "32 of the characters 0 to 9 and a to f"))
PROJECT = click.argument("project", type=Id("project", "[a-z][a-z0-9]{9}", "10 letters and digits; see `projects`"))


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
