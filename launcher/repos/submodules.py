"""What `.gitmodules` declares. Read as text of a stranger: nothing of it becomes configuration of ours.

git's own `git submodule` is not used: it follows redirects and names by itself, and every few years a name or a path
of a submodule has made it run something. Here a submodule is a repository like a pasted one, fetched at exactly the
commit that its parent's tree records, into the folder that the tree has for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from launcher.errors import BadUrl
from launcher.model import ResolvedRepo
from launcher.repos.provider import Sites
from launcher.repos.providers import parse_url

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = ".gitmodules"
LARGEST = 2**20
"""Bytes of `.gitmodules`."""
LINK = "160000"
"""The mode of a submodule in a tree."""
_KEY = re.compile(r"submodule\.(?P<name>.*)\.(?P<what>[a-z0-9-]+)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Module:
    """One entry. `skip`: the repository itself says that it is not to be fetched (`update = none`)."""

    name: str
    path: str
    url: str
    skip: bool = False


def read(listed: str) -> dict[str, Module]:
    """By path: what `git config --list -z` prints of the file. Of two for one path, the last."""
    found: dict[str, dict[str, str]] = {}
    for line in listed.split("\0"):
        key, _, value = line.partition("\n")
        if match := _KEY.fullmatch(key):
            found.setdefault(match["name"], {})[match["what"]] = value
    modules = (
        Module(name, facts["path"].rstrip("/"), facts["url"], facts.get("update") == "none")
        for name, facts in found.items()
        if facts.get("path") and "url" in facts
    )
    return {module.path: module for module in modules}


def unfit(module: Module) -> str:
    """Why git would not take a submodule of that name or path, or `""`; the end of a sentence."""
    if _CONTROL.search(module.name) or _CONTROL.search(module.path):
        return "its name or its path holds a control character"
    if any("\ud800" <= character <= "\udfff" for character in module.name + module.path):
        return "its name or its path is not UTF-8"
    if not module.name or ".." in re.split(r"[/\\]", module.name):
        return "its name climbs out with “..”"
    if module.path.startswith("-"):
        return "its path begins with - like an option"
    return ""


def repository(module: Module, commit: str, parent: str, protocols: Sequence[str]) -> ResolvedRepo:
    """Where the submodule comes from. Raises BadUrl, BadRef and ProtocolRefused, as for a pasted address."""
    # Never local files, whatever links may be.
    sites = Sites(protocols=tuple(one for one in protocols if one != "file"))
    ref = parse_url(absolute(module.url, parent), sites=sites)
    return ResolvedRepo(ref, commit, "")


def absolute(url: str, parent: str) -> str:
    """A submodule's address, resolved as git does where it begins with `./` or `../`. Raises BadUrl."""
    if not url.startswith(("./", "../")):
        return url
    base, _, path = _split(parent)
    separator = "/" if "://" in parent else ":"
    parts = [part for part in path.split("/") if part]
    rest = url
    while rest.startswith(("./", "../")):
        if rest.startswith("../"):
            if not parts:
                raise BadUrl(url, "it climbs out of its server")
            parts.pop()
        rest = rest.partition("/")[2]
    return base + separator + "/".join([*parts, *(part for part in rest.split("/") if part)])


def _split(parent: str) -> tuple[str, str, str]:
    """`https://host` and `group/repo`; `user@host` and `group/repo` of scp's form."""
    if "://" in parent:
        parsed = urlsplit(parent)
        return f"{parsed.scheme}://{parsed.netloc}", "/", parsed.path
    return parent.partition(":")
