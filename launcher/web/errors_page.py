"""`/docs/errors`: every error that people may meet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from launcher import explain
from launcher.explain.languages import words
from launcher.web import texts
from launcher.web.rendering import HtmlPage, render
from launcher.web.routes import HTML, Operation, Route


@dataclass(frozen=True, slots=True)
class ErrorText:
    """A row as the reference shows it: facts by their names."""

    code: str
    status: int
    title: str
    seen: str
    todo: str


def error_texts() -> list[ErrorText]:
    """Every error that people may meet."""
    rows = [*explain.ROWS.values(), *explain.SPOKEN]
    return [ErrorText(row.code, row.status, row.title, _named(row), _named_text(row.todo)) for row in rows]


def _named(row: explain.Row) -> str:
    return " ".join(_named_text(text) for text in (row.seen, *(text for _, text in row.more)))


def _named_text(text: str) -> str:
    return re.sub(r"\{(\w+)\}", r"<\1>", text).replace("\n", " ")


def _spoken(told: ErrorText, language: str) -> ErrorText:
    said = words(language).get(told.code)
    if said is None:
        return told
    seen = " ".join(_named_text(text) for text in (said["seen"], *said["more"].values()))
    return ErrorText(told.code, told.status, said["title"], seen, _named_text(said["todo"]))


class ErrorsPage(HtmlPage):
    """`/docs/errors`: where the links of errors lead."""

    def get(self) -> None:
        """The page."""
        rows: list[Any] = [_spoken(one, self.language) for one in error_texts()]
        title = texts.text(self.language, "errors.title")
        self.render_page(render(self, "errors.html", title=title, rows=rows))


ROUTES: Final[tuple[Route, ...]] = (
    Route("/docs/errors", ErrorsPage, (Operation("GET", "What can go wrong, and what to do about it.", HTML),)),
)
