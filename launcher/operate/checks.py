"""What can only be known of the settings by looking at this machine. `up` looks before it starts anything."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from launcher.disks import free_bytes, size
from launcher.operate.account import account
from launcher.operate.egress.policy import policy
from launcher.operate.egress.table import TableWrong
from launcher.operate.installation import ROOT, InstallationError
from launcher.operate.passwords import SHARED, shared_password
from launcher.settings import SettingWrong
from launcher.store.database import database_url

if TYPE_CHECKING:
    from launcher.operate.installation import Installation
    from launcher.settings import Settings

IMPORT_S = 60
LEAST = 8 * 2**20
"""Bytes that the databases and the notes need to begin with."""
LOAD = """
import sys
sys.path.insert(0, sys.argv[2])
from jupyterhub.auth import Authenticator
from deploy.hub.authenticators import find
found = find(sys.argv[1])
if not (isinstance(found, type) and issubclass(found, Authenticator)):
    sys.exit("it is not an authenticator of JupyterHub")
"""
"""Run in a child: an authenticator may import anything."""


async def check(installation: Installation, settings: Settings) -> None:
    """Raises SettingWrong for the first setting that does not fit this machine, InstallationError without room."""
    await asyncio.to_thread(_room, installation)
    shared_password(installation, settings)
    account(settings)
    _database(settings.database_url)
    _file("hub_config", settings.hub_config)
    _file("registry_ca_file", settings.registry_ca_file)
    _egress(settings)
    if settings.registry_ca_file:
        _authority(settings.registry_ca_file)
    _tls(settings)
    await asyncio.to_thread(addresses, settings.host, settings.port)
    if settings.authenticator != SHARED:
        await _authenticator(settings.authenticator)


def _room(installation: Installation) -> None:
    """No part could keep what it is told; each would end with words of its own."""
    free = free_bytes(installation.folder)
    if free < LEAST:
        raise InstallationError(
            f"The disk of the data folder {installation.folder} has {size(free)} free; the service starts only with "
            f"{size(LEAST)} or more. Make room there and start it again; nothing was changed."
        )


def addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    """The addresses behind `host`, to listen on. Blocks. Raises SettingWrong when there is none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not a name"
        raise SettingWrong("host", repr(host), f"no address is known for it ({reason})") from None
    return [(family, where) for family, _, _, _, where in found]


def _database(value: str) -> None:
    if not value:
        return
    try:
        shown = make_url(value).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        shown = "(hidden)" if "@" in value else value  # there may be a password in it
        raise SettingWrong("database_url", repr(shown), "it is not of the form postgresql://host/name") from None
    try:
        database_url(value)
    except ValueError as error:
        raise SettingWrong("database_url", repr(shown), str(error)) from None


def _file(name: str, value: str) -> None:
    if not value:
        return
    try:
        with Path(value).open("rb"):
            return
    except OSError as error:
        raise SettingWrong(name, repr(value), f"the file cannot be read ({error.strerror})") from None


def _egress(settings: Settings) -> None:
    try:
        policy(settings)
    except TableWrong as error:
        raise SettingWrong("egress_table", repr(settings.egress_table), str(error)) from None


def _authority(value: str) -> None:
    try:
        ssl.create_default_context(cafile=value)
    except ssl.SSLError:
        raise SettingWrong("registry_ca_file", repr(value), "there is no certificate (PEM) in it") from None


def _tls(settings: Settings) -> None:
    """The certificate and its key, as the proxy will use them."""
    certificate, key = settings.tls_certificate, settings.tls_key
    for name, value, other in (("tls_certificate", certificate, key), ("tls_key", key, certificate)):
        if other and not value:
            raise SettingWrong(name, "''", "a certificate and its key are given together or not at all")
        _file(name, value)
    if settings.redirect_port and not certificate:
        raise SettingWrong("redirect_port", str(settings.redirect_port), "there is no TLS port to lead to")
    if not certificate:
        return
    if not settings.base_url.startswith("https:"):
        raise SettingWrong("public_url", repr(settings.public_url), "with a certificate it begins with https")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        mismatch = "MISMATCH" in str(error)
        reason = (
            f"it does not belong to the certificate in {certificate}" if mismatch else "the pair cannot be read (PEM)"
        )
        raise SettingWrong("tls_key", repr(key), reason) from None


def _no_password() -> str:
    raise ValueError("a key with a password would have nobody to type it")


async def _authenticator(value: str) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LOAD, value, str(ROOT)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(IMPORT_S):
            _, errors = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise InstallationError(f"The authenticator {value} was not imported within {IMPORT_S} s.") from None
    if child.returncode:
        lines = errors.decode(errors="replace").strip().splitlines() or ["it cannot be imported"]
        raise SettingWrong("authenticator", repr(value), lines[-1].rstrip("."))
