"""The command line: `repolaunch up`, `launch`, `projects`, `stop`, `doctor`, `run`, `restart`.

More of it is in `arranging.py`, `keeping.py`, `launching.py` and `administering.py`.

Exit codes: 0 done; 1 refused or failed, with a sentence on standard error; 2 wrong use.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from builders import logs
from launcher import __version__, administering, arranging, keeping, launching, settings
from launcher.command_line import AS_JSON, DATA, PROJECT, SETTINGS, with_client, with_installation
from launcher.operate.installation import Installation, open_installation
from launcher.operate.printer import Printer

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from launcher.operate.children import Child
    from launcher.operate.client import Client


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="repolaunch")
def main() -> None:
    """A link to a repository becomes a running, reproducible server with a workspace that lasts."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    # A stream that was let go of at Ctrl-C is no error, though tornado reports it with a traceback.
    logging.getLogger("tornado.application").setLevel(logging.CRITICAL)


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the public address.")
@DATA
@SETTINGS
@click.option("--example/--no-example", default=True, help="Serve and launch the bundled example.")
@click.option("--launch", "url", default="", metavar="URL", help="Launch this repository instead of the example.")
@click.option("--ref", default="", help="Branch, tag or commit of the repository to launch.")
@AS_JSON
def up(port: int | None, data: Path, file: Path | None, example: bool, url: str, ref: str, as_json: bool) -> None:
    """Run the service in the foreground. Ctrl-C stops what it started and keeps every workspace.

    With --json, prints one line of JSON with the base address when the service is ready.
    """
    from launcher.operate.up import Up, Wanted  # noqa: PLC0415  # Docker's SDK is slow to import

    def run(installation: Installation, chosen: settings.Settings) -> Coroutine[Any, Any, bool]:
        _log_as(chosen)
        return Up(installation, chosen, Wanted(example=example and not url, url=url, ref=ref, json=as_json)).run()

    if with_installation(data, file, run, find=open_installation, port=port):
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # no shell is wanted


@main.command("run")
@click.argument("part", type=click.Choice(("ground", "registry", "proxy", "hub", "worker", "launcher")))
@DATA
@SETTINGS
def run_part(part: str, data: Path, file: Path | None) -> None:
    """Run one part of the service in the foreground, for systemd, compose and the like."""
    from launcher.operate.part import become, prepare  # noqa: PLC0415  # Docker's SDK is slow to import

    def run(installation: Installation, chosen: settings.Settings) -> Coroutine[Any, Any, Child | None]:
        _log_as(chosen)
        return prepare(installation, chosen, part)

    child = with_installation(data, file, run, find=open_installation)
    if child is not None:
        become(child)


@main.command()
@click.argument("part", default="", metavar="[PART]")
@DATA
@SETTINGS
def restart(part: str, data: Path, file: Path | None) -> None:
    """Start the service that runs again, or one PART of it (launcher, hub, proxy, registry). Sessions go on.

    Without a PART it is `up` itself, and all of the code and settings that are there now: an upgrade.
    """
    from launcher.operate.restart import restart as again  # noqa: PLC0415  # Docker's SDK is slow to import

    async def run(installation: Installation, _: settings.Settings) -> None:
        await again(installation, part)
        click.echo(f"{part or 'The service'} was started again and answers.")

    with_installation(data, file, run)


@main.command()
@click.argument("url")
@click.option("--ref", default="", help="Branch, tag or commit.")
@DATA
@SETTINGS
@AS_JSON
@click.option("--log", "with_log", is_flag=True, help="Print the build's output too.")
@click.option("--afresh", is_flag=True, help="Build what is not pinned again and move the project to that.")
def launch(data: Path, file: Path | None, as_json: bool, with_log: bool, **asked: str | bool) -> None:
    """Launch a repository, or resume its project, and print where its session is."""

    async def run(client: Client) -> None:
        printer = Printer(lambda line: click.echo(line, err=as_json), log=with_log)
        final = await client.launch(asked, printer)
        if final["type"] != "ready":
            raise SystemExit(1)
        entry = await client.entry(final["project"])
        answer = {"project": final["project"], "url": entry.url, "token": entry.token}
        click.echo(json.dumps(answer) if as_json else f"\nYour session:  {entry.address}")

    with_client(data, file, run)


@main.command()
@DATA
@SETTINGS
@AS_JSON
@click.option("--archived", is_flag=True, help="Those that are archived, which are left out otherwise.")
def projects(data: Path, file: Path | None, as_json: bool, archived: bool) -> None:
    """List the projects."""

    async def run(client: Client) -> None:
        found = await client.call("GET", "/api/v1/projects" + ("?archived=true" if archived else ""))
        if as_json:
            click.echo(json.dumps(found))
            return
        for one in found:
            click.echo(f"{one['id']}  {one['state']:<8}  {one['commit'][:10]}  {one['url']}  {one['title']}")
        if not found:
            click.echo("No project is archived." if archived else "There are no projects yet.")

    with_client(data, file, run)


@main.command()
@PROJECT
@DATA
@SETTINGS
def stop(project: str, data: Path, file: Path | None) -> None:
    """Stop the session of a project. Its workspace stays."""

    async def run(client: Client) -> None:
        await client.call("DELETE", f"/api/v1/sessions/{project}")
        click.echo("The session is stopped; its workspace stays.")

    with_client(data, file, run)


@main.command()
@DATA
@SETTINGS
@AS_JSON
def doctor(data: Path, file: Path | None, as_json: bool) -> None:
    """Look at everything that the service stands on and say what to do for each. Exit code 1 if something is amiss."""
    from dataclasses import asdict  # noqa: PLC0415

    from launcher.operate.doctor import examine  # noqa: PLC0415  # Docker's SDK is slow to import

    async def run(installation: Installation, chosen: settings.Settings) -> None:
        findings = await examine(installation, chosen)
        if as_json:
            click.echo(json.dumps([asdict(one) for one in findings]))
        for one in findings if not as_json else ():
            click.echo(f"{'ok  ' if one.ok else 'FAIL'}  {one.name:<12} {one.seen}")
            if one.todo:
                click.echo(f"                    {one.todo}")
        if not all(one.ok for one in findings):
            raise SystemExit(1)

    with_installation(data, file, run)


for command in (*arranging.COMMANDS, *keeping.COMMANDS, *launching.COMMANDS, *administering.COMMANDS):
    main.add_command(command)


def _log_as(chosen: settings.Settings) -> None:
    """As the parts log, where that is not for people."""
    if chosen.log_format == logs.JSON:
        logs.begin(logs.JSON, "warning")


if __name__ == "__main__":
    main()
