"""What people read on pages, in one catalogue: `catalogue/<language>.json`, which the frontend reads too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LANGUAGES: Final = {"en": "English", "fr": "Français"}
"""By their codes, each as those who speak it call it; the first is for whoever wants none of them."""
COOKIE: Final = "repolaunch-language"
"""What somebody chose; it says nothing else, so that it may lie on every path."""
COOKIE_DAYS: Final = 400
_FOLDER: Final = Path(__file__).parent / "catalogue"
CATALOGUE: Final[Mapping[str, Mapping[str, str]]] = {
    language: json.loads((_FOLDER / f"{language}.json").read_text("utf-8")) for language in LANGUAGES
}
_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q\s*=\s*([0-9.]{1,5}))?\s*")


def text(language: str, key: str, **values: object) -> str:
    """The text of this key, `{name}` replaced by the values."""
    return CATALOGUE[language][key].format_map({name: str(value) for name, value in values.items()})


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
