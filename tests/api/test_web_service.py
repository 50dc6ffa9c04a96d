"""Health, metrics, versions, providers, the description of the API, and what only the hub may ask."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from openapi_spec_validator import validate

from launcher.builds.collection import Kept, Plan, Thing
from launcher.builds.forgetting import Forgotten
from launcher.errors import HubDown, PolicyBroken
from launcher.web.app import ROUTES
from launcher.web.health import Health, Outcome
from launcher.web.metrics import Metrics
from tests.fixtures.web import INTERNAL_TOKEN, OPERATOR_TOKEN, served

if TYPE_CHECKING:
    from tests.fixtures.web import Site


class Check:
    """Counts how often it is asked."""

    def __init__(self, fault: Exception | None = None, pause_s: float = 0) -> None:
        self.fault, self.pause_s, self.asked = fault, pause_s, 0

    async def __call__(self) -> None:
        self.asked += 1
        await asyncio.sleep(self.pause_s)
        if self.fault:
            raise self.fault


async def test_each_check_is_asked_once_in_fifteen_seconds() -> None:
    now = 0.0
    check = Check(pause_s=0.01)
    health = Health({"hub": check}, lambda: now)
    await asyncio.gather(*(health.outcomes() for _ in range(20)))
    assert check.asked == 1
    now = 14.9
    await health.outcomes()
    assert check.asked == 1
    now = 15.1
    assert await health.outcomes() == [Outcome("hub", ok=True)]
    assert check.asked == 2


@pytest.mark.parametrize(
    "check, message",
    [
        (Check(HubDown("It is asleep")), "It is asleep."),
        (Check(RuntimeError("secret")), "The check itself broke; it is in the launcher's log."),
        (Check(pause_s=60), "No answer within 0.05 seconds."),
    ],
)
async def test_an_ill_part_is_told(check: Check, message: str) -> None:
    health = Health({"hub": check}, lambda: 0.0, limit_s=0.05)
    assert await health.outcomes() == [Outcome("hub", ok=False, message=message)]


async def test_who_stops_asking_stops_no_check() -> None:
    check = Check(pause_s=0.05)
    health = Health({"hub": check}, lambda: 0.0)
    asking = asyncio.create_task(health.outcomes())
    await asyncio.sleep(0.01)
    asking.cancel()
    assert await health.outcomes() == [Outcome("hub", ok=True)]
    assert check.asked == 1


async def test_health_page(bare_site: Site) -> None:
    fault = Check()
    web = replace(
        bare_site.web, health=Health({"JupyterHub API": Check(), "Database": fault}, lambda: 0.0, max_age_s=-1)
    )
    async with served(bare_site, web) as site:
        well = await site.json("GET", "/health")
        assert well["ok"] is True
        assert [one["service"] for one in well["checks"]] == ["JupyterHub API", "Database"]
        fault.fault = HubDown("Gone")
        ill = await site.json("GET", "/health", status=503)
    assert (ill["ok"], ill["checks"][1]["ok"], ill["checks"][1]["message"]) == (False, False, "Gone.")


async def test_why_the_policy_file_is_broken_is_for_the_operator_alone(bare_site: Site) -> None:
    broken = Check(PolicyBroken("banned_people.mallory: “(evil” is no pattern", "line 7"))
    web = replace(bare_site.web, health=Health({"policy file": broken}, lambda: 0.0))
    bearer = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    async with served(bare_site, web) as site:
        for headers in ({}, site.headers(), {"Authorization": "Bearer guessed"}):
            told = await site.json("GET", "/health", status=503, headers=headers)
            assert told["checks"][0]["message"] == "The policy file is broken; the last good one holds."
        async with site.client.get(site.base + "/about", headers={"Accept": "text/html"}) as answer:
            html = await answer.text()
        whole = (await site.json("GET", "/health", status=503, headers=bearer))["checks"][0]["message"]
    assert "The policy file is broken; the last good one holds." in html
    assert "mallory" not in html
    assert "line 7" not in html
    assert "Why: banned_people.mallory: “(evil” is no pattern." in whole
    assert "line 7" in whole


async def test_versions_and_providers_are_for_any_site(site: Site) -> None:
    for path in ("/versions", "/api/repoproviders", "/health"):
        async with site.client.get(site.base + path) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert await site.json("GET", "/versions") == {"repolaunch": "0.1.0"}
    known = ["gh", "gl", "gist", "git", "zenodo", "figshare", "dataverse", "hydroshare", "ckan", "swh"]
    assert [one["id"] for one in await site.json("GET", "/api/repoproviders")] == known


# ---- metrics
async def test_requests_are_counted_by_route_never_by_address(site: Site) -> None:
    await site.json("GET", "/api/v1/launches/abc", status=404, headers=site.headers())
    async with site.client.get(site.base + "/no/such/page"), site.client.request("BREW", site.base + "/"):
        pass
    async with site.client.get(site.base + "/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = await answer.text()
    assert 'repolaunch_http_requests_total{method="GET",route="/api/v1/launches/{id}",status="404"} 1.0' in text
    assert 'method="GET",route="other",status="404"' in text
    assert 'method="other"' in text
    assert "abc" not in text
    assert "such" not in text
    assert "process_resident_memory_bytes" in text


async def test_streams_are_counted_but_not_timed(site: Site) -> None:
    site.script.gate.set()
    launch = await site.launch()
    async with site.client.get(site.base + launch["events"], headers=site.headers()) as answer:
        await answer.read()
    value = site.metrics.registry.get_sample_value
    route = "/api/v1/launches/{id}/events"
    await asyncio.sleep(0.01)
    assert value("repolaunch_http_requests_total", {"method": "GET", "route": route, "status": "200"}) == 1
    assert value("repolaunch_http_request_seconds_count", {"route": route}) is None


def test_names_follow_prometheus() -> None:
    for metric in Metrics().registry.collect():
        assert re.fullmatch(r"(repolaunch|process|binderhub)_[a-z_]+", metric.name)
        assert metric.documentation
        if metric.type == "counter":
            assert all(sample.name.endswith(("_total", "_created")) for sample in metric.samples)


# ---- the hub alone
HUB = {"Authorization": f"token {INTERNAL_TOKEN}"}
ASKED = {"account": "project-abc", "server": "", "user_options": {"project": "abc"}}


async def test_the_hub_asks_what_a_spawn_may_have(site: Site) -> None:
    assert await site.json("POST", "/internal/resolve", json=ASKED, headers=HUB) == {"image": "sha256:1"}
    assert site.resolve.asked == [ASKED]


@pytest.mark.parametrize(
    "headers, status",
    [
        ({}, 403),
        ({"Authorization": "token wrong"}, 403),
        ({"Authorization": INTERNAL_TOKEN}, 403),
        ({"Authorization": "token ada-token"}, 403),
        (HUB | {"X-Forwarded-For": "127.0.0.1"}, 404),
    ],
)
async def test_nobody_else_does(site: Site, headers: dict[str, str], status: int) -> None:
    await site.json("POST", "/internal/resolve", status=status, json=ASKED, headers=headers)
    assert site.resolve.asked == []


@pytest.mark.parametrize("path", ["/internal/resolve", "/internal/lease"])
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
async def test_bad_questions(site: Site, path: str, body: bytes) -> None:
    await site.json("POST", path, status=400, data=body, headers=HUB)


LEASE: dict[str, Any] = {"project": "abcdefghij", "after": 0, "engine": "an engine", "container": "c" * 64}


async def test_the_hub_takes_the_lease_of_a_workspace(site: Site) -> None:
    async def ask(status: int = 200, **question: object) -> Any:
        return await site.json("POST", "/internal/lease", status=status, json=question, headers=HUB)

    assert await ask(project="abcdefghij") == {"epoch": 0, "holder": None}
    assert await ask(**LEASE) == {"epoch": 1}
    assert "just been opened" in (await ask(409, **LEASE))["message"]
    holder = {"engine": "an engine", "container": "c" * 64}
    assert await ask(project="abcdefghij") == {"epoch": 1, "holder": holder}
    assert await ask(**LEASE | {"after": 1}) == {"epoch": 2}


@pytest.mark.parametrize(
    "wrong",
    [{"project": "../abcdefg"}, {"after": -1}, {"after": None}, {"engine": ""}, {"container": "C" * 64}, {"more": 1}],
)
async def test_no_question_about_a_lease(site: Site, wrong: dict[str, object]) -> None:
    told = await site.json("POST", "/internal/lease", status=400, json=LEASE | wrong, headers=HUB)
    assert told["message"].startswith("That is no question about a lease")


async def test_nobody_else_takes_a_lease(site: Site) -> None:
    await site.json("POST", "/internal/lease", status=403, json=LEASE)
    await site.json("POST", "/internal/lease", status=404, json=LEASE, headers=HUB | {"X-Forwarded-For": "::1"})
    assert await site.json("POST", "/internal/lease", json={"project": "abcdefghij"}, headers=HUB) == {
        "epoch": 0,
        "holder": None,
    }


# ---- the description
async def test_openapi_is_valid_and_has_every_route(site: Site) -> None:
    document: dict[str, Any] = await site.json("GET", "/api/v1/openapi.json")
    validate(document)
    assert set(document["paths"]) == {route.path for route in ROUTES}
    ids = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_method_is_documented(route: Any) -> None:
    has = {name.upper() for name in ("get", "post", "put", "patch", "delete") if name in vars(route.handler)}
    told = {one.method for one in route.operations}
    assert has == told or (route.path == "/user/{rest}" and told == {"GET"})
    assert all(one.summary.endswith(".") for one in route.operations)


@dataclass
class Forgets:
    """Is a `launcher.web.interface.Forgetting`: notes what it is asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    async def look(self, url: str) -> Forgotten:
        self.asked.append(("look", url))
        stays = Kept(Thing("registry", "image", "k" * 64, 0.0), "a project uses it")
        return Forgotten(url, Plan((), (stays,)), ("abcdefghij",), 1, 2, done=False)

    async def forget(self, url: str) -> Forgotten:
        told = await self.look(url)
        self.asked[-1] = ("forget", url)
        return told


async def test_the_operator_alone_has_a_repository_forgotten(bare_site: Site) -> None:
    forgets = Forgets()
    path, pasted, url = "/api/v1/forgetting", "https://github.com/ada/nice.git/", "https://github.com/ada/nice"
    operator = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    async with served(bare_site, replace(bare_site.web, forgetting=forgets)) as site:
        for who, status in ((site.headers(), 403), ({}, 401)):
            await site.json("GET", f"{path}?url={url}", status=status, headers=who)
            await site.json("POST", path, status=status, json={"url": url}, headers=who)
        assert forgets.asked == []
        told = await site.json("GET", f"{path}?url={pasted}", headers=operator)
        assert (told["kept"][0]["reason"], told["projects"], told["trees"]) == ("a project uses it", ["abcdefghij"], 2)
        await site.json("POST", path, json={"url": pasted}, headers=operator)
        assert forgets.asked == [("look", url), ("forget", url)]
        wrong = await site.json("POST", path, status=400, json={"url": "nonsense"}, headers=operator)
        assert wrong["error"]["code"] == "bad-url"
