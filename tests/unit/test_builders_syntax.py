"""`# syntax=`: nobody but the engine's own BuildKit reads a Dockerfile."""

from __future__ import annotations

import pytest

from builders.errors import EnvironmentBroken
from builders.repo2docker.syntax import without_syntax

OWN = [
    "# syntax=docker/dockerfile:1",
    "#syntax = docker/dockerfile",
    "# Syntax=docker.io/docker/dockerfile:1.7-labs",
    "#\tSYNTAX\t=\tdocker/dockerfile-upstream:master  ",
    f"# syntax=docker/dockerfile:1@sha256:{'0' * 64}",
    "#\rsyntax=docker/dockerfile:1\r",
]
OTHERS = [
    "10.0.0.1/x",
    "10.0.0.1:5000/x:1",
    "stranger/dockerfile",
    "docker/dockerfile.example.org/x",
    "docker.io/stranger/docker/dockerfile:1",
    "docker/dockerfile:1/x",
]


@pytest.mark.parametrize("first", OWN)
def test_dockers_own_is_read_without_fetching_it(first: str) -> None:
    assert without_syntax(f"{first}\nFROM x\nRUN y\n".encode(), "Dockerfile") == b"#\nFROM x\nRUN y\n"


@pytest.mark.parametrize("image", OTHERS)
@pytest.mark.parametrize("line", ["# syntax={}", "#syntax = {}", "# escape=\\\n# SYNTAX={} more", "\ufeff# syntax={}"])
def test_another_reader_is_refused(image: str, line: str) -> None:
    with pytest.raises(EnvironmentBroken) as error:
        without_syntax(f"{line.format(image)}\nFROM x\n".encode(), "binder/Dockerfile")
    assert error.value.path == "binder/Dockerfile"
    said = f"it asks to be read by {image} (# syntax=), and only Docker's own language is built here"
    assert error.value.reason == said


def test_other_directives_stay_and_lines_keep_their_numbers() -> None:
    text = b"# syntax=docker/dockerfile:1\n# escape=`\n# check=skip=all\nFROM x\n"
    assert without_syntax(text, "Dockerfile") == b"# escape=`\n# check=skip=all\n#\nFROM x\n"


@pytest.mark.parametrize(
    "text",
    [
        b"FROM x\n# syntax=10.0.0.1/x\n",
        b"\n# syntax=10.0.0.1/x\nFROM x\n",
        b"# a word\n# syntax=10.0.0.1/x\nFROM x\n",
        b"",
        b"FROM \xff\xfe",
    ],
)
def test_what_is_no_directive_stays(text: bytes) -> None:
    assert without_syntax(text, "Dockerfile") == text


@pytest.mark.parametrize(
    "text",
    [
        b"// syntax=10.0.0.1/x\nFROM x\n",
        b'{"syntax": "10.0.0.1/x"}',
        b'\n \n{"syntax":\n"10.0.0.1/x"}',
        b"#!/usr/bin/buildkit\n# syntax=10.0.0.1/x\nFROM x\n",
    ],
)
def test_where_buildkit_looks_besides_nothing_is_found(text: bytes) -> None:
    assert without_syntax(text, "Dockerfile") == b"# " + text
