"""Sessions from images of the form that repo2docker gives to conda's, with the single-user servers it has had.

The images are stand-ins (tests/fixtures/stand_in_images.py): repo2docker's own Dockerfile, with Python from Debian and
packages from PyPI where it takes both from conda's servers, which a closed network does not reach.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import requests

from launcher.model import Account, Kind
from tests.fixtures import stand_in_images as stand_in
from tests.fixtures.hub import Browser
from tests.integration.test_hub_people import enter
from tests.integration.test_sessions_start import _run_cell

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.model import Project
    from tests.fixtures.hub import HubSite

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(1500)]
LOOK = """
import os, sys, six, subprocess
said = subprocess.run(["jupyterhub", "--version"], capture_output=True, text=True).stdout.split(".")[0]
print(said, sys.executable, os.getcwd(), os.environ["HOME"], os.environ["REPO_DIR"])
print(sorted(one for one in os.listdir(os.environ["REPO_DIR"]) if one[0] != "."), os.environ.get("STARTED"))
"""


def revoke(site: HubSite, project: Project, name: str) -> None:
    url = f"{site.api}/shares/{project.account}/"
    headers = {"Authorization": f"token {site.token}"}
    answer = requests.patch(url, headers=headers, json={"user": name}, timeout=20)
    assert answer.ok, answer.text


async def until_refused(person: Browser, project: Project) -> None:
    began = time.monotonic()
    async with asyncio.timeout(180):
        while (await asyncio.to_thread(person.open, f"/user/{project.account}/api/status")).ok:
            await asyncio.sleep(1)
    print(f"\nout after {time.monotonic() - began:.0f} s")


@pytest.mark.parametrize("hub", stand_in.HUBS)
async def test_a_session_runs_cells_is_shared_and_revoked(
    hub_site: HubSite, browser: Browser, tmp_path: Path, hub: str
) -> None:
    files = {"start": '#!/bin/bash\nexport STARTED=yes\nexec "$@"\n'}
    engine_id = await asyncio.to_thread(stand_in.build, hub_site.installation, tmp_path, hub, files)
    image = stand_in.image(hub_site.engine, engine_id)
    assert (image.facts.home, image.facts.repo_dir) == ("/home/jovyan", "/home/jovyan")
    assert image.facts.server == ("/srv/conda/envs/notebook/bin/jupyterhub-singleuser",)
    assert image.facts.entrypoint == ("/usr/local/bin/repo2docker-entrypoint",)
    project, sessions = hub_site.project(image=image), hub_site.sessions()
    browser.sign_in("alice")
    try:
        await sessions.start(project, Account("alice", Kind.MEMBER), lambda _: None)
        printed = await _run_cell(hub_site, project, await sessions.token_for(project), LOOK)
        python = "/srv/conda/envs/notebook/bin/python"
        assert printed.replace(f"{python}3", python).splitlines() == [
            f"{hub.split('.', maxsplit=1)[0]} {python} /workspace/work /workspace/home /home/jovyan",
            "['requirements.txt', 'start'] yes",
        ]
        assert (await asyncio.to_thread(enter, browser, project)).ok
        with Browser(hub_site) as other:
            other.sign_in("bob")
            assert (await asyncio.to_thread(enter, other, project)).status_code == 403
            await sessions.start(project, Account("bob", Kind.MEMBER), lambda _: None)
            assert (await asyncio.to_thread(enter, other, project)).ok
            revoke(hub_site, project, "bob")
            await until_refused(other, project)
        assert (await asyncio.to_thread(enter, browser, project)).ok
        # What repo2docker's entrypoint writes goes where it may: never into the read-only image, never lost.
        assert hub_site.run_inside(project, "sh", "-c", "touch /home/jovyan/x 2>&1 || true").count("Read-only")
    finally:
        await sessions.stop(project.id)
