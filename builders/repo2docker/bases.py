"""The images that a Dockerfile may build on: what stands after FROM, `--from=` and `from=`.

More than BuildKit would use may be found (a stage's name, a word in a heredoc), never less, but for names that only a
build argument from outside completes; asking an engine for one that it does not have costs nothing.
"""

from __future__ import annotations

import re
import tarfile
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builders.repo2docker.render import Context

MOST = 20
"""Names that are looked for."""
_MAX_DOCKERFILE = 4 * 1024 * 1024
_ARG = re.compile(r"^[ \t]*ARG[ \t]+(\w+)=(\S+)", re.IGNORECASE | re.MULTILINE)
_NAMED = re.compile(
    r"(?:^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*|--from=|\bfrom=)[\"']?([^\s,\"']+)", re.IGNORECASE | re.MULTILINE
)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?[-+]([^}]*))?\})")
_CONTINUED = re.compile(r"\\[ \t]*\n(?:[ \t]*#.*\n)*")
_HUB = re.compile(r"^(?:docker\.io/)(?:library/)?")
_NAME = re.compile(r"[a-z0-9][\w./:@-]{0,254}")


def bases(context: Context) -> list[str]:
    """The names in the context's Dockerfile, at most MOST. Blocks."""
    return named(_dockerfile(context), context.arguments)


def named(dockerfile: str, arguments: Mapping[str, str]) -> list[str]:
    """The names in a Dockerfile whose build arguments are `arguments`."""
    text = _CONTINUED.sub(" ", dockerfile.replace("\r\n", "\n"))
    values = {name: value.strip("\"'") for name, value in _ARG.findall(text)} | dict(arguments)
    found: dict[str, None] = {}
    for word in _NAMED.findall(text):
        name = _HUB.sub("", _expanded(word, values))
        if _NAME.fullmatch(name) and name != "scratch":
            found[name] = None
    return list(found)[:MOST]


def permitted(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Those that one of the patterns allows; of a machine's other images nothing is given to a build."""
    allowed = tuple(_HUB.sub("", one) for one in patterns)
    return [name for name in names if any(fnmatchcase(_tagged(name), one) for one in allowed)]


def _tagged(name: str) -> str:
    return name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"


def _expanded(word: str, values: Mapping[str, str]) -> str:
    for _ in range(3):  # a default may name another argument
        word = _VARIABLE.sub(lambda at: values.get(at[1] or at[2], at[3] or ""), word)
    return word


def _dockerfile(context: Context) -> str:
    if context.dockerfile is not None:
        return context.dockerfile.read_bytes()[:_MAX_DOCKERFILE].decode("utf-8", "replace")
    with tarfile.open(context.source) as archive:
        file = archive.extractfile("Dockerfile")
        return "" if file is None else file.read(_MAX_DOCKERFILE).decode("utf-8", "replace")
