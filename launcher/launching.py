"""The commands for one launch: build, follow, cancel; and the badge of a link."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

import click

from launcher.command_line import AS_JSON, DATA, LAUNCH, SETTINGS, with_client
from launcher.operate.printer import Printer

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.operate.client import Client

REF = click.option("--ref", default="", help="Branch, tag or commit.")
FORMATS = ("link", "markdown", "rst", "html", "latex", "org", "svg", "qr")


@click.command()
@click.argument("link")
@REF
@DATA
@SETTINGS
@AS_JSON
@click.option("--quiet", is_flag=True, help="Leave the build's output out.")
def build(link: str, ref: str, data: Path, file: Path | None, *, as_json: bool, quiet: bool) -> None:
    """Build the image of a LINK, or find it, and print its name. No project is made and no session starts.

    The service builds, and goes on when this is interrupted. Exit code 1 when it fails.
    """

    async def run(client: Client) -> None:
        printer = Printer(lambda line: click.echo(line, err=True), log=not quiet)
        final = await client.launch({"url": link, "ref": ref, "build_only": True}, printer)
        if final["type"] != "ready":
            raise SystemExit(1)
        answer = {"image": final["image"], "pinning": final["pinning"], "built": final["built"]}
        click.echo(json.dumps(answer) if as_json else final["image"])

    with_client(data, file, run)


@click.command()
@click.argument("link")
@REF
@click.option("--format", "form", type=click.Choice(FORMATS), default="markdown", show_default=True,
              help="`svg`: the QR code as a picture, for slides; `qr`: the QR code on this terminal.")  # fmt: skip
@DATA
@SETTINGS
@AS_JSON
def badge(link: str, ref: str, form: str, data: Path, file: Path | None, *, as_json: bool) -> None:
    """Print the badge of a LINK: what to paste into a README, a paper or slides.

    LINK is whatever the home page takes: a repository's address, a DOI, a launch link. With --json: all forms.
    """

    async def run(client: Client) -> None:
        asked = urlencode({"url": link, "ref": ref})
        found = await client.call("GET", f"/api/v1/links?{asked}")
        target = urljoin(client.public_url, found["link"])
        if as_json:
            click.echo(json.dumps({"link": target, "moves": found["moves"], **found["badges"]}))
            return
        click.echo(await _drawn(client, form, target, asked, found["badges"]))
        if found["moves"]:
            click.echo("This link follows a branch: give --ref with a commit for one that always stays.", err=True)

    with_client(data, file, run)


async def _drawn(client: Client, form: str, target: str, asked: str, badges: dict[str, str]) -> str:
    if form == "link":
        return target
    if form == "svg":
        return await client.text(f"/api/v1/links/qr.svg?{asked}")
    if form == "qr":
        return _on_terminal(target)
    return badges[form]


def _on_terminal(target: str) -> str:
    import io  # noqa: PLC0415  # with segno

    import segno  # noqa: PLC0415  # no other command needs it

    out = io.StringIO()
    segno.make(target, error="m", micro=False).terminal(out, compact=True)
    return out.getvalue().rstrip("\n")


@click.command()
@LAUNCH
@DATA
@SETTINGS
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON.")
def logs(launch: str, data: Path, file: Path | None, *, as_json: bool) -> None:
    """Print all that a LAUNCH has told, and follow it to its end. LAUNCH is its id, or its page's address.

    Exit code 1 when the launch failed.
    """

    async def run(client: Client) -> None:
        found = await client.call("GET", f"/api/v1/launches/{launch}")
        printer = Printer(click.echo, log=True)

        def told(event: dict[str, Any]) -> None:
            click.echo(json.dumps(event)) if as_json else printer(event)

        final = await client.follow(found, told)
        if final["type"] == "ready" and not as_json:
            click.echo(final["message"])
        if final["type"] == "failed":
            raise SystemExit(1)

    with_client(data, file, run)


@click.command()
@LAUNCH
@DATA
@SETTINGS
@AS_JSON
def cancel(launch: str, data: Path, file: Path | None, *, as_json: bool) -> None:
    """Stop a LAUNCH that is under way, and its build if nobody else waits for it. One that has ended stays as it is."""

    async def run(client: Client) -> None:
        found = await client.call("DELETE", f"/api/v1/launches/{launch}")
        said = "The launch is stopped." if found["state"] == "cancelled" else f"The launch had ended: {found['state']}."
        click.echo(json.dumps(found) if as_json else said)

    with_client(data, file, run)


COMMANDS = (build, badge, logs, cancel)
