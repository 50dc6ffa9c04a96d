"""How often people may launch who have not signed in."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from launcher.model import Stage, Started
from launcher.rates import LOOPBACK, Rates
from launcher.web.afresh import Afresh
from launcher.web.strangers import Strangers
from tests.fixtures.web import OPERATOR_TOKEN, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures.web import Site

SSE = {"Accept": "text/event-stream"}
GUEST = {"Authorization": "token guest-token"}


@pytest.fixture
async def strict(bare_site: Site) -> AsyncIterator[Site]:
    """Two launches from one address, three of one repository; another proxy stands in front of ours."""
    strangers = Strangers(Rates(2, time.monotonic), Rates(3, time.monotonic))
    web = replace(bare_site.web, strangers=strangers, trusted_proxies=(*LOOPBACK, "10.0.0.5"))
    bare_site.script.gate.set()
    async with served(bare_site, web) as site:
        yield site


async def build(site: Site, **headers: str) -> dict[str, Any]:
    """The last event that a program is sent."""
    async with site.client.get(f"{site.base}/build/gh/ada/nice/main", headers=SSE | headers) as answer:
        assert answer.status == 200
        lines = [line async for line in answer.content if line.startswith(b"data:")]
        last: dict[str, Any] = json.loads(lines[-1][5:])
        return last | {"Retry-After": answer.headers.get("Retry-After", "")}


def refused(site: Site) -> float:
    """The metric."""
    return site.metrics.registry.get_sample_value("repolaunch_launches_refused_total") or 0


async def test_one_address(strict: Site) -> None:
    for _ in range(2):
        assert (await build(strict, **{"X-Forwarded-For": "203.0.113.9"}))["phase"] == "ready"
    told = await build(strict, **{"X-Forwarded-For": "1.2.3.4, 203.0.113.9, 10.0.0.5", "X-Real-Ip": "1.2.3.4"})
    assert (told["phase"], told["status_code"]) == ("failed", 429)
    assert told["message"].splitlines()[:2] == [
        "Too many people at once.",
        "From your network address strangers may begin 2 launches within ten minutes, and no more for now.",
    ]
    assert 295 <= int(told["Retry-After"]) <= 300
    assert (await build(strict, **{"X-Forwarded-For": "203.0.113.10"}))["phase"] == "ready"
    assert refused(strict) == 1


async def test_one_repository(strict: Site) -> None:
    for n in range(3):
        assert (await build(strict, **{"X-Forwarded-For": f"203.0.113.{n}"}))["phase"] == "ready"
    body, headers = {"provider": "gh", "spec": "ada/nice/other"}, GUEST | {"X-Forwarded-For": "203.0.113.9"}
    async with strict.client.post(strict.base + "/api/v1/launches", json=body, headers=headers) as answer:
        assert answer.status == 429
        assert 195 <= int(answer.headers["Retry-After"]) <= 200
        told = (await answer.json())["error"]
    assert told["code"] == "too-often"
    assert told["seen"].startswith("Of one repository strangers may begin 3 launches within ten minutes")
    assert len(strict.script.asked) == 3
    await strict.json("POST", "/api/v1/launches", status=201, json=body | {"spec": "bob/nice/main"}, headers=headers)


async def test_who_may_have_an_environment_built_afresh_and_how_often(bare_site: Site) -> None:
    bare_site.script.gate.set()
    async with served(bare_site, replace(bare_site.web, afresh=Afresh(Rates(2, time.monotonic)))) as site:
        body = {"provider": "gh", "spec": "ada/nice/main", "afresh": True}

        async def ask(status: int, headers: dict[str, str]) -> Any:
            return await site.json("POST", "/api/v1/launches", status=status, json=body, headers=headers)

        refused_ = (await ask(403, GUEST))["error"]
        assert (refused_["code"], refused_["seen"]) == (
            "forbidden",
            "Your account may not have an environment built afresh.",
        )
        for _ in range(2):
            launch = (await ask(201, site.headers()))["id"]
            await site.launches.cancel(launch, "the test")
        assert [asked.afresh for asked in site.script.asked] == [True] * 2
        told = (await ask(429, site.headers()))["error"]
        assert told["seen"].startswith("One person may ask for 2 builds afresh within ten minutes, and no more for now")
        await ask(201, site.headers("bob-token"))
        for _ in range(4):
            await ask(201, {"Authorization": f"Bearer {OPERATOR_TOKEN}"})
        # An ordinary launch is not counted, and nothing but true and false is understood.
        await site.json("POST", "/api/v1/launches", status=201, json=body | {"afresh": False}, headers=site.headers())
        await site.json("POST", "/api/v1/launches", status=400, json=body | {"afresh": "yes"}, headers=site.headers())


async def test_members_and_the_operator_are_not_counted(strict: Site) -> None:
    for _ in range(5):
        await strict.launch()
    assert refused(strict) == 0


async def test_who_comes_again_for_the_rest_of_a_stream_is_not_counted(strict: Site) -> None:
    strict.script.events = [Started(Stage.RESOLVE, "Asking")]
    path = f"{strict.base}/build/gh/ada/nice/main"
    async with strict.client.get(path, headers=SSE) as answer:
        text = await answer.text()
    first = text.partition("id: ")[2].partition("\n")[0]
    for _ in range(4):
        async with strict.client.get(path, headers=SSE | {"Last-Event-ID": first}) as answer:
            assert '"phase": "ready"' in await answer.text()
    assert len(strict.script.asked) == 1
