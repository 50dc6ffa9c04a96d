"""Where images came from, and whether they can be built again: the command line on a running service."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixtures.service import ROOT, Service, visiting

if TYPE_CHECKING:
    from tests.fixtures.repos import GitHost

pytestmark = pytest.mark.engine


async def repolaunch(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, as the service's operator types it."""
    verb, *rest = arguments
    argv = [sys.executable, "-m", "launcher", verb, "--data", str(service.data), *rest]
    env = service.environment
    return await asyncio.to_thread(
        subprocess.run, argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300
    )


async def papers(service: Service, *what: str) -> dict[str, Any]:
    """What is told of an image that is pushed, and archived, beside the launch."""
    async with asyncio.timeout(90):
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
        f"Nothing of {repo.url} at HEAD is archived here. Launch it first, or say by --ref as what it was launched: "
        "its branch, tag or commit.\n"
    )
    done = await repolaunch(service, "provenance", "0" * 64)
    assert done.stderr == f"The registry has no image of {'0' * 64}. Launch it first.\n"
    done = await repolaunch(service, "provenance", "no link")
    assert done.returncode == 1
    assert "no link" in done.stderr
    assert "Traceback" not in done.stderr
