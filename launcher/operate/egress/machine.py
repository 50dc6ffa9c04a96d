"""This machine's own name servers, package mirrors and proxies: they stay open, wherever they are, on their ports.

Read from the same places as the programs read them; nothing of it is written down anywhere. Blocks.
"""

from __future__ import annotations

import ast
import ipaddress
import os
import re
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from launcher.operate.egress.table import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
USUAL = (
    ("package index", "https://pypi.org"),
    ("package index", "https://files.pythonhosted.org"),
    ("package index", "https://registry.npmjs.org"),
    ("package index", "https://conda.anaconda.org"),
    ("package mirror", "http://deb.debian.org"),
    ("package mirror", "http://security.debian.org"),
)
"""What programs use where nothing is configured; a closed network may have its own servers under these names."""
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
"""The second where the first names a local stub: the engine then gives it to containers."""
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")
ASK_S = 15
RESOLVE_S = 10


def endpoints(environ: Mapping[str, str] | None = None) -> tuple[Endpoint, ...]:
    """All of them, each once, in a fixed order. What does not answer or resolve is left out."""
    given = os.environ if environ is None else environ
    asked: tuple[Callable[[], Iterable[tuple[str, str]]], ...] = (_pip, _apt, _npm)
    with ThreadPoolExecutor(8, thread_name_prefix="egress") as pool:
        programs = [pool.submit(_quietly, ask) for ask in asked]
        urls = dict.fromkeys(
            [
                *(("proxy", given[name]) for name in PROXIES if given.get(name)),
                *(pair for program in programs for pair in program.result()),
                *USUAL,
            ]
        )
        hosts = dict.fromkeys(found for why, url in urls for found in _host(why, url))
        resolved = pool.map(_resolved, hosts)
        mirrors = [one for found in resolved for one in found]
    servers = [
        Endpoint(address, 53, protocol, "name server")
        for path in RESOLVERS
        for address in nameservers(_text(path))
        for protocol in ("udp", "tcp")
    ]
    found = dict.fromkeys([*servers, *mirrors])
    return tuple(sorted(found, key=lambda one: (one.address.version, one.address, one.port, one.protocol)))


def nameservers(text: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Those of a resolv.conf that a container can reach: loopback is its own there."""
    named = re.findall(r"^nameserver\s+([^\s%]+)", text, re.MULTILINE)
    found = []
    for name in named:
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            continue
        if not address.is_loopback:
            found.append(address)
    return found


def _host(why: str, url: str) -> Iterator[tuple[str, str, int]]:
    """Why, host and port of an address; nothing for one without a host (a folder), or that makes no sense."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        return
    if parts.hostname and port:
        yield why, parts.hostname, port


def _resolved(host: tuple[str, str, int]) -> list[Endpoint]:
    why, name, port = host
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    addresses = dict.fromkeys(ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found)
    return [Endpoint(address, port, "tcp", why) for address in addresses if not address.is_loopback]


def _pip() -> Iterator[tuple[str, str]]:
    for line in _said(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in {"index-url", "extra-index-url", "proxy"}:
            why = "proxy" if key == "proxy" else "package index"
            yield from ((why, word) for word in str(ast.literal_eval(value)).split())


def _apt() -> Iterator[tuple[str, str]]:
    if shutil.which("apt-get") is None:
        return
    listed = _said("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
    yield from (("package mirror", line) for line in listed.splitlines())
    for value in re.findall(r'^Acquire::https?::Proxy "([^"]+)"', _said("apt-config", "dump"), re.MULTILINE):
        yield "proxy", value


def _npm() -> Iterator[tuple[str, str]]:
    for path in (Path.home() / ".npmrc", Path("/etc/npmrc"), Path("/usr/etc/npmrc")):
        for key, value in re.findall(r"^(\S*registry|https?-proxy|proxy)\s*=\s*(\S+)", _text(path), re.MULTILINE):
            yield ("package index" if key.endswith("registry") else "proxy"), value
    if registry := os.environ.get("NPM_CONFIG_REGISTRY"):
        yield "package index", registry


def _said(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=ASK_S, check=True, stdin=subprocess.DEVNULL)
    return done.stdout


def _quietly(ask: Callable[[], Iterable[tuple[str, str]]]) -> list[tuple[str, str]]:
    """A program that is not there, or answers nonsense, names no server."""
    try:
        return list(ask())
    except (OSError, subprocess.SubprocessError, ValueError, SyntaxError):
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
