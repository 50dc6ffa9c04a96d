"""`apt.txt`, and what of a `start` script is known to read no file of the repository."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_APT = re.compile(r"[a-z0-9][a-z0-9.+-]*(?::[a-z0-9]+)?(?:=[\w.+:~-]+)?(?:/[a-z-]+)?")
_LEADS = re.compile(r"\$\{?(?:REPO_DIR|HOME|PWD|OLDPWD)\b|~|jovyan|\.\.?/")
# Each text is read in one way only: a line that nearly fits takes no longer than one that does.
_PIECE = r"[\w./:=,@%+^~-]|\$\w|\$\{\w+\}"
_START = re.compile(
    rf"set [-+][euxo]+(?: pipefail)?|export(?: \w+(?:=(?:{_PIECE})*|=\"(?:{_PIECE}| )*\"|='[^']*')?)+|exec \"\$@\""
)


def read_apt(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not a package's name."""
    for number, line in enumerate(text.splitlines(), 1):
        name = line.partition("#")[0].strip()
        if name and not all(_APT.fullmatch(word) for word in name.split()):
            yield number, f"{name} is not the name of a package"


def read_start(text: str) -> Iterator[tuple[int, str]]:
    """Lines that do more than set a variable; the first one is enough."""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line and not line.startswith("#") and (not _START.fullmatch(line) or _LEADS.search(line)):
            yield number, "it is a program, which may read any file"
            return
