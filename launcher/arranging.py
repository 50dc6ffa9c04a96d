"""The commands that name a project, put it away and take it back."""

from __future__ import annotations

import json
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

    async def run(client: Client) -> None:
        found = await client.call("PATCH", f"/api/v1/projects/{project}", {"title": title})
        _say(found, f"{project} is called “{found['title']}” now.", as_json=as_json)

    with_client(data, file, run)


@click.command()
@PROJECT
@DATA
@SETTINGS
@AS_JSON
def archive(project: str, data: Path, file: Path | None, as_json: bool) -> None:
    """Put PROJECT away: its files stay, and its link makes a new project. Its session has to be stopped."""

    async def run(client: Client) -> None:
        found = await client.call("PATCH", f"/api/v1/projects/{project}", {"archived": True})
        _say(found, f"{project} is archived; its files stay.", as_json=as_json)

    with_client(data, file, run)


@click.command()
@PROJECT
@DATA
@SETTINGS
@AS_JSON
def unarchive(project: str, data: Path, file: Path | None, as_json: bool) -> None:
    """Take PROJECT back: its link leads to it again, with the files that it had."""

    async def run(client: Client) -> None:
        found = await client.call("PATCH", f"/api/v1/projects/{project}", {"archived": False})
        _say(found, f"{project} is back: {found['link']} leads to it.", as_json=as_json)

    with_client(data, file, run)


def _say(found: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    click.echo(json.dumps(found) if as_json else sentence)


COMMANDS = (rename, archive, unarchive)
