"""What people are told by `python -m builders`, and what programs are."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from builders import errors
from builders.__main__ import VERBS
from builders.arguments import parser
from builders.collect.commands import add
from builders.lines import (
    Archived,
    Built,
    Error,
    Found,
    Known,
    Line,
    Log,
    Progress,
    Pushed,
    Step,
    Verified,
    parse_line,
)
from builders.speaker import in_words
from tests.fixtures.service import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FOUND = Found(
    "nix",
    "2",
    ("flake.nix", "flake.lock"),
    "a" * 64,
    "linux/amd64",
    "not-pinned",
    ("x.nix:3: <nixpkgs>",),
    ("pin = 1;",),
)
WORDS: list[tuple[Line, str]] = [
    (Log("hello"), "hello"),
    (Step("[2/5] RUN true"), "[2/5] RUN true"),
    (Progress("Pushing", 40), "Pushing 40 %"),
    (Progress("Pushing"), "Pushing"),
    (
        FOUND,
        f"""builder      nix 2
declared by  flake.nix, flake.lock
platform     linux/amd64
key          {"a" * 64}
pinning      not-pinned
not pinned   x.nix:3: <nixpkgs>
to pin it    pin = 1;""",
    ),
    (Built("sha256:1"), "built sha256:1"),
    (Pushed("sha256:2"), "pushed sha256:2"),
    (Pushed(""), "nothing was kept: it is larger than it may be"),
    (Known(""), "none"),
    (Verified("identical", ""), "identical"),
    (Verified("different", "the layer x"), "different: the layer x"),
    (Archived("https://a", "", "c", "", "t"), "source       https://a\nref\ncommit       c\nname\ntree         t"),
    (
        Error("EngineDown", {"reason": "no \x1b[31msocket"}),
        "The container engine does not answer.\n  reason: no socket",
    ),
    (
        Error("BuildFailed", {"builder": "nix", "step": "s", "tail": ("a", "b"), "status": 3}),
        "The builder ended with an error.\n  builder: nix\n  step: s\n  tail: a\n  tail: b\n  status: 3",
    ),
    (Error("Unheard", {}), "Unheard."),
]


@pytest.mark.parametrize("line, words", WORDS, ids=lambda one: type(one).__name__)
def test_every_line_has_words(line: Line, words: str) -> None:
    assert in_words(line) == words


def test_every_error_has_a_sentence() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.BuilderError)]
    for kind in kinds:
        said = in_words(Error(kind.__name__, {}))
        assert said.endswith(".")
        assert kind.__name__ not in said, said


def builders(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "builders", *arguments]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_people_are_told_in_words_and_programs_in_json(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian:trixie\n")
    words, lines = builders("detect", str(tmp_path)), builders("detect", "--json", str(tmp_path))
    assert (words.returncode, lines.returncode) == (0, 0)
    found = parse_line(lines.stdout.splitlines()[-1])
    assert isinstance(found, Found)
    assert words.stdout == in_words(found) + "\n"
    for folder in ("binder", ".binder"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").touch()
    words, lines = builders("detect", str(tmp_path)), builders("detect", "--json", str(tmp_path))
    assert (words.returncode, words.stdout, lines.returncode) == (1, "", 1)
    assert words.stderr == ("Two or more declarations and no rule between them.\n  found: binder/\n  found: .binder/\n")
    assert json.loads(lines.stdout)["error"] == "EnvironmentConflict"


@pytest.mark.parametrize(
    "wrong",
    ["nonsense", "a/b", "https://h.example/x", "h.example/", "h.example/A", "h.example/a:tag", "h.example:port/a"],
)
def test_where_to_push_is_looked_at_before_anything_is_built(tmp_path: Path, wrong: str) -> None:
    done = builders("build", str(tmp_path), "--push", wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        f"python -m builders build: error: argument --push: {wrong!r} is not HOST[:PORT]/REPOSITORY, "
        "for instance registry.example.org/people/environment"
    )


@pytest.mark.parametrize("right", ["localhost/a", "h.example/a/b_c", "h:5000/a", "127.0.0.1:5000/a", "[::1]:5000/a"])
def test_where_one_may_push(tmp_path: Path, right: str) -> None:
    asked = parser(VERBS, "", add)
    assert asked.parse_args(["build", str(tmp_path), "--push", right]).push == right
    assert asked.parse_args(["build", str(tmp_path)]).push is None


@pytest.mark.parametrize("verb", [(), ("build",)])
def test_the_help_says_how_it_ends(verb: tuple[str, ...]) -> None:
    said = " ".join(builders(*verb, "--help").stdout.split())
    assert "Exit status: 0, it is done; 1, it failed, and the last thing said is why; 2, wrong use" in said
