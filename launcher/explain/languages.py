"""What went wrong, in other languages than English: `<language>.json`, by code.

Launches keep their failures as English sentences, for good: programs and operators read them. A sentence was made from
a row's text and an error's facts: the row's text finds the facts in it again, and another language's text takes them.
What stands in the facts themselves (a reason, a tool's last lines) stays as it was said.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.events import Failed
    from launcher.explain.row import Row

_FOLDER: Final = Path(__file__).parent
_FACT = re.compile(r"\{(\w+)\}")


@cache
def words(language: str) -> Mapping[str, Mapping[str, Any]]:
    """Code → `title`, `seen`, `todo` and `more`; empty for English and for languages that nobody has written."""
    path = _FOLDER / f"{language}.json"
    if not re.fullmatch(r"[a-z]{2}", language) or not path.is_file():
        return {}
    found: Mapping[str, Mapping[str, Any]] = json.loads(path.read_text("utf-8"))
    return found


def in_language(told: Failed, language: str, rows: Iterable[Row]) -> Failed:
    """The same in another language; as it is where that is not known, or where another version has said it."""
    said = words(language).get(told.code)
    if said is None:
        return told
    for row in (one for one in rows if one.code == told.code):
        seen, todo = _seen(row).fullmatch(told.seen), _pattern(row.todo).fullmatch(told.todo)
        if seen is not None and todo is not None:
            facts = {name: value for name, value in (seen.groupdict() | todo.groupdict()).items() if value is not None}
            more = [said["more"][name] for n, (name, _) in enumerate(row.more) if seen[f"more{n}"] is not None]
            lines = [_filled(text, facts) for text in (said["seen"], *more)]
            return replace(told, title=said["title"], seen="\n".join(lines), todo=_filled(said["todo"], facts))
    return told


def _filled(text: str, facts: Mapping[str, str]) -> str:
    return _FACT.sub(lambda match: facts.get(match[1], match[0]), text)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(_expression(text, set()), re.DOTALL)


@cache
def _seen(row: Row) -> re.Pattern[str]:
    known: set[str] = set()
    parts = [_expression(row.seen, known)]
    parts += [rf"(?P<more{n}>\n{_expression(text, known)})?" for n, (_, text) in enumerate(row.more)]
    return re.compile("".join(parts), re.DOTALL)


def _expression(text: str, known: set[str]) -> str:
    """A regular expression of a row's text; a fact that comes again is the same."""
    parts = []
    for n, part in enumerate(_FACT.split(text)):
        if n % 2 == 0:
            parts.append(re.escape(part))
        elif part in known:
            parts.append(f"(?P={part})")
        else:
            known.add(part)
            parts.append(f"(?P<{part}>.*?)")
    return "".join(parts)
