"""The catalogue of what people read (`web/catalogue/<language>.json`), and how a step of a launch is told by it.

An event of a launch is kept for good and read by programs and by people in several languages: it carries its text in
English, and beside it the text's key and the facts in it, by which a page says it in the reader's language.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.events import Fact, Facts, Failed

LANGUAGES: Final = {"en": "English", "fr": "Français"}
"""By their codes, each as those who speak it call it; the first is for whoever wants none of them."""
_FOLDER: Final = Path(__file__).parent / "web" / "catalogue"
CATALOGUE: Final[Mapping[str, Mapping[str, str]]] = {
    language: json.loads((_FOLDER / f"{language}.json").read_text("utf-8")) for language in LANGUAGES
}
_FACT: Final = re.compile(r"\{(\w+)\}")


class Said(TypedDict):
    """What a step tells, as the events of a launch have it: `Progress(stage, **said("step.…"))`."""

    message: str
    code: str
    facts: Facts


NOTHING: Final = Said(message="", code="", facts=())


def text(language: str, key: str, /, **values: object) -> str:
    """The text of this key, `{name}` replaced by the values."""
    return CATALOGUE[language][key].format_map({name: str(value) for name, value in values.items()})


def said(code: str, /, **facts: Fact) -> Said:
    """The text of this key with its facts. Keys stay: stored events have them."""
    return Said(message=text("en", code, **facts), code=code, facts=tuple(sorted(facts.items())))


def about(problem: Failed) -> dict[str, str]:
    """The facts of a step that tells of a problem, for texts with `{title}`, `{seen}` and `{todo}`."""
    return {"problem": problem.code, "title": problem.title, "seen": problem.seen, "todo": problem.todo}


def told(language: str, message: str, code: str, facts: Facts) -> str:
    """What a step tells, in this language; `message` where another version, or a builder, has said it."""
    known, values = CATALOGUE[language].get(code), dict(facts)
    if known is None or not set(_FACT.findall(known)) <= values.keys():
        return message
    return text(language, code, **values)
