"""The commands that name a project, put it away and take it back."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from launcher.command_line import AS_JSON, DATA, PROJECT, SETTINGS, with_client

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.operate.client import Client


@click.command()
@PROJECT
@click.argument("title")
@DATA
@SETTINGS
@AS_JSON
def rename(project: str, title: str, data: Path, file: Path | None, as_json: bool) -> None:
    """Give PROJECT another TITLE, which lists show."""
    said = "{id} is called “{title}” now."
    with_client(data, file, partial(_change, project, {"title": title}, None if as_json else said))


@click.command()
@PROJECT
@DATA
@SETTINGS
@AS_JSON
def archive(project: str, data: Path, file: Path | None, as_json: bool) -> None:
    """Put PROJECT away: its files stay, and its link makes a new project. Its session has to be stopped."""
    said = "{id} is archived; its files stay."
    with_client(data, file, partial(_change, project, {"archived": True}, None if as_json else said))


@click.command()
@PROJECT
@DATA
@SETTINGS
@AS_JSON
def unarchive(project: str, data: Path, file: Path | None, as_json: bool) -> None:
    """Take PROJECT back: its link leads to it again, with the files that it had."""
    said = "{id} is back: {link} leads to it."
    with_client(data, file, partial(_change, project, {"archived": False}, None if as_json else said))


async def _change(project: str, change: dict[str, Any], said: str | None, client: Client) -> None:
    """Change it, and print `said` with what it is then; None: all of it as JSON."""
    found = await client.call("PATCH", f"/api/v1/projects/{project}", change)
    click.echo(json.dumps(found) if said is None else said.format_map(found))


COMMANDS = (rename, archive, unarchive)
