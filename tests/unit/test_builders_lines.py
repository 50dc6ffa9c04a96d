"""The lines of a builder process: a closed union; a damaged one is shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.lines import (
    Archived,
    Built,
    Error,
    Facts,
    Fingerprint,
    Found,
    Line,
    Log,
    Progress,
    Pushed,
    Step,
    format_line,
    parse_line,
)

LINES: list[Line] = [
    Log("hello\tthere ✓"),
    Step("[2/5] RUN true"),
    Progress("Pushing", 40),
    Progress("Pushing"),
    Found("repo2docker", "2026.4.0-1", ("binder/Dockerfile",), "0" * 64, "linux/amd64"),
    Archived("https://git.example/a", "main", "c" * 40, "refs/heads/main", "git:1"),
    Found(
        "nix", "2", ("flake.nix",), "0" * 64, "linux/amd64", "not-pinned", ("flake.nix:3: <nixpkgs>",), ("pin = 1;",)
    ),
    Fingerprint("f" * 64),
    Built("sha256:" + "1" * 64),
    Facts(
        "sha256:1",
        "/home/jovyan",
        "/srv",
        "/bin",
        ("/bin/server",),
        (),
        "root:x:0:0::/:/bin/sh\n",
        ("/a",),
        "",
        ("/data",),
    ),
    Pushed("sha256:" + "2" * 64),
    Error("BuildFailed", {"builder": "repo2docker", "step": "s", "tail": ("a", "b"), "status": 3}),
    Error("Stopped", {"by": "signal"}),
]

DAMAGED = [
    "",
    "Traceback (most recent call last):",
    "null",
    "[]",
    "{}",
    '{"type":"nonsense"}',
    '{"type":["log"]}',
    '{"type":"log"}',
    '{"type":"log","text":1}',
    '{"type":"log","text":"a","more":"b"}',
    '{"type":"progress","text":"a","percent":true}',
    '{"type":"environment","builder":"x","builder_version":"1","evidence":"no list","key":"k","platform":"p"}',
    '{"type":"facts","server":[1]}',
    '{"type":"log","text":"cut',
    "[" * 100_000,
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: type(line).__name__)
def test_round_trip(line: Line) -> None:
    text = format_line(line)
    assert "\n" not in text
    assert parse_line(text) == line


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: text[:20])
def test_a_damaged_line_is_a_log(text: str) -> None:
    assert parse_line(text) == Log(text)


def test_a_damaged_line_is_shown_without_escapes() -> None:
    assert parse_line("\x1b[31mpanic\x1b[0m") == Log("panic")


@given(st.text())
def test_no_text_crashes(text: str) -> None:
    assert isinstance(parse_line(text), Line)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_no_value_crashes(value: object) -> None:
    assert isinstance(parse_line(json.dumps({"type": "error", "error": "X", "facts": value})), Line)
