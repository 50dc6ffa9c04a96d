"""The bundled example: a folder of this project, served as a git repository on loopback by `git daemon`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import git

from launcher.operate.children import Child
from launcher.operate.installation import InstallationError

if TYPE_CHECKING:
    from launcher.operate.installation import Installation

FILES = Path(__file__).parents[2] / "deploy" / "example"
NAME = "example"
DATE = "2026-01-01T00:00:00+0000"


def make_repository(folder: Path) -> Path:
    """Put the example's files into a bare repository below `folder`, in one commit that is the same everywhere.

    Done again only when the files have changed. Raises InstallationError where the files are missing.
    """
    if not FILES.is_dir():
        raise InstallationError("The bundled example is not part of this installation. Use --no-example.")
    bare, work = folder / NAME, folder / f".{NAME}-work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(FILES, work)
    repository = git.Repo.init(work, initial_branch="main")
    repository.git.add("--all")
    actor = git.Actor("repolaunch", "example@repolaunch.invalid")
    commit = repository.index.commit("The example", author=actor, committer=actor, author_date=DATE, commit_date=DATE)
    if not bare.is_dir() or git.Repo(bare).head.commit.hexsha != commit.hexsha:
        shutil.rmtree(bare, ignore_errors=True)
        repository.clone(str(bare), bare=True)
        git.Repo(bare).git.config("uploadpack.allowAnySHA1InWant", "true")
    shutil.rmtree(work)
    return bare


def child(installation: Installation, environ: dict[str, str]) -> Child:
    """What serves it."""
    folder = installation.path("example")
    make_repository(folder)
    return Child("example", daemon_argv(folder, installation.ports.example), environ)


def daemon_argv(folder: Path, port: int) -> tuple[str, ...]:
    """The command that serves the example, and nothing else, to this machine alone."""
    return (
        "git",
        "daemon",
        "--export-all",
        "--informative-errors",
        "--listen=127.0.0.1",
        f"--port={port}",
        f"--base-path={folder}",
        "--reuseaddr",
        str(folder / NAME),
    )
