"""An operator's regular expressions over what strangers write: RE2, whose time grows with the text and no faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import re2
from pydantic import BeforeValidator, ConfigDict, TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 1000
"""Characters of a pattern."""
_MEMORY = 2**20
"""Bytes that one pattern may take, compiled."""


class Pattern:
    """Matches as BinderHub's do: from the beginning of a spec on, upper and lower case alike."""

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError with a reason."""
        if len(text) > LONGEST:
            raise ValueError(f"a pattern has at most {LONGEST} characters")
        options = re2.Options()
        options.case_sensitive, options.log_errors, options.max_mem = False, False, _MEMORY
        self.text = text
        try:
            self._compiled = re2.compile(text, options)
        except re2.error as error:
            raise ValueError(f"{text!r} is no pattern of RE2 ({_said(error)})") from None

    def matches(self, spec: str) -> bool:
        """Whether the spec begins so."""
        return self._compiled.match(spec) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"


def _said(error: re2.error) -> str:
    words = error.args[0] if error.args else ""
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)


def _compiled(value: object) -> Pattern:
    if isinstance(value, Pattern):
        return value
    return Pattern(_TEXT.validate_python(value, strict=True))


_TEXT = TypeAdapter(str)
PATTERNS = ConfigDict(arbitrary_types_allowed=True)
Regex = Annotated[Pattern, BeforeValidator(_compiled)]


def matching(patterns: Iterable[Pattern], specs: Iterable[str]) -> bool:
    """Whether any of them matches any of the specs."""
    known: tuple[Any, ...] = tuple(specs)
    return any(pattern.matches(spec) for pattern in patterns for spec in known)
