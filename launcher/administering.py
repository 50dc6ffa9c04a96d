"""`repolaunch admin`: bans and pins in the policy file, limits, and who waits."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from typing import TYPE_CHECKING, Any, TypeVar

import click

from launcher.command_line import AS_JSON, DATA, PROJECT, SETTINGS, with_client, with_installation
from launcher.errors import LauncherError
from launcher.explain import explain
from launcher.operate.client import sentences
from launcher.operate.installation import InstallationError
from launcher.operate.policy import change, pattern_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.operate.client import Client
    from launcher.operate.installation import Installation
    from launcher.operate.policy_text import PolicyText
    from launcher.settings import Settings

Result = TypeVar("Result")
KINDS = ("person", "network", "repository", "spec")
TABLES = {"person": "banned_people", "network": "banned_networks"}
FORCE = "It is in force within three seconds."
KIND = click.argument("kind", type=click.Choice(KINDS))
WHAT = click.argument("what", nargs=-1, required=True)


@click.group()
def admin() -> None:
    """Bans and pins in the policy file, limits, and who waits. The service need not be restarted, nor even run."""


@admin.command()
@KIND
@WHAT
@click.option("--reason", default="", help="A sentence that they are told (of a network: what it is).")
@DATA
@SETTINGS
def ban(kind: str, what: tuple[str, ...], reason: str, data: Path, file: Path | None) -> None:
    """Ban a person NAME, a network 203.0.113.0/24, a repository LINK, or a spec PROVIDER PATTERN.

    Who has a session keeps it.
    """

    async def run(installation: Installation, chosen: Settings) -> None:
        if kind in TABLES:
            name = _named(kind, _one(what))
            said = f"The {kind} {name}"
            await _change(installation, chosen, lambda text: text.name(TABLES[kind], name, reason))
        else:
            provider, pattern = _spec(kind, what, chosen)
            said = f"{provider}: {pattern}"
            await _change(installation, chosen, lambda text: text.ban(provider, pattern))
        click.echo(f"{said} is banned. {FORCE}")

    with_installation(data, file, run)


@admin.command()
@KIND
@WHAT
@DATA
@SETTINGS
def unban(kind: str, what: tuple[str, ...], data: Path, file: Path | None) -> None:
    """Lift a ban, named as `ban` names it. Exit code 1 if there is none."""

    async def run(installation: Installation, chosen: Settings) -> None:
        if kind in TABLES:
            name = _named(kind, _one(what))
            said = f"The {kind} {name}"
            was = await _change(installation, chosen, lambda text: text.unname(TABLES[kind], name))
        else:
            provider, pattern = _spec(kind, what, chosen)
            said = f"{provider}: {pattern}"
            was = await _change(installation, chosen, lambda text: text.unban(provider, pattern))
        if not was:
            raise InstallationError(f"{said} is not banned by itself; look at the policy file.")
        click.echo(f"{said} is banned no more. {FORCE}")

    with_installation(data, file, run)


async def _change(installation: Installation, chosen: Settings, edit: Callable[[PolicyText], Result]) -> Result:
    return await asyncio.to_thread(change, installation, chosen, edit)


def _one(what: tuple[str, ...]) -> str:
    if len(what) != 1:
        raise click.UsageError("Name one at a time.")
    return what[0]


def _named(kind: str, name: str) -> str:
    """As the policy names it: of a network its one form. What is no network is refused when the file is written."""
    try:
        return str(ipaddress.ip_network(name)) if kind == "network" else name
    except ValueError:
        return name


def _spec(kind: str, what: tuple[str, ...], chosen: Settings) -> tuple[str, str]:
    if kind == "spec":
        if len(what) != 2:  # noqa: PLR2004  # a provider and a pattern
            raise click.UsageError("A spec is a provider and a pattern: gh '^mallory/'.")
        return what[0], what[1]
    try:
        return pattern_of(_one(what), "", chosen)
    except LauncherError as error:
        told = explain(error)
        raise InstallationError(sentences(told.title, told.seen, told.todo)) from None


@admin.command()
@DATA
@SETTINGS
@AS_JSON
def limits(data: Path, file: Path | None, *, as_json: bool) -> None:
    """Say what the running service lets people have, and how full it is."""

    async def run(client: Client) -> None:
        found = await client.call("GET", "/api/v1/limits")
        if as_json:
            click.echo(json.dumps(found))
            return
        for line in _limits(found):
            click.echo(line)

    with_client(data, file, run)


def _limits(found: dict[str, Any]) -> list[str]:
    def most(number: int) -> str:
        return str(number) if number else "no limit"

    return [
        f"open to                  {found['open_to']}",
        f"sessions                 {found['taken']} taken; {most(found['sessions'])}",
        f"sessions of a repository {most(found['sessions_per_repository'])}",
        f"sessions of a person     {most(found['sessions_per_person'])}",
        f"waiting                  {found['waiting']}; at most {found['waiting_most']}",
        f"launches of an address   {most(found['launches_per_address'])} in ten minutes",
        f"launches of a member     {most(found['launches_per_person'])} in ten minutes",
    ]


@admin.command()
@DATA
@SETTINGS
@AS_JSON
def queue(data: Path, file: Path | None, *, as_json: bool) -> None:
    """List the launches that wait for a place, in the order of their places."""

    async def run(client: Client) -> None:
        found = await client.call("GET", "/api/v1/queue")
        if as_json:
            click.echo(json.dumps(found))
            return
        for one in found:
            who = one["account"] or "a program"
            click.echo(
                f"{one['place']:>4}  {one['launch']}  {one['since'][11:19]}  {one['reason']:<10}  {who}  {one['link']}"
            )
        if not found:
            click.echo("Nobody waits.")

    with_client(data, file, run)


@admin.command()
@click.argument("what")
@click.option("--ref", default="", help="Branch, tag or commit, where WHAT is a link.")
@click.option("--note", default="", help="Why, for those who read the file later.")
@DATA
@SETTINGS
def pin(what: str, ref: str, note: str, data: Path, file: Path | None) -> None:
    """Never collect WHAT: an environment's key, an image's digest, an archived commit, or a link that was launched.

    Of a link the environment that it leads to now is pinned: after it has moved, pin it again.
    """

    async def run(installation: Installation, chosen: Settings) -> None:
        key = await _pinned(installation, chosen, what, ref)
        said = note or (what if what != key else "")
        await _change(installation, chosen, lambda text: text.name("pins", key, said, keep=not note))
        click.echo(f"{key} is pinned: it is never collected.")

    with_installation(data, file, run)


@admin.command()
@click.argument("what")
@click.option("--ref", default="", help="Branch, tag or commit, where WHAT is a link.")
@DATA
@SETTINGS
def unpin(what: str, ref: str, data: Path, file: Path | None) -> None:
    """Let WHAT be collected again, when nobody uses it and there is too little room. Exit code 1: it is not pinned."""

    async def run(installation: Installation, chosen: Settings) -> None:
        key = await _pinned(installation, chosen, what, ref)
        if not await _change(installation, chosen, lambda text: text.unname("pins", key)):
            raise InstallationError(f"{key} is not pinned.")
        click.echo(f"{key} is pinned no more.")

    with_installation(data, file, run)


async def _pinned(installation: Installation, chosen: Settings, what: str, ref: str) -> str:
    """What a pin says of it: a key, a digest or a commit."""
    digits = what.rpartition("@")[2].removeprefix("sha256:")
    if set(digits) <= set("0123456789abcdef") and len(digits) in {40, 64}:
        return what.rpartition("@")[2]
    from launcher.operate.papers import Papers  # noqa: PLC0415  # Docker's SDK is slow to import

    return await Papers(installation, chosen).key_of(what, ref)


@admin.command()
@PROJECT
@DATA
@SETTINGS
def release(project: str, data: Path, file: Path | None) -> None:
    """Say that the container which last had PROJECT's files is gone for good.

    For a project that does not start because another container engine had it last, which cannot be asked any more.
    Look first: if that engine still runs the session, two would write to the same files.
    """

    async def run(client: Client) -> None:
        await client.call("DELETE", f"/api/v1/projects/{project}/lease")
        click.echo(f"{project} may be opened again.")

    with_client(data, file, run)


COMMANDS = (admin,)
