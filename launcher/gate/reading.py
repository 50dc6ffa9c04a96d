"""A policy file's text becomes a `Policy`, or what is wrong with it: the line and the cause."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from pydantic import ValidationError

from launcher.errors import PolicyBroken
from launcher.gate.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

LONGEST = 2**20
"""Bytes of a policy file."""
_AT = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")
_HEADER = re.compile(r"^\s*\[{1,2}(?P<path>[^\[\]]+)\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(
    r"""^\s*(?P<key>(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_WORD = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_PLAIN = {
    "extra_forbidden": "there is no such key here",
    "tuple_type": 'it has to be a list: ["…"]',
    "model_type": "it has to be a table",
    "dict_type": "it has to be a table",
}
"""pydantic's codes whose own words mean nothing to whoever writes TOML."""


def parse(text: str, providers: Collection[str]) -> Policy:
    """Read the file's text. Raises PolicyBroken."""
    try:
        return Policy.model_validate(tomllib.loads(text), context={"providers": providers})
    except tomllib.TOMLDecodeError as error:
        found = _AT.search(str(error))
        line = int(found[1]) if found and found[1] else text.count("\n") + 1
        raise PolicyBroken(f"it is not TOML: {_lower(_AT.sub('', str(error)))}", f"line {line}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = [str(part) for part in first["loc"] if part != "[key]"]
        cause = _PLAIN.get(first["type"], _lower(first["msg"].removeprefix("Value error, ")))
        line = line_of(text, path)
        raise PolicyBroken(f"{'.'.join(path)}: {cause}", f"line {line}" if line else "") from None


def line_of(text: str, path: Sequence[str]) -> int:
    """The line where this path of keys begins, or the nearest above it that is there; 0: not to be found."""
    best, line = 0, 0
    for number, known in _keys(text):
        shared = next((n for n, (one, two) in enumerate(zip(path, known, strict=False)) if one != two), None)
        shared = min(len(path), len(known)) if shared is None else shared
        if shared > best:
            best, line = shared, number
    return line


def _keys(text: str) -> Iterator[tuple[int, list[str]]]:
    """Every line that names a table or a key, with the whole path. Good enough to point at a line, not to read TOML."""
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _words(header["path"])
            yield number, table
        elif key := _KEY.match(line):
            yield number, [*table, *_words(key["key"])]


def _words(path: str) -> list[str]:
    return [word.strip("\"'") for word in _WORD.findall(path)]


def _lower(text: str) -> str:
    return (text[:1].lower() + text[1:]).rstrip(".")
