"""Ways to write one repository's address: an operator's patterns meet all of them, however a link is written."""

from __future__ import annotations

import ipaddress
import posixpath
import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from launcher.repos import urls
from launcher.repos.addresses import forms
from launcher.repos.urls import DEFAULT_PORTS, Address

if TYPE_CHECKING:
    from collections.abc import Iterable

_OTHER_DOORS: Final = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
}
"""Where hosts answer ssh at the port of https: they are the same repositories."""
_PATH: Final = "/~"
"""What stays as it is in a path that is percent-encoded, besides letters, digits and `-._`."""
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]")
Spellings = tuple[str, ...]


def plain_address(url: str) -> str:
    """The https address that people would give: no user, usual port, `www.`, `.git`, escapes or turns in the path.

    Raises BadUrl.
    """
    address = _read(url)
    if address.protocol == "file":
        return f"file:///{_plain_path(address.path)}"
    return _written("https", "", _plain_host(address.host), 0, _plain_path(address.path))


def spellings(url: str) -> Spellings:
    """The address as asked, plain, and over each protocol, with `.git` and without. Raises BadUrl."""
    address = _read(url)
    plain, host = _plain_path(address.path), _plain_host(address.host)
    if not host:
        return tuple(dict.fromkeys((url, str(address), plain_address(url))))
    paths = [f"{one}{end}" for one in (plain, quote(plain, safe=_PATH)) for end in ("", ".git")]
    found = [url, *(str(replace(address, host=_number(address.host), path=f"/{one}")) for one in paths)]
    ports = (0,) if address.port == DEFAULT_PORTS.get(address.protocol, 0) else (0, address.port)
    for one in paths:
        for port in ports:
            found += [_written(scheme, "", host, port, one) for scheme in ("https", "http", "git")]
            found.append(_written("ssh", "git", host, port, one))
        found += [
            str(Address("ssh", "git", host, DEFAULT_PORTS["ssh"], one)),
            _written("https", "", f"www.{host}", 0, one),
        ]
    return tuple(dict.fromkeys(found))


def readings(url: str) -> tuple[Spellings, ...]:
    """How a host may read the address itself, each with the ways to write it. Raises BadUrl.

    Which of them the host follows only it knows: a list of what is allowed has to hold them all. They are one but for
    `//` and `%2F`.
    """
    address = _read(url)
    address = replace(address, host=_number(address.host))
    start = "/" if address.path.startswith("/") else ""
    plain = _plain_path(address.path)
    strict = _without_git(_ESCAPE.sub(_unescaped, address.path))
    strict = "/".join(one for one in strict.split("/") if one != ".").rstrip("/")
    ways: tuple[Iterable[str], ...] = ((strict,), (start + plain, start + quote(plain, safe=_PATH)))
    found = (tuple(str(replace(address, path=one + end)) for one in way for end in ("", ".git")) for way in ways)
    return tuple(dict.fromkeys(found))


def _read(url: str) -> Address:
    return urls.split(url, (*urls.PROTOCOLS, "file"))


def _written(protocol: str, user: str, host: str, port: int, path: str) -> str:
    return str(Address(protocol, user, host, port or DEFAULT_PORTS[protocol], f"/{path}"))


def _plain_path(path: str) -> str:
    """Without what hosts do not look at; it does not begin with `/`."""
    return _without_git(posixpath.normpath("/" + unquote(path).replace("\\", "/")).lstrip("/"))


def _without_git(path: str) -> str:
    return re.sub(r"(?i)\.git/*$", "", path)


def _unescaped(escape: re.Match[str]) -> str:
    """What means the same in either form (RFC 3986, 2.3) is not escaped."""
    letter = chr(int(escape[1], 16))
    return letter if _UNRESERVED.fullmatch(letter) else escape[0].upper()


def _plain_host(host: str) -> str:
    name = _number(host).removeprefix("www.")
    return _OTHER_DOORS.get(name, name)


def _number(host: str) -> str:
    """An IP address in its usual form, an IPv4 one that IPv6 carries as itself; names as they are."""
    try:
        # As the system reads `127.1`, `0x7f.1` and `2130706433` when it connects.
        address = ipaddress.ip_address(socket.inet_ntoa(socket.inet_aton(host)))
    except (OSError, UnicodeError):
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host
    reached = list(forms(address))
    return str(reached[0] if len(reached) == 1 else address)
