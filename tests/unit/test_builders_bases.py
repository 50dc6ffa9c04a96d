"""Which images a Dockerfile may build on, read from its text."""

from __future__ import annotations

import pytest

from builders.repo2docker.bases import named, permitted


@pytest.mark.parametrize(
    "text,names",
    [
        ("FROM debian:trixie\n", ["debian:trixie"]),
        ("from --platform=linux/amd64 docker.io/library/debian:trixie AS x\n", ["debian:trixie"]),
        ("ARG TAG=1\nFROM localhost/repolaunch/base:${TAG}\n", ["localhost/repolaunch/base:1"]),
        ("ARG A=base\nARG B=host/$A\nFROM $B\n", ["host/base"]),
        ("FROM ${UNSET:-debian}:x\n", ["debian:x"]),
        ("FROM \\\n  # why\n  debian\n", ["debian"]),
        ("FROM scratch\nCOPY --from=host:5000/a/b:1 /x /y\n", ["host:5000/a/b:1"]),
        ("FROM scratch\nRUN --mount=type=bind,from=tools:2,target=/t true\n", ["tools:2"]),
        ("FROM debian\r\nFROM debian\r\n", ["debian"]),
        ("FROM ../etc\n", []),
    ],
)
def test_names(text: str, names: list[str]) -> None:
    assert named(text, {}) == names


def test_an_argument_from_outside_wins_and_there_is_an_end() -> None:
    assert named("ARG BASE=a\nFROM $BASE\n", {"BASE": "b"}) == ["b"]
    assert len(named("".join(f"FROM image{n}\n" for n in range(100)), {})) == 20


@pytest.mark.parametrize(
    "name,allowed",
    [
        ("localhost/repolaunch/base:1", True),
        ("debian", True),
        ("debian:latest", True),
        ("debian:trixie", False),
        ("ours/tool@sha256:0", True),
        ("localhost/repolaunch/build-engine:1", False),
        ("example.org/localhost/repolaunch/base:1", False),
    ],
)
def test_only_images_that_the_operator_names_are_given_to_a_build(name: str, allowed: bool) -> None:
    patterns = ("localhost/repolaunch/base:*", "docker.io/library/debian:latest", "ours/*")
    assert permitted([name], patterns) == ([name] if allowed else [])
