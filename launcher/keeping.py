"""The commands for what is kept: backups, where images came from, and what nobody uses any more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click

from launcher.command_line import AS_JSON, DATA, SETTINGS, with_installation
from launcher.operate import restic
from launcher.operate.client import Client

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from launcher.operate.installation import Installation
    from launcher.settings import Settings

OF_IMAGE = click.option("--ref", default="", help="Branch, tag or commit, where IMAGE is a link.")


@click.command()
@click.argument("image")
@OF_IMAGE
@DATA
@SETTINGS
@AS_JSON
def provenance(image: str, ref: str, data: Path, file: Path | None, as_json: bool) -> None:
    """Say where an IMAGE came from: its name, its digest, an environment's key, or a link that was launched.

    With --json the documents themselves: in-toto's statement and CycloneDX's list, by media type.
    """
    from launcher.operate.papers import Papers, told  # noqa: PLC0415  # Docker's SDK is slow to import

    async def run(installation: Installation, chosen: Settings) -> None:
        asked = Papers(installation, chosen)
        name = await asked.image_of(image, ref)
        found = await asked.papers(name)
        if as_json:
            click.echo(json.dumps({"image": name, "documents": found}))
            return
        click.echo("\n".join([name, *told(found)]))

    with_installation(data, file, run)


@click.command()
@click.argument("image")
@OF_IMAGE
@DATA
@SETTINGS
@AS_JSON
def verify(image: str, ref: str, data: Path, file: Path | None, as_json: bool) -> None:
    """Build an IMAGE again in an empty store, and compare. Exit code 1 unless it is identical.

    IMAGE is a name, a digest, an environment's key, or a link that was launched.
    """
    from launcher.operate.papers import Papers  # noqa: PLC0415  # Docker's SDK is slow to import

    async def run(installation: Installation, chosen: Settings) -> None:
        asked = Papers(installation, chosen)
        name = await asked.image_of(image, ref)
        found = await asked.verify(name)
        if as_json:
            click.echo(json.dumps({"image": name, "verdict": found.verdict, "difference": found.difference}))
        else:
            click.echo(f"{found.verdict}: {found.difference}" if found.difference else found.verdict)
        if found.verdict != "identical":
            raise SystemExit(1)

    with_installation(data, file, run)


PASSWORD_FILE = click.option(
    "--password-file", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with the password of the backup; RESTIC_PASSWORD_FILE and its kin work too.",
)  # fmt: skip


@click.command()
@click.argument("to")
@DATA
@SETTINGS
@PASSWORD_FILE
@click.option("--with-registry", is_flag=True, help="Also the images of the registry of our own.")
@click.option("--verify", is_flag=True, help="Read every byte of the backup again when it is made.")
def backup(to: str, data: Path, file: Path | None, password_file: Path | None, **asked: bool) -> None:
    """Keep databases, secrets, settings and workspaces, while the service runs.

    TO is a folder, or an address that restic knows (sftp:…, s3:…, rest:…). Each run writes only what is new.
    """
    from launcher.operate import backup as making  # noqa: PLC0415  # databases are slow to import

    async def run(installation: Installation, chosen: Settings) -> None:
        wanted = making.Wanted(file, asked["with_registry"], asked["verify"])
        await making.backup(installation, chosen, restic.open_restic(to, password_file), wanted, click.echo)

    with_installation(data, file, run)


@click.command()
@click.argument("from_", metavar="FROM")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), required=True, help="An empty folder.")
@SETTINGS
@PASSWORD_FILE
@click.option("--snapshot", default="", help="The id of one backup; otherwise it is the newest.")
def restore(from_: str, data: Path, file: Path | None, password_file: Path | None, snapshot: str) -> None:
    """Make a data folder from a backup: on another machine, or after the disk was lost."""
    from launcher.operate import restore as putting  # noqa: PLC0415  # databases are slow to import

    def run(_: None, chosen: Settings) -> Coroutine[Any, Any, None]:
        return putting.restore(data, chosen, restic.open_restic(from_, password_file), snapshot, click.echo)

    with_installation(data, file, run, find=lambda _: None)


@click.command()
@click.option("--dry-run", is_flag=True, help="Remove nothing: say what would go, and why each other stays.")
@click.option("--all", "every", is_flag=True, help="All that nobody uses, however much room there is.")
@DATA
@SETTINGS
@AS_JSON
def gc(dry_run: bool, every: bool, data: Path, file: Path | None, as_json: bool) -> None:
    """Collect images, archived commits and stores that nobody uses, down to the low marks. Launches go on meanwhile.

    Never what a project uses or a pin names. What is launched again is built again, or comes from the archive.
    """
    from launcher.operate.collection import told  # noqa: PLC0415  # no other command needs it

    async def run(installation: Installation, _: Settings) -> None:
        found = await _asked(installation, "/api/v1/collection", {"every": every}, dry_run=dry_run)
        click.echo(json.dumps(found) if as_json else "\n".join(told(found, dry_run=dry_run)))

    with_installation(data, file, run)


@click.command()
@click.argument("url")
@click.option("--dry-run", is_flag=True, help="Remove nothing: say what would go, and why each other stays.")
@DATA
@SETTINGS
@AS_JSON
def forget(url: str, dry_run: bool, data: Path, file: Path | None, as_json: bool) -> None:
    """Forget a repository: its images, archived commits, store environments, checkouts, and what was found in it.

    Never a workspace, nor what a project starts from: which projects those are is said. Exit code 1: something stays.
    """
    from launcher.operate.collection import told_forgotten  # noqa: PLC0415  # no other command needs it

    async def run(installation: Installation, _: Settings) -> None:
        found = await _asked(installation, "/api/v1/forgetting", {"url": url}, dry_run=dry_run)
        click.echo(json.dumps(found) if as_json else "\n".join(told_forgotten(found, dry_run=dry_run)))
        if found["kept"] and not dry_run:
            raise SystemExit(1)

    with_installation(data, file, run)


async def _asked(installation: Installation, path: str, what: dict[str, str | bool], *, dry_run: bool) -> Any:
    """What the running service would do, or has done."""
    noted = installation.service()
    client = Client(noted["local_url"], installation.secret("operator-token"), noted["base_url"])
    if not dry_run:
        return await client.call("POST", path, what, limit_s=0)
    query = {name: text if isinstance(text, str) else json.dumps(text) for name, text in what.items()}
    return await client.call("GET", f"{path}?{urlencode(query)}", limit_s=0)


COMMANDS = (backup, restore, provenance, verify, gc, forget)
