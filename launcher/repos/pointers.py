"""Pointers of Git LFS: what they say (git-lfs/docs/spec.md), and where the files that they stand for are asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from launcher.errors import BadUrl
from launcher.repos import urls

LARGEST = 1023
"""Bytes of a pointer: the specification says less than 1024."""
VERSIONS = ("https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1")
CONFIG = ".lfsconfig"
_OID = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Pointer:
    """A file that lies elsewhere. `oid`: the SHA-256 of its bytes, 64 hexadecimal digits."""

    oid: str
    size: int


def read(content: bytes) -> Pointer | None:
    """None where it is no pointer: a file that was committed as it is. One with extensions is none to us either."""
    try:
        lines = content.decode("ascii").splitlines() if len(content) <= LARGEST else []
    except UnicodeDecodeError:
        return None
    facts = dict(line.partition(" ")[::2] for line in lines)
    if not lines or lines[0] not in {f"version {one}" for one in VERSIONS} or set(facts) != {"version", "oid", "size"}:
        return None
    if not _OID.fullmatch(facts["oid"]) or not re.fullmatch(r"[0-9]{1,18}", facts["size"]):
        return None
    return Pointer(facts["oid"].removeprefix("sha256:"), int(facts["size"]))


def server(repository: str, configured: str) -> str:
    """Where a repository's files are asked for: what `.lfsconfig` lists (`git config --list -z`), else beside it.

    A repository at `ssh://` or `git://` has them at the same place over https, as git-lfs guesses too.
    Raises BadUrl, ProtocolRefused.
    """
    settings = dict(line.partition("\n")[::2] for line in configured.split("\0"))
    listed = settings.get("lfs.url") or settings.get("remote.origin.lfsurl", "")
    if listed:
        return str(urls.split_href(listed.rstrip("/"), ("http", "https")))
    address = urls.split(repository, (*urls.PROTOCOLS, "file"))
    if address.protocol == "file":
        raise BadUrl(repository, "a folder has no server for Git LFS; name one in .lfsconfig (lfs.url)")
    path = "/" + address.path.strip("/").removesuffix(".git") + ".git/info/lfs"
    if address.protocol in {"http", "https"}:
        return str(urls.Address(address.protocol, "", address.host, address.port, path))
    return str(urls.Address("https", "", address.host, urls.DEFAULT_PORTS["https"], path))
