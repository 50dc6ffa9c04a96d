"""What may be the name of a branch, a tag or a commit."""

from __future__ import annotations

import re

from launcher.errors import BadRef

LONGEST = 255
"""Bytes of a reference; longer ones cannot be files on a git host's disk."""

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^-"), "it begins with - like an option"),
    (re.compile(r"[\x00-\x1f\x7f]"), "it holds a control character"),
    (re.compile(r"\.\."), "it holds “..”"),
    (re.compile(r"[ ~^:?*\[\\]"), "it holds a space or one of ~ ^ : ? * [ \\"),
    (re.compile(r"@\{|^@$"), "it holds @{ or is @"),
    (re.compile(r"^/|/$|//"), "it begins or ends with / or holds //"),
    (re.compile(r"(^|/)\."), "a part of it begins with “.”"),
    (re.compile(r"\.lock(/|$)"), "a part of it ends in “.lock”"),
    (re.compile(r"\.$"), "it ends in “.”"),
)
"""The rules of `git check-ref-format`, and the first one for options. The reason is the end of a sentence."""


def check_ref(ref: str) -> str:
    """The reference, `""` for the repository's default (`HEAD`). Raises BadRef."""
    if len(ref.encode("utf-8", "surrogatepass")) > LONGEST:
        raise BadRef(ref[:40] + "…", f"it is longer than {LONGEST} bytes")
    for pattern, reason in _RULES:
        if pattern.search(ref):
            raise BadRef(ref, reason)
    return "" if ref == "HEAD" else ref
