"""What people read on pages, from the catalogue that the frontend reads too, and in which language."""

from __future__ import annotations

import re
from typing import Final

from launcher.catalogue import CATALOGUE, LANGUAGES, text

__all__ = ["CATALOGUE", "COOKIE", "COOKIE_DAYS", "LANGUAGES", "chosen", "text"]

COOKIE: Final = "repolaunch-language"
"""What somebody chose; it says nothing else, so that it may lie on every path."""
COOKIE_DAYS: Final = 400
_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q\s*=\s*([0-9.]{1,5}))?\s*")


def chosen(cookie: str, accepted: str) -> str:
    """The language of somebody with this cookie and this Accept-Language."""
    if cookie in LANGUAGES:
        return cookie
    wanted = [match for one in accepted[:200].split(",") if (match := _RANGE.fullmatch(one))]
    known = [(_weight(one[2]), one[1].lower()) for one in wanted if one[1].lower() in LANGUAGES]
    best = max(known, key=lambda one: one[0], default=(0.0, ""))
    return best[1] if best[0] > 0 else next(iter(LANGUAGES))


def _weight(q: str | None) -> float:
    try:
        return 1.0 if q is None else float(q)
    except ValueError:
        return 0.0
