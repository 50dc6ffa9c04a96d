"""The kinds of values that settings have beyond plain numbers and texts, each with its check.

A check raises ValueError with a reason that goes on from "which cannot be:".
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from launcher.marks import parse_mark

_PROTOCOLS = ("http", "https", "git", "ssh", "file")
_LABEL = r"[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_REGISTRY = re.compile(rf"({_LABEL}(\.{_LABEL})*)(:[0-9]{{1,5}})?")
_ORIGIN = re.compile(r"([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
"""A host as browsers write it in `Origin`: a name, an IPv4 address or one of IPv6 in brackets."""
_IMAGES = re.compile(r"([a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*)?")


def is_address(host: str) -> bool:
    """Whether a host is written as an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def http_url(host: str, port: int, *, tls: bool = False) -> str:
    """The address of a server; an IPv6 address gets its brackets."""
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _network(one: str) -> None:
    ipaddress.ip_network(one, strict=False)


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        _network(one)
    return value


def _endpoint(one: str) -> None:
    host, _, port = one.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError(f"{one!r} is not an address and a port")
    ipaddress.ip_address(host.strip("[]"))


def _endpoints(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        _endpoint(one)
    return value


def _networks_or_endpoints(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        host, _, port = one.rpartition(":")
        if port.isdigit() and (host.startswith("[") or "." in host):
            _endpoint(one)
        else:
            ipaddress.ip_network(one)
    return value


def _addresses(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        ipaddress.ip_address(one)
    return value


def _ports(value: tuple[int, ...]) -> tuple[int, ...]:
    for one in value:
        if not 0 < one < 2**16:
            raise ValueError(f"{one} is no port")
    return value


def _host(value: str) -> str:
    if not is_address(value) and not _HOST.fullmatch(value):
        raise ValueError("it is neither an IP address nor a name")
    return value


def _url(value: str) -> str:
    """Empty, or `http(s)://host[:port][/]`."""
    if not value:
        return value
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it is not of the form http://host or https://host")
    if not is_address(parts.hostname) and not _HOST.fullmatch(parts.hostname):
        raise ValueError(f"{parts.hostname!r} is neither an IP address nor a name")
    _ = parts.port  # raises ValueError with a reason
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("it may have a host and a port only: no path, query, fragment or user name")
    return value


def _public_url(value: str) -> str:
    """Empty, or `http(s)://host[:port][/path]`."""
    host, slash, path = value.partition("://")[2].partition("/")
    if slash and not re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._~-]*(/[A-Za-z0-9][A-Za-z0-9._~-]*)*/?)?", path):
        raise ValueError("it may have a path of letters, digits and . _ ~ - after the host, and no query")
    return _url(f"{value.partition('://')[0]}://{host}") + slash + path if slash else _url(value)


def _api_url(value: str) -> str:
    """`http(s)://host[:port][/path]`, without a slash at its end."""
    base, slash, path = value.partition("://")[2].partition("/")
    if not base:
        raise ValueError("it is not of the form http://host or https://host")
    if slash and not re.fullmatch(r"[A-Za-z0-9._~/-]*", path):
        raise ValueError("it may have a path of letters, digits and . _ ~ - /, and no query")
    _url(f"{value.partition('://')[0]}://{base}")
    return value.rstrip("/")


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        scheme, _, rest = one.partition("://")
        if one != "*" and (scheme not in {"http", "https"} or not _ORIGIN.fullmatch(rest)):
            raise ValueError(f"{one!r} is neither `*` nor of the form https://host[:port], in small letters")
    return value


def _protocols(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        if one not in _PROTOCOLS:
            raise ValueError(f"{one!r} is none of {', '.join(_PROTOCOLS)}")
    return value


def _registry(value: str) -> str:
    found = _REGISTRY.fullmatch(value)
    port = int(value.rpartition(":")[2]) if found and ":" in value else 1
    if value and not (found and 0 < port < 2**16):
        raise ValueError("it is not of the form host or host:port")
    return value


def _image_prefix(value: str) -> str:
    if not _IMAGES.fullmatch(value):
        raise ValueError("an image's name has small letters, digits and single . _ - / between them")
    return value


def _watermark(value: object) -> str:
    return str(parse_mark(str(value)))


Bytes = Annotated[int, Field(ge=0)]
Watermark = Annotated[str, BeforeValidator(_watermark)]
"""Bytes, or percent of the disk."""
Host = Annotated[str, AfterValidator(_host)]
Url = Annotated[str, AfterValidator(_url)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
"""The same, with a path below which all is."""
ApiUrl = Annotated[str, AfterValidator(_api_url)]
"""The address of an interface: never empty."""
Origins = Annotated[tuple[str, ...], AfterValidator(_origins)]
"""Sites as browsers name them in `Origin`, or `*`."""
Protocols = Annotated[tuple[str, ...], AfterValidator(_protocols)]
Networks = Annotated[tuple[str, ...], AfterValidator(_networks)]
Endpoints = Annotated[tuple[str, ...], AfterValidator(_endpoints)]
"""Single servers, each an address and a port."""
NetworksOrEndpoints = Annotated[tuple[str, ...], AfterValidator(_networks_or_endpoints)]
Addresses = Annotated[tuple[str, ...], AfterValidator(_addresses)]
Ports = Annotated[tuple[int, ...], AfterValidator(_ports)]
Registry = Annotated[str, AfterValidator(_registry)]
ImagePrefix = Annotated[str, AfterValidator(_image_prefix)]
