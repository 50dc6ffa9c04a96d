"""Lines of a `requirements.txt` that may lead to files of the repository.

Source: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WEB = re.compile(r"(?:(?:git|hg|svn|bzr)\+)?(?:https?|ssh|git)://[A-Za-z0-9@_\[]\S*")
_ALONE = frozenset({"--pre", "--prefer-binary", "--require-hashes", "--no-index"})
_NAMED = frozenset({"--only-binary", "--no-binary", "--trusted-host", "--use-feature"})
_PLACES = frozenset({"-i", "--index-url", "--extra-index-url", "-f", "--find-links"})
_OPTION = re.compile(r"(--?[\w-]+)(?:[\s=]+(\S+))?")
_HASH = re.compile(r"\s--hash[\s=]\S+")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_ENCODING = re.compile(r"#.*?coding[:=]\s*([-\w.]+)")
_ARCHIVES = (".whl", ".zip", ".tar", ".tgz", ".tbz", ".txz", ".tlz", ".gz", ".bz2", ".xz", ".lzma")


def read(text: str) -> Iterator[tuple[int, str]]:
    """As builders/repo2docker/purity says."""
    for number, line in numbered(text):
        if what := why(line):
            yield number, what
    for number, line in enumerate(text.splitlines()[:2], 1):
        if (match := _ENCODING.search(line)) and match[1].lower() not in {"utf-8", "utf8"}:
            yield number, f"it says that it is {match[1]}, and only UTF-8 is looked at"


def why(line: str) -> str:
    """Why a line may lead to the repository's files; `""`: it does not."""
    if "${" in line:
        return "what a variable stands for is not looked at"
    if line.startswith("-"):
        return _option(line)
    wanted = _HASH.sub("", line)
    if WEB.fullmatch(wanted.split(";")[0].strip()):
        return ""
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415  # slow, and often not needed

    try:
        asked = Requirement(wanted)
    except InvalidRequirement:
        return f"{wanted} may be a file of the repository"
    if asked.url is not None:
        return "" if WEB.fullmatch(asked.url) else f"{asked.url} may be a file of the repository"
    return f"{asked.name} may be a file of the repository" if asked.name.lower().endswith(_ARCHIVES) else ""


def _option(line: str) -> str:
    match = _OPTION.fullmatch(line)
    name, value = (match[1], match[2] or "") if match else (re.split(r"[\s=]", line, maxsplit=1)[0], "")
    known = (name in _ALONE and not value) or (name in _NAMED and value) or (name in _PLACES and WEB.fullmatch(value))
    return "" if known else f"{name} may lead to files of the repository"


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines without comments; what ends in a backslash goes on in the next and has the first one's number."""
    first, whole = 0, ""
    for number, raw in enumerate([*text.splitlines(), ""], 1):
        line = _COMMENT.sub("", raw)
        first = first or number
        whole += line.removesuffix("\\")
        if line.endswith("\\"):
            continue
        if whole.strip():
            yield first, whole.strip()
        first, whole = 0, ""
