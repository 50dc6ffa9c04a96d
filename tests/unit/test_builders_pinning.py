"""What repo2docker builds is not pinned, and which line says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builders.repo2docker.pinning import MOST, loose

if TYPE_CHECKING:
    from pathlib import Path

TAG = "repo2docker: the image that it starts from is named by a tag"
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    "file,text,told",
    [
        (
            "Dockerfile",
            (
                "# FROM none\nFROM debian:trixie AS base\nFROM  --platform=x base\nfrom scratch\n"
                "RUN apt-get update\nRUN x\n"
            ),
            [
                "2: FROM debian:trixie names an image by a tag, which can move",
                "5: RUN may download what is another thing tomorrow",
            ],
        ),
        ("Dockerfile", f"FROM x@{DIGEST}\nCOPY . /x\n", []),
        (
            "Dockerfile",
            f"FROM x@{DIGEST}\nADD https://a.example/b /b\nADD --checksum={DIGEST} https://a.example/c /c\n",
            ["2: ADD https://a.example/b has no --checksum"],
        ),
        (
            "requirements.txt",
            (
                "numpy\npandas==2.0 \\\n    --hash=sha256:aa\nscipy==1.0\n-r more.txt\n"
                "--index-url https://x\nx @ https://y/z.whl --hash=sha256:bb"
            ),
            ["1: numpy has no exact version", "4: scipy==1.0 has no hash", "5: -r leads to what is not looked at"],
        ),
        (
            "environment.yml",
            (
                "name: x\nchannels:\n  - conda-forge\ndependencies:\n  - python=3.11\n"
                "  - numpy=1.2=py311_0\n  - pip:\n    - 'rich'\n"
            ),
            ["5: python=3.11 has no exact version and build", "8: rich has no exact version and build"],
        ),
        (
            "apt.txt",
            "curl\n\n# none\nwget",
            ["1: curl is whatever the archive has that day", "4: wget is whatever the archive has that day"],
        ),
        ("postBuild", "#!/bin/sh\ncurl x\n", ["2: its commands may download what is another thing tomorrow"]),
        ("start", "#!/bin/sh\n", []),
        ("apt.txt", "a\x1b[31mb\n", ["1: ab is whatever the archive has that day"]),
        ("requirements.txt", "\xff\x00\\", ["1: ÿ has no exact version"]),
        ("requirements.txt", "", []),
    ],
)
def test_each_line_that_may_mean_something_else_tomorrow(tmp_path: Path, file: str, text: str, told: list[str]) -> None:
    (tmp_path / file).write_text(text)
    verdict, found, _ = loose(tmp_path, (file,))
    assert verdict == "not-pinned"
    assert list(found) == [f"{file}:{line}" for line in told] + ([] if file == "Dockerfile" else [TAG])


def test_a_lock_decides_instead_of_the_wish_beside_it(tmp_path: Path) -> None:
    for name in ("Pipfile", "Pipfile.lock"):
        (tmp_path / name).write_text("x")
    assert loose(tmp_path, ("Pipfile", "Pipfile.lock"))[1:] == ((TAG,), ())
    found, advice = loose(tmp_path, ("Pipfile",))[1:]
    assert found == ("Pipfile:1: it is a wish; Pipfile.lock is what was chosen", TAG)
    assert advice == ("pipenv lock, and commit the Pipfile.lock",)


def test_a_long_list_is_cut_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "apt.txt").write_text("".join(f"p{n}\n" for n in range(50)))
    found = loose(tmp_path, ("apt.txt",))[1]
    assert len(found) == MOST
    assert found[-1] == f"and {51 - MOST + 1} more"


def test_a_link_out_of_the_repository_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "apt.txt").symlink_to("/etc/passwd")
    assert loose(tmp_path, ("apt.txt",))[1] == (TAG,)
