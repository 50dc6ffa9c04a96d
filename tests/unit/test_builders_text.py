"""Tool output as plain text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.text import clean, without_paths

CASES = [
    ("plain", "plain"),
    ("a\ttab stays", "a\ttab stays"),
    ("\x1b[1;31mred\x1b[0m", "red"),
    ("\x1b[38;2;1;2;3mtrue colour\x1b[m and \x1b[2K\x1b[1Gmovement", "true colour and movement"),
    ("\x1b]0;a title\x07after", "after"),
    ("\x1b]8;;https://example.org\x1b\\a link\x1b]8;;\x1b\\", "a link"),
    ("spin 1\rspin 2\rdone", "done"),
    ("done\r", "done"),
    ("50 %\r   \r", "50 %"),
    ("null\x00bell\x07backspace\x08", "nullbellbackspace"),
    ("C1 \x9b31m and \x85", "C1 31m and"),
    ("turned \u202eround", "turned round"),
    ("half an escape \x1b[", "half an escape"),
    ("trailing   ", "trailing"),
    ("übergroß ✓", "übergroß ✓"),
    ("", ""),
]


@pytest.mark.parametrize("raw,text", CASES)
def test_keeps_what_a_person_reads(raw: str, text: str) -> None:
    assert clean(raw) == text


@given(st.text())
def test_never_leaves_a_control_character(raw: str) -> None:
    assert not any(letter != "\t" and (ord(letter) < 32 or 127 <= ord(letter) < 160) for letter in clean(raw))


@pytest.mark.parametrize(
    "said,read",
    [
        ("lstat /var/lib/docker/overlay2/4f/diff/x: no such file", "lstat …: no such file"),
        ('open "/var/lib/docker/tmp/a b"', 'open "… b"'),
        ("layer sha256:12ab of localhost/repolaunch/base:1", "layer sha256:12ab of localhost/repolaunch/base:1"),
    ],
)
def test_an_engine_s_places_are_nobodys_to_read(said: str, read: str) -> None:
    assert without_paths(said) == read
