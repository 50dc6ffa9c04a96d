"""A Guix environment through the whole service: git, Guix, assembler, registry, hub, proxy, a kernel.

Stand-ins, as tests/fixtures/guix.py has them: the seeds, and the channel `guix`. Its Python, numpy and kernel are
Debian's and PyPI's files, built by guix-daemon in the build engine.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.fixtures.build_engine import shared_build_engine
from tests.fixtures.guix import of_a_service
from tests.fixtures.service import phases, visiting

if TYPE_CHECKING:
    from builders.guix.means import Means
    from tests.fixtures.guix import StandInChannel
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(1200)]
MANIFEST = """(use-modules (packages python))
(packages->manifest (list (python-environment "ipykernel" "numpy")))
"""
CELL = """
import numpy, sys
print(sys.prefix.partition("-")[2], numpy.linalg.det(numpy.eye(3)))
for name in ("jupyterhub", "jupyter_server", "jupyterlab"):
    try:
        __import__(name)
    except ImportError:
        continue
    print("imports", name)
"""


@pytest.fixture
def guix_service(own_service: Service, guix_means: Means) -> Service:
    """A service whose Guix is the stand-in."""
    own_service.env["REPOLAUNCH_GUIX"] = of_a_service(guix_means, shared_build_engine().stores)
    own_service.start()
    return own_service


async def test_a_link_becomes_a_session_whose_kernel_has_the_packages_of_a_stand_in_channel_alone(
    guix_service: Service, git_daemon: GitHost, channel: StandInChannel
) -> None:
    channels = channel.scheme(channel.commits[0])
    files = {"channels.scm": channels, "manifest.scm": MANIFEST, "notes.txt": "from git\n"}
    repo = git_daemon.make_repo(files=files)
    async with visiting(guix_service) as visitor:
        await visitor.enter()
        events = await visitor.launch(repo.url, "main")
        assert phases(events)[-1] == "ready", json.dumps(events[-1])
        (declared,) = (event for event in events if event["type"] == "declared")
        assert (declared["builder"], declared["pinning"], declared["loose"]) == ("guix", "reproducible", [])
        session = await visitor.session(events[-1]["url"])
        assert await session.run(CELL) == "profile 1.0\n"
        assert await session.run("print(open('notes.txt').read(), end='')") == "from git\n"

        # What the manifest does not read is no part of the environment.
        repo.add({"notes.txt": "changed\n"})
        again = await visitor.launch(repo.url, "main")
        assert phases(again)[-1] == "ready", json.dumps(again[-1])
        assert "build" not in phases(again)
