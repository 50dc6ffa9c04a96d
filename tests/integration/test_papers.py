"""Where images came from, and whether they can be built again: the command line on a running service."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixtures.nix import author
from tests.fixtures.service import ROOT, Service, visiting

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.repos import GitHost, Repo

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


async def repolaunch(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, as the service's operator types it."""
    verb, *rest = arguments
    argv = [sys.executable, "-m", "launcher", verb, "--data", str(service.data), *rest]
    env = service.environment
    return await asyncio.to_thread(
        subprocess.run, argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=600
    )


async def papers(service: Service, *what: str) -> dict[str, Any]:
    """What is told of an image that is pushed, and archived, beside the launch."""
    async with asyncio.timeout(600):  # layers of the base image are compressed for a registry that has none
        while True:
            done = await repolaunch(service, "provenance", "--json", *what)
            if done.returncode == 0:
                return json.loads(done.stdout)  # type: ignore[no-any-return]  # it is JSON
            assert done.stderr.startswith(("Nothing of ", "The registry has ")), done.stderr
            await asyncio.sleep(1)


async def test_what_was_launched_says_where_it_came_from(service: Service, git_daemon: GitHost) -> None:
    text = f"FROM localhost/repolaunch/base:1\nRUN echo {time.time_ns()}\n"
    repo = git_daemon.make_repo(files={"Dockerfile": text})
    async with visiting(service) as visitor:
        await visitor.enter()
        assert (await visitor.launch(repo.url, "main"))[-1]["type"] == "ready"
    found = await papers(service, repo.url, "--ref=main")
    statement = found["documents"]["application/vnd.in-toto+json"]
    definition = statement["predicate"]["buildDefinition"]
    assert definition["resolvedDependencies"][0]["uri"] == f"git+{repo.url}@{repo.commit}"
    assert definition["externalParameters"]["evidence"] == ["Dockerfile"]
    assert definition["internalParameters"]["pinning"] == "not-pinned"
    assert found["image"].endswith("@sha256:" + statement["subject"][0]["digest"]["sha256"])
    told = (await repolaunch(service, "provenance", found["image"])).stdout
    assert f"built from   {repo.url}@{repo.commit}" in told
    assert "not pinned   Dockerfile:1: FROM localhost/repolaunch/base:1 names" in told
    by_key = await repolaunch(service, "provenance", "--json", definition["internalParameters"]["key"])
    assert json.loads(by_key.stdout)["image"] == found["image"]

    done = await repolaunch(service, "verify", found["image"])
    assert done.returncode == 1, done.stderr
    reason = "it was built from what is not pinned: another build may be another image"
    assert done.stdout == f"not-comparable: {reason}\n"


async def test_what_was_never_launched(service: Service, git_daemon: GitHost) -> None:
    repo = git_daemon.make_repo()
    done = await repolaunch(service, "verify", repo.url, "--ref=main")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Nothing of {repo.url} at main is archived here. Launch it first, or say by --ref as what it was launched: "
        "its branch, tag or commit.\n"
    )
    done = await repolaunch(service, "provenance", "0" * 64)
    assert done.stderr == f"The registry has no image of {'0' * 64}. Launch it first.\n"
    done = await repolaunch(service, "provenance", "no link")
    assert done.returncode == 1
    assert "no link" in done.stderr
    assert "Traceback" not in done.stderr


async def built(service: Service, repo: Repo) -> str:
    """The image of what the repository says now, by its digest."""
    done = await repolaunch(service, "build", repo.url, "--ref=main", "--quiet")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("filled")
async def test_what_nix_built_is_verified(service: Service, git_daemon: GitHost, nix_author: Path) -> None:
    """As the operator types it: words, JSON, exit codes. The notebook server is built in the empty store too."""
    salt = secrets.token_hex(8)
    repo = author(git_daemon, nix_author / "seed", f'program "tool" "echo {salt}"')
    image = await built(service, repo)
    by_link = await repolaunch(service, "verify", repo.url, "--ref=main")
    assert (by_link.returncode, by_link.stdout) == (0, "identical\n"), by_link.stderr
    by_name = await repolaunch(service, "verify", image, "--json")
    assert json.loads(by_name.stdout) == {"image": image, "verdict": "identical", "difference": ""}
    told = await repolaunch(service, "provenance", image)
    assert f"built from   {repo.url}@{repo.commit}" in told.stdout
    assert "pinning      reproducible" in told.stdout
    assert " store paths" in told.stdout
