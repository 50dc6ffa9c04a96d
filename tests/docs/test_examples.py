"""What the pages show is true: the examples of declarations are looked at, the commands are run or parsed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
import uv

from builders.catalogue import BUILDERS
from builders.detect import look
from builders.machine import pip_settings
from launcher.__main__ import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = {
    "git checkout": "tests/integration/test_operate_upgrade.py",
    "git clone": "tests/integration/test_operate_upgrade.py",
    "git fetch": "tests/integration/test_operate_upgrade.py",
    "deploy/compose/build.sh": "tests/compose/end_to_end.py",
    "curl": "tests/integration/test_binder_clients.py",
    "docker compose": "tests/compose/end_to_end.py",
    "prometheus": "tests/integration/test_monitoring.py",
    "promtool": "tests/integration/test_monitoring.py",
    "restic": "tests/integration/test_operate_backup.py",
    "systemctl": "tests/integration/test_operate_units.py",
}
"""What this test neither runs nor parses, and where it is run."""
ADMINISTRATION = (
    "useradd",
    "mkdir",
    "editor",
    "install",
    "cp",
    "cat",
    "chmod",
    "docker ps",
    "docker volume",
    "cd",
    "jq",
)
"""Commands of the operator's machine, which are not ours."""
ONLINE = ("nix flake lock", "nix-prefetch-url", "guix describe")
"""Need nixpkgs or Guix's servers: `make test-nix-real` and `make test-guix-real` run with these."""


@dataclass
class Example:
    """One section of docs/how-to/declare.md."""

    title: str
    says: str
    builder: str
    files: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)


def examples() -> list[Example]:
    found = []
    for section in (ROOT / "docs/how-to/declare.md").read_text().split("\n## ")[1:]:
        says = re.search(r"^Says: \*([a-z ]+)\*, by (\S+)$|^Evaluated by (\S+)$", section, re.MULTILINE)
        assert says, section.splitlines()[0]
        example = Example(section.splitlines()[0], says[1] or "", says[2] or says[3].lower())
        for kind, text in FENCE.findall(section):
            if kind == "sh":
                example.commands += text.splitlines()
            else:
                example.files[kind.split()[1]] = text
        found.append(example)
    return found


@pytest.mark.parametrize("example", examples(), ids=lambda one: one.title)
def test_an_example_is_what_the_page_says(example: Example, tmp_path: Path) -> None:
    for name, text in example.files.items():
        (tmp_path / name).write_text(text)
    for command in example.commands:
        if not command.startswith(ONLINE):
            lock(command, tmp_path)
    builder, declared = look(tmp_path, BUILDERS)
    assert builder.name == example.builder
    assert set(declared.evidence) & {path.name for path in tmp_path.iterdir()}
    if example.says:
        assert detected(tmp_path)["pinning"] == example.says.replace(" ", "-")


def lock(command: str, folder: Path) -> None:
    """Run one of uv's commands as an author would, with the index that this machine's pip uses."""
    program, *words = shlex.split(command)
    assert program == "uv"
    index = dict(line.split(" = ", 1) for line in pip_settings().splitlines() if " = " in line)
    env = {**os.environ, "UV_DEFAULT_INDEX": index.get("index-url", "https://pypi.org/simple")}
    argv = (uv.find_uv_bin(), "--no-config", *words)
    subprocess.run(argv, cwd=folder, env=env, check=True, capture_output=True, timeout=120)


def detected(folder: Path) -> dict[str, object]:
    argv = (sys.executable, "-m", "builders", "detect", "--json", str(folder))
    done = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


STANDS_FOR = {"LAUNCH": "0" * 32, "PROJECT": "a" * 10}
"""What a page's words in capital letters are."""


def commands() -> list[tuple[str, str]]:
    """The page and the command, for every line of a shell on every page; lines that go on are one."""
    found = []
    for page in PAGES:
        for kind, text in FENCE.findall(page.read_text()):
            if kind in {"sh", "console", "bash", ""}:
                whole = re.sub(r"<<END\n.*?\nEND", "", text.replace("\\\n", " "), flags=re.DOTALL)
                lines = (re.sub(r"(^|\s{2})#.*", "", line.removeprefix("$ ")).strip() for line in whole.splitlines())
                found += [(str(page.relative_to(ROOT)), part.strip()) for line in lines for part in line.split("&&")]
    return [(page, line) for page, line in found if line]


@pytest.mark.parametrize("page,line", commands())
def test_a_command_of_a_page_exists(page: str, line: str) -> None:
    words = shlex.split(line)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if not words or page == "docs/reference/events.md" or "different:" in line:
        return
    program = words[0].rpartition("/")[2]
    if program == "repolaunch":
        parsed([STANDS_FOR.get(word, word) for word in words[1:]])
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        asked = [word for word in words[1:] if "=" not in word and not word.startswith(("-", "/"))]
        assert set(asked) <= set(targets)
    elif program == "pytest":
        assert all((ROOT / word.partition("::")[0]).exists() for word in words[1:] if word.startswith("tests/"))
    elif where := next((where for start, where in ELSEWHERE.items() if line.startswith(start)), ""):
        assert (ROOT / where).exists()
    else:
        assert line.startswith((*ADMINISTRATION, *ONLINE, "uv ")), f"{page}: who runs this? {line}"


def test_no_promise_is_listed_twice() -> None:
    rows = [
        line.split("|") for line in (ROOT / "docs/how-to/check.md").read_text().splitlines() if line.startswith("|")
    ]
    promises = [row[1].strip()[:50] for row in rows if len(row[1].strip()) > 50]
    assert not {promise for promise in promises if promises.count(promise) > 1}


def test_no_file_can_stand_in_for_a_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    assert set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) == set(phony[1].split())


def parsed(words: list[str]) -> None:
    """Let the command line read it, and run nothing."""
    command: click.Command = main
    context = click.Context(main, info_name="repolaunch")
    while isinstance(command, click.Group):
        inner = command.get_command(context, words[0])
        assert inner, f"repolaunch has no {words[0]}"
        context, words, command = click.Context(inner, info_name=words[0], parent=context), words[1:], inner
    read = {parameter: parameter.type for parameter in command.params if isinstance(parameter.type, click.Path)}
    for parameter in read:
        parameter.type = click.STRING  # a file of the page's machine, not of this one
    try:
        command.make_context(command.name or "", list(words), parent=context.parent)
    finally:
        for parameter, kind in read.items():
            parameter.type = kind
