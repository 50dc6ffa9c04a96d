"""What is pure, by a real evaluation: each construct, and the sentence that its author reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from builders.errors import BuilderError, BuildFailed, EnvironmentBroken, EnvironmentImpure
from builders.lines import REPRODUCIBLE, Line
from builders.nix.evaluate import evaluate
from builders.nix.files import look
from builders.nix.tool import NIX
from builders.sandbox import daemon
from tests.fixtures.nix import say

if TYPE_CHECKING:
    from pathlib import Path

    from builders.interface import Workshop
    from builders.nix.evaluate import Evaluated
    from builders.sandbox import Daemon

pytestmark = pytest.mark.engine
ECHO = 'builder = "/bin/sh"; args = [ "-c" "echo >$out" ]'
TOOL = f'derivation {{ name = "tool"; system = "x86_64-linux"; {ECHO}; inherit x; }}'
GONE = "https://example.invalid/x"
HASH = "0" * 52
REV = "9ed810b9c6b51899b1506ff76fdbbbe85d394ace"
HOST_FILE = "it reads “/etc”, which is not in the repository"
KEEP = "Keep the files that it needs in the repository, and name them by relative paths."

PURE = {
    "nothing": "1",
    "currentSystem": "builtins.currentSystem",
    "__currentSystem": "__currentSystem",
    "an argument named system": "((import ./lib/argument.nix) { })",
    "getEnv, which gives nothing": 'builtins.getEnv "HOME"',
    "a file of the repository": "builtins.readFile ./lib/words",
    "a folder of the repository": "builtins.attrNames (builtins.readDir ./lib)",
    "a file that is imported": "(import ./lib)",
    "pathExists, which sees nothing of the machine": "builtins.pathExists /etc/hostname",
    "a folder above the repository, where nothing is": "builtins.attrNames (builtins.readDir ../../../.)",
}
IMPURE = {
    "<nixpkgs>": (
        "<nixpkgs>",
        "“<nixpkgs>” is looked up on the machine that evaluates it",
        "Name a revision of it: fetchTarball with a commit’s address and its sha256.",
    ),
    "a path below nixpkgs": (
        "<nixpkgs/lib>",
        "“<nixpkgs/lib>” is looked up on the machine that evaluates it",
        "Name a revision of it: fetchTarball with a commit’s address and its sha256.",
    ),
    "fetchMercurial without a revision": (
        f'builtins.fetchMercurial "{GONE}"',
        "“fetchMercurial” has no revision",
        "Add `rev`, a full commit.",
    ),
    "getFlake without a revision": (
        'builtins.getFlake "github:NixOS/nixpkgs"',
        "“getFlake” has no revision, so “github:NixOS/nixpkgs” may give something else tomorrow",
        "Add the full commit to the reference.",
    ),
    "readFile": ('builtins.readFile "/etc/hostname"', HOST_FILE, KEEP),
    "import": ("import /etc/nixos/configuration.nix", HOST_FILE, KEEP),
    "currentTime": (
        "builtins.currentTime",
        "“currentTime” is another one at every evaluation",
        "Write the date down, or leave it out.",
    ),
    "__currentTime": (
        "__currentTime",
        "“currentTime” is another one at every evaluation",
        "Write the date down, or leave it out.",
    ),
    "exec": (
        'builtins.exec [ "id" ]',
        "“exec” runs a program of the machine that evaluates it",
        "Run it in a derivation.",
    ),
    "storePath": (
        'builtins.storePath "/nix/store"',
        "“storePath” takes what happens to be in the store of the machine that evaluates it",
        "Say how it is built, or fetch it by its hash.",
    ),
    "import from derivation": (
        f'builtins.readFile (derivation {{ name = "d"; system = "x86_64-linux"; {ECHO}; }})',
        "it reads a file that must be built first (import from derivation), and no evaluation builds here",
        "Commit the file that is read to the repository.",
    ),
}
BROKEN = {
    "a mistake": ("1 + ", "syntax error, unexpected ')'"),
    "a name that is not there": ("nonsense", "undefined variable 'nonsense'"),
    "a file that is not there": ("import ./nothing.nix", "path 'nothing.nix' does not exist"),
    "a throw": ('throw "no numpy for this"', "no numpy for this"),
}


def repository(folder: Path, text: str) -> Path:
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "default.nix").write_text("2")
    (folder / "lib" / "words").write_text("words")
    (folder / "lib" / "argument.nix").write_text("{ system ? builtins.currentSystem }: system")
    (folder / "default.nix").write_text(f"{{ }}:\nlet\n  x = toString (\n    {text});\nin\n{TOOL}\n")
    return folder


async def evaluated(of: Daemon, folder: Path, said: list[Line] | None = None) -> Evaluated:
    files = look(folder)
    assert files is not None
    return await evaluate(of, folder, files, "linux/amd64", (said if said is not None else []).append)


async def test_each_construct(tmp_path: Path, workshop: Workshop) -> None:
    wrong = {}
    async with daemon(NIX, workshop, network=False) as of:
        cases = {**PURE, **IMPURE, **BROKEN}
        for at, (name, case) in enumerate(cases.items()):
            folder = repository(tmp_path / str(at), case if isinstance(case, str) else case[0])
            got: object
            try:
                found = await evaluated(of, folder)
                got = found.inputs.pinning
            except BuilderError as error:
                got = error
            if isinstance(got, EnvironmentImpure):
                got = (got.path, got.reason, got.advice)
            elif isinstance(got, EnvironmentBroken):
                got = (got.path, got.reason)
            expected = REPRODUCIBLE if isinstance(case, str) else ("default.nix:4", *case[1:])
            if got != expected:
                wrong[name] = got
    assert not wrong, wrong


SOMEBODY_ELSE = "of-somebody-else"
SPEAKS = {
    "the daemon's socket": 'builtins.readFile "/run/daemon/socket"',
    "its folder": 'builtins.attrNames (builtins.readDir "/run/daemon")',
    "the store's folder": 'builtins.attrNames (builtins.readDir "/nix/store")',
    "the store's folder by its name": "builtins.attrNames (builtins.readDir builtins.storeDir)",
    "the store's folder as a path": "builtins.attrNames (builtins.readDir (/. + builtins.storeDir))",
    "the store's folder, copied": 'builtins.path { path = "/nix/store"; name = "all"; }',
    "the database": 'builtins.readFile "/nix/var/nix/db/db.sqlite"',
    "another one's path": 'builtins.readFile "%s"',
    "another one's path, copied": "builtins.path { path = %s; }",
    "another one's path, as a source": 'builtins.filterSource (path: type: true) "%s"',
    "another one's path, with its context": 'builtins.readFile (builtins.appendContext "%s" { "%s".path = true; })',
    "code of the machine": 'builtins.importNative "/run/daemon/socket" "x"',
    "a program": 'builtins.exec [ "nix-store" "--gc" ]',
    "a closure of a cache": 'builtins.fetchClosure { fromStore = "http://169.254.169.254"; fromPath = "%s"; }',
}


async def test_an_expression_reaches_no_daemon_and_no_other_s_store(tmp_path: Path, workshop: Workshop) -> None:
    """Nix's language has no word that would: a pure evaluation reads the author's files alone."""
    reached = {}
    async with daemon(NIX, workshop, network=False) as of:
        (of.source / SOMEBODY_ELSE).write_text("secret")
        _, said = await say(of, "nix-store", "--add", f"/source/{SOMEBODY_ELSE}")
        path = said.splitlines()[-1]
        assert (workshop.stores / path[1:]).read_text() == "secret"
        for at, (name, expression) in enumerate(SPEAKS.items()):
            lines: list[Line] = []
            folder = repository(tmp_path / str(at), expression.replace("%s", path))
            with pytest.raises((EnvironmentImpure, EnvironmentBroken, BuildFailed)) as caught:
                await evaluated(of, folder, lines)
            if "secret" in (told := f"{vars(caught.value)} {lines}") or told.count(SOMEBODY_ELSE) > told.count(path):
                reached[name] = told
        listing = await say(of, "sh", "-c", "ls /nix/store /nix/store/.links 2>&1; echo end")
    assert not reached, reached
    assert listing[1].count("Permission denied") == 2
    assert (workshop.stores / path[1:]).is_file(), "nothing was collected"


SET = f"""
let
  drv = name: attributes: derivation ({{ inherit name; system = "x86_64-linux"; {ECHO}; }} // attributes);
  shell = drv "shell" {{ builder = "/bin/bash"; }} // {{ shellHook = ""; phases = [ "buildPhase" ]; }};
in
"""
FLAKE = "{ outputs = { self }: %s { %s }; }"
BINDER = 'packages.x86_64-linux.binder = drv "b" { };'
SHELL = 'devShells.x86_64-linux.default = drv "s" { builder = "/bin/bash"; };'
DEFAULT = 'packages.x86_64-linux.default = drv "d" { };'
LAYOUTS = {
    "a flake's binder": ("flake.nix", FLAKE % (SET, f"{BINDER} {SHELL} {DEFAULT}"), "packages b"),
    "a flake's shell": ("binder/flake.nix", FLAKE % (SET, f"{SHELL} {DEFAULT}"), "shell s"),
    "a flake's package": (".binder/flake.nix", FLAKE % (SET, DEFAULT), "packages d"),
    "a package": ("default.nix", f'{SET} drv "p" {{ }}', "packages p"),
    "a package of a function": ("binder/default.nix", f'{{ name ? "p" }}: {SET} drv name {{ }}', "packages p"),
    "an output that is not the first": (
        "default.nix",
        f'{SET} (drv "p" {{ outputs = [ "out" "dev" ]; }}).dev',
        "packages p^dev",
    ),
    "a list": ("default.nix", f'{SET} [ (drv "p" {{ }}) (drv "q" {{ }}) ]', "packages p q"),
    "a shell in default.nix": ("default.nix", f"{SET} shell", "shell shell"),
    "a shell": ("shell.nix", f"{{ system }}: {SET} shell", "shell shell"),
    "a shell without bash is a package": ("shell.nix", f'{SET} drv "p" {{ }}', "packages p"),
}
SHAPELESS = {
    "a flake of nothing": (
        "flake.nix",
        "{ outputs = { self }: { }; }",
        (
            "it has none of the outputs “packages.x86_64-linux.binder”, “devShells.x86_64-linux.default”, "
            "“packages.x86_64-linux.default”"
        ),
    ),
    "a flake with a name that is nearly one": (
        "flake.nix",
        "{ outputs = _: { lib = abort 1; packages.x86_64-linux.bindr = abort 2; packages.i686-linux = abort 3; }; }",
        (
            "it has none of the outputs “packages.x86_64-linux.binder”, “devShells.x86_64-linux.default”, "
            "“packages.x86_64-linux.default”; “packages.x86_64-linux.bindr” is nearly “packages.x86_64-linux.binder”"
        ),
    ),
    "a set": ("default.nix", "{ }", "it gives a value of type “set”, not a package, a shell or a list of packages"),
    "an empty list": (
        "shell.nix",
        "[ ]",
        "it gives a value of type “list”, not a package, a shell or a list of packages",
    ),
    "a function that wants something": (
        "default.nix",
        "{ pkgs, lib, x ? 1 }: pkgs",
        "it is a function that wants “lib”, “pkgs”, which nobody gives it: give each argument a default",
    ),
    "an input without a lock": (
        "flake.nix",
        '{ inputs.x.url = "github:a/b"; outputs = { self, x }: { }; }',
        "the input “x” is not in flake.lock",
    ),
}


async def test_each_layout(tmp_path: Path, workshop: Workshop) -> None:
    wrong = {}
    async with daemon(NIX, workshop, network=False) as of:
        for at, (name, (file, text, expected)) in enumerate({**LAYOUTS, **SHAPELESS}.items()):
            path = tmp_path / str(at) / file
            path.parent.mkdir(parents=True)
            path.write_text(text)
            try:
                found = await evaluated(of, tmp_path / str(at))
                got = re.sub(r"/nix/store/[0-9a-z]{32}-(\w+)\.drv", r"\1", found.inputs.digest).replace("^out", "")
            except (EnvironmentBroken, EnvironmentImpure) as error:
                got = error.reason if error.path == file else error.path
            if got != expected:
                wrong[name] = got
    assert not wrong, wrong
