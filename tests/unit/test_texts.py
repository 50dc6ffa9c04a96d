"""The catalogue: every text in every language, with the same things to fill in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from launcher.web import texts

ROOT = Path(__file__).parents[2]
OTHERS = [language for language in texts.LANGUAGES if language != "en"]


def names(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_is_complete(language: str) -> None:
    english, other = texts.CATALOGUE["en"], texts.CATALOGUE[language]
    assert set(other) == set(english)
    assert {key for key in english if names(english[key]) != names(other[key])} == set()
    assert all(text.strip() for text in other.values())


def test_no_text_is_of_no_use() -> None:
    folders = (ROOT / "frontend/src", ROOT / "launcher/web", ROOT / "deploy/hub")
    used = "".join(
        path.read_text() for folder in folders for path in folder.rglob("*") if path.suffix in {".ts", ".py", ".html"}
    )
    made = re.compile(
        r"^(?:stage|step|status|pinning|connection|projects\.state|home\.way|share|log\.\w+|queue|about\.limit|about\.who|record|standing|"
        r"credentials\.(?:way|kind|wrong))\."
    )
    assert [key for key in texts.CATALOGUE["en"] if f'"{key}"' not in used and not made.match(key)] == []


@pytest.mark.parametrize(
    "cookie,accepted,language",
    [
        ("", "", "en"),
        ("", "fr", "fr"),
        ("", "fr-CA,en;q=0.8", "fr"),
        ("", "de, en;q=0.5, fr;q=0.7", "fr"),
        ("", "en,fr", "en"),
        ("", "fr;q=0, *", "en"),
        ("", "fr;q=x", "en"),
        ("", "nonsense;;;", "en"),
        ("fr", "en", "fr"),
        ("../../etc", "fr", "fr"),
    ],
)
def test_who_reads_what(cookie: str, accepted: str, language: str) -> None:
    assert texts.chosen(cookie, accepted) == language


def test_a_text_is_filled_in() -> None:
    assert texts.text("fr", "launch.total", time="3 s") == "3 s en tout"
