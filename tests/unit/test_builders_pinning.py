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
            ["5: python=3.11 has no exact version and build", "8: rich has no exact version"],
        ),
        ("environment.yml", "dependencies: [numpy]\n", ["1: numpy has no exact version and build"]),
        (
            "environment.yaml",
            "name: x\ndependencies: [python=3.12.1=h1_0, numpy=2.1,\n  pip: [rich, six==1.17.0]]\n",
            [
                "2: numpy=2.1 has no exact version and build",
                "3: rich has no exact version",
                "3: six==1.17.0 has no hash",
            ],
        ),
        (
            "environment.yml",
            (
                "dependencies:\n- numpy==2.1=py311_0\n- conda-forge::r-base 4.4.1 h2_0\n- scipy=1.*=py311_0\n"
                "- gdal>=3\n- https://a.example/b.conda#0123\n- https://a.example/c.conda\n"
            ),
            [
                "4: scipy=1.*=py311_0 has no exact version and build",
                "5: gdal>=3 has no exact version and build",
                "7: https://a.example/c.conda has no hash",
            ],
        ),
        ("environment.yml", "", []),
        ("environment.yml", "- x", ["1: it is not understood"]),
        ("environment.yml", "a: [", ["1: it is not understood"]),
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


def test_what_conda_itself_exports_is_exact_and_nothing_is_advised(tmp_path: Path) -> None:
    """As `conda env export` writes it."""
    yml = tmp_path / "environment.yml"
    yml.write_text("name: x\nchannels:\n  - conda-forge\ndependencies:\n  - numpy\nprefix: /opt/conda/envs/x\n")
    assert loose(tmp_path, ("environment.yml",)) == (
        "not-pinned",
        ("environment.yml:5: numpy has no exact version and build", TAG),
        ("conda env export --file environment.yml  (which writes name=version=build)",),
    )
    exported = "  - numpy=2.1.3=py312h58c1407_0\n  - _libgcc_mutex=0.1=conda_forge\n  - tzdata=2025a=h78e105d_0\n"
    yml.write_text(yml.read_text().replace("  - numpy\n", exported))
    assert loose(tmp_path, ("environment.yml",)) == ("not-pinned", (TAG,), ())


R_LINE = "runtime.txt: r-4.4-2025-01-10  (R of a version, with CRAN as it was on a date)"


@pytest.mark.parametrize(
    "files,told,advice",
    [
        (
            {"install.R": "x"},
            "nothing runs it: R is installed where a runtime.txt names its version and a date",
            (R_LINE,),
        ),
        ({"install.R": "x", "DESCRIPTION": ""}, "its commands install whatever is newest that day", (R_LINE,)),
        (
            {"install.R": "x", "runtime.txt": "r-4.4-2025-01-10\n"},
            "its commands install what CRAN had on that date, and whatever is newest of anything else",
            (),
        ),
    ],
)
def test_an_install_script_of_r_and_the_line_that_pins_it(
    tmp_path: Path, files: dict[str, str], told: str, advice: tuple[str, ...]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    _, found, advised = loose(tmp_path, tuple(sorted(files)))
    assert f"install.R:1: {told}" in found
    assert advised == advice


def test_a_long_list_is_cut_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "apt.txt").write_text("".join(f"p{n}\n" for n in range(50)))
    found = loose(tmp_path, ("apt.txt",))[1]
    assert len(found) == MOST
    assert found[-1] == f"and {51 - MOST + 1} more"


def test_a_link_out_of_the_repository_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "apt.txt").symlink_to("/etc/passwd")
    assert loose(tmp_path, ("apt.txt",))[1] == (TAG,)
