"""Records through the whole service: a DOI becomes a session, twice the same, also when its provider is away."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.fixtures.providers import Said, zipped
from tests.fixtures.service import phases, visiting

if TYPE_CHECKING:
    from tests.fixtures.providers import StandIn
    from tests.fixtures.service import Service

pytestmark = pytest.mark.engine

DOCKERFILE = "FROM localhost/repolaunch/base:1\nRUN echo {}\n"
LONGEST_S = 60


async def test_a_doi_becomes_a_session_and_outlives_its_provider(service: Service, all_providers: StandIn) -> None:
    files = {"top/Dockerfile": DOCKERFILE.format(time.time_ns()), "top/notes.txt": "from a record\n"}
    number = time.time_ns()
    doi = all_providers.zenodo(number, {"release.zip": zipped(files)})
    async with visiting(service) as visitor:
        await visitor.enter()
        events = await visitor.launch(f"https://doi.org/{doi}")
        assert phases(events)[-1] == "ready", events[-1]
        told = [event.get("message", "") for event in events]
        assert f"The version is {doi}" in told
        assert f"Getting the files of {doi}" in told
        session = await visitor.session(events[-1]["url"])
        assert await session.run("print(open('notes.txt').read(), end='')") == "from a record\n"
        shown = "import subprocess; print(subprocess.getoutput('git log -1 --format=%an:%s; git status --porcelain'))"
        assert await session.run(shown) == f"repolaunch:{doi}\n"
        await visitor.call("DELETE", f"/api/v1/sessions/{events[-1]['project']}")

    all_providers.answers[f"/api/records/{number}"] = Said(status=429, headers={"Retry-After": "60"})
    deadline = time.monotonic() + LONGEST_S
    while True:  # it is archived beside the launch
        async with visiting(service) as visitor:
            await visitor.enter()
            again = await visitor.launch(doi)
            if phases(again)[-1] == "ready" or time.monotonic() > deadline:
                break
    assert phases(again)[-1] == "ready", again[-1]
    assert "build" not in phases(again), "the same files have the same environment"
    assert any("was archived and is used" in event.get("message", "") for event in again)


async def test_what_a_provider_refuses_is_told(service: Service, all_providers: StandIn) -> None:
    number = time.time_ns()
    doi = all_providers.zenodo(number, {"a": b"1"})
    all_providers.answers[f"/api/records/{number}"] = Said(status=410)
    async with visiting(service) as visitor:
        await visitor.enter()
        events = await visitor.launch(doi)
        failed = events[-1]
        assert (failed["type"], failed["code"], failed["status"]) == ("failed", "record-gone", 410)
        assert failed["title"] == "The record was taken away"
    address = f"{service.base_url}/build/zenodo/{doi}/"
    async with (
        visiting(service) as visitor,
        visitor.http.get(address, headers={"Accept": "text/event-stream"}) as answer,
    ):
        lines = [json.loads(line[6:]) async for line in answer.content if line.startswith(b"data: ")]
    assert lines[-1]["phase"] == "failed"
    assert "The record was taken away" in lines[-1]["message"]


async def test_pages_and_links_of_records(service: Service) -> None:
    """What is pasted becomes a link of BinderHub's form, which has a page, with or without a slash at its end."""
    async with visiting(service) as visitor:
        await visitor.enter()
        for pasted, path in (
            ("https://doi.org/10.5281/zenodo.123", "zenodo/10.5281/zenodo.123"),
            ("10.7910/DVN/TJCLKP", "dataverse/10.7910/DVN/TJCLKP"),
            (f"swh:1:dir:{'1' * 40};path=/a", f"swh/swh:1:dir:{'1' * 40};path=/a"),
        ):
            status, found = await visitor.call("GET", f"/api/v1/links?url={quote(pasted, safe='')}")
            assert (status, found["link"]) == (200, f"/v2/{path}")
            for address in (f"/v2/{path}", f"/v2/{path}/"):
                async with visitor.http.get(address) as answer:
                    assert (answer.status, answer.content_type) == (200, "text/html")
