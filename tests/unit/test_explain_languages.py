"""What went wrong, in French: every error, with its facts, and nothing left in English but those."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from launcher import errors, explain
from launcher.events import Failed
from launcher.explain.languages import words

if TYPE_CHECKING:
    from launcher.explain.row import Row

EVERY = [*explain.ROWS.values(), *explain.SPOKEN]
FACT = re.compile(r"\{(\w+)\}")


def names(text: str) -> set[str]:
    return set(FACT.findall(text))


def told(row: Row, *, more: bool) -> Failed:
    """As `explain` tells it, each fact in a form that cannot be missed; two lines in one of them."""
    facts = {name: f"«{name}»\n«{name}»" if name == "tail" else f"«{name}.»" for name in names(str(vars_of(row)))}
    parts = [row.seen, *(text for _, text in row.more)] if more else [row.seen]
    seen = "\n".join(FACT.sub(lambda match: facts[match[1]], part) for part in parts)
    todo = FACT.sub(lambda match: facts[match[1]], row.todo)
    return Failed(None, row.code, row.status, row.title, seen, todo, "")


def vars_of(row: Row) -> tuple[str, ...]:
    return (row.seen, row.todo, *(text for _, text in row.more))


def test_french_is_complete() -> None:
    assert set(words("fr")) == {row.code for row in EVERY}


@pytest.mark.parametrize("row", EVERY, ids=lambda row: row.code)
def test_a_text_has_the_same_facts(row: Row) -> None:
    said = words("fr")[row.code]
    assert (names(said["seen"]), names(said["todo"])) == (names(row.seen), names(row.todo))
    assert {name: names(text) for name, text in said["more"].items()} == {name: names(text) for name, text in row.more}


@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("row", EVERY, ids=lambda row: row.code)
def test_its_facts_are_found_in_it_again(row: Row, *, more: bool) -> None:
    english = told(row, more=more)
    french = explain.speak(english, "fr")
    assert french.title == words("fr")[row.code]["title"]
    for text in (english.seen, english.todo):
        for fact in re.findall(r"«\w+\.?»", text):
            assert fact in french.seen + french.todo
    assert not FACT.search(french.seen + french.todo)
    assert replace(french, title=english.title, seen=english.seen, todo=english.todo) == english
    assert explain.speak(english, "en") == english


def test_word_for_word() -> None:
    french = explain.speak(explain.explain(errors.BuildFailed("repo2docker", "RUN make", ("no rule", "stop"), 2)), "fr")
    assert french.title == "La construction a échoué"
    assert french.seen.splitlines() == [
        "repo2docker s’est terminé avec le statut 2.",
        "Étape : RUN make",
        "Ses dernières lignes :",
        "no rule",
        "stop",
    ]


def test_what_another_version_has_said_stays_as_it_is() -> None:
    old = Failed(None, "build-failed", 422, "The build failed", "In words of long ago.", "Try.", "")
    assert explain.speak(old, "fr") == old
    assert explain.speak(replace(old, code="no-such-code"), "fr").code == "no-such-code"


@pytest.mark.parametrize("language", ["de", "../fr", "", "FR"])
def test_a_language_that_nobody_has_written_is_english(language: str) -> None:
    english = explain.say(explain.PAGE_MISSING)
    assert explain.speak(english, language) == english
