"""Who may launch, and how often, as visitors meet it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from multidict import CIMultiDict
from yarl import URL

from launcher.errors import QueueFull
from launcher.events import Stage, Started
from launcher.gate.gate import Gate
from launcher.gate.places import Turn
from launcher.gate.policy import Policy
from launcher.model import Kind
from launcher.rates import LOOPBACK
from launcher.repos.aliases import Aliases
from launcher.repos.provider import Sites
from tests.fakes.web import a_project
from tests.fixtures.web import OPERATOR_TOKEN, gate, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from launcher.model import Account
    from tests.fixtures.web import Site

SSE = {"Accept": "text/event-stream"}
RATE = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
GUEST = {"Authorization": "token guest-token"}


@pytest.fixture
async def strict(bare_site: Site) -> AsyncIterator[Site]:
    """Two launches from one address, three of one repository; another proxy stands in front of ours."""
    of = gate(rates={"per_address": 2, "per_repository": 3, "per_person": 6})
    web = replace(bare_site.web, gate=of, trusted_proxies=(*LOOPBACK, "10.0.0.5"))
    bare_site.script.gate.set()
    async with served(bare_site, web) as site:
        yield site


async def build(site: Site, **headers: str) -> dict[str, Any]:
    """The last event that a program is sent."""
    async with site.client.get(f"{site.base}/build/gh/ada/nice/main", headers=SSE | headers) as answer:
        assert answer.status == 200
        lines = [line async for line in answer.content if line.startswith(b"data:")]
        last: dict[str, Any] = json.loads(lines[-1][5:])
        told = {name: answer.headers.get(name, "") for name in ("Retry-After", *RATE)}
        return last | told


def refused(site: Site, code: str = "too-often") -> float:
    """The metric."""
    return site.metrics.registry.get_sample_value("repolaunch_launches_refused_total", {"code": code}) or 0


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
    async with served(bare_site, replace(bare_site.web, gate=gate(rates={"afresh_per_person": 2}))) as site:
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


async def test_members_have_a_limit_of_their_own_and_the_operator_none(strict: Site) -> None:
    body = {"provider": "gh", "spec": "ada/nice/main"}
    for n in range(7):
        headers = strict.headers() | {"X-Forwarded-For": f"203.0.113.{n}"}
        async with strict.client.post(strict.base + "/api/v1/launches", json=body, headers=headers) as answer:
            assert answer.status == (201 if n < 6 else 429), await answer.text()
            assert [answer.headers[name] for name in RATE[:2]] == ["6", str(max(0, 5 - n))]
            if n == 6:
                assert "One person may begin 6 launches within ten minutes" in await answer.text()
                assert 95 <= int(answer.headers["Retry-After"]) <= 100
    headers = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    async with strict.client.post(strict.base + "/api/v1/launches", json=body, headers=headers) as answer:
        assert (answer.status, [name for name in RATE if name in answer.headers]) == (201, [])


async def test_how_often_one_may_still_come_is_in_the_headers(strict: Site) -> None:
    for remaining in ("1", "0", "0"):
        told = await build(strict, **{"X-Forwarded-For": "2001:db8:1:2::3"})
        assert (told["X-RateLimit-Limit"], told["X-RateLimit-Remaining"]) == ("2", remaining)
        assert 0 < int(told["X-RateLimit-Reset"]) - time.time() <= 601
    neighbour = await build(strict, **{"X-Forwarded-For": "2001:db8:1:2:ffff::1"})
    assert neighbour["status_code"] == 429, "an IPv6 network of 64 bits is one household"
    assert int(neighbour["Retry-After"]) > 0
    assert (await build(strict, **{"X-Forwarded-For": "2001:db8:1:3::3"}))["phase"] == "ready"


async def test_what_an_untrusted_proxy_says_of_the_visitor_counts_for_nothing(bare_site: Site) -> None:
    bare_site.script.gate.set()
    web = replace(bare_site.web, gate=gate(rates={"per_address": 1}), trusted_proxies=())
    async with served(bare_site, web) as site:
        assert (await build(site, **{"X-Forwarded-For": "203.0.113.1"}))["phase"] == "ready"
        assert (await build(site, **{"X-Forwarded-For": "203.0.113.2"}))["status_code"] == 429


async def test_who_may_not_launch_is_told_why(bare_site: Site) -> None:
    of = gate(
        launch={"open_to": "members"}, banned_people={"bob": "mining"}, providers={"gh": {"banned": ["^mallory/"]}}
    )
    bare_site.script.gate.set()
    async with served(bare_site, replace(bare_site.web, gate=of)) as site:
        told = await build(site)
        assert (told["phase"], told["status_code"]) == ("failed", 403)
        assert told["message"].splitlines()[1] == "This site is open to people who have signed in alone."
        for token, spec, code in (
            ("bob-token", "ada/nice/main", "person-banned"),
            ("guest-token", "ada/nice/main", "launch-closed"),
            ("ada-token", "mallory/x/main", "repository-banned"),
        ):
            body = {"provider": "gh", "spec": spec}
            said = await site.json("POST", "/api/v1/launches", status=403, json=body, headers=site.headers(token))
            assert said["error"]["code"] == code
            assert refused(site, code) >= 1
        assert site.script.asked == []
        await site.launch()


async def test_a_banned_network_is_told_so_everywhere(bare_site: Site) -> None:
    of = gate(banned_networks={"2001:db8::/96": "a crawler"})
    async with served(bare_site, replace(bare_site.web, gate=of)) as site:
        banned, other = {"X-Forwarded-For": "2001:db8::7"}, {"X-Forwarded-For": "2001:db8::1:0:7"}
        for path in ("/", "/v2/gh/ada/nice/main", "/api/v1/launches", "/nowhere", "/badge.svg"):
            async with site.client.get(site.base + path, headers=banned) as answer:
                assert (answer.status, "from a crawler" in await answer.text()) == (403, True), path
            async with site.client.get(site.base + path, headers=other) as answer:
                assert answer.status != 403, path
        assert (await build(site, **banned))["status_code"] == 403
        for path in ("/health", "/metrics", "/versions"):
            async with site.client.get(site.base + path, headers=banned) as answer:
                assert answer.status == 200, path


FROM_A_BANNED_ONE = [
    [("X-Forwarded-For", "203.0.113.9")],
    [("X-Forwarded-For", "::ffff:203.0.113.9")],
    [("X-Forwarded-For", "198.51.100.1, 203.0.113.9")],
    [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "203.0.113.9")],
    [("X-Forwarded-For", "203.0.113.9, 10.0.0.5")],
    [("X-Forwarded-For", "203.0.113.9:4711")],
    [("X-Forwarded-For", "203.0.113.9"), ("X-Real-Ip", "198.51.100.1"), ("Forwarded", "for=198.51.100.1")],
    [("X-Forwarded-For", "203.0.113.9"), ("X-Client-Ip", "127.0.0.1"), ("Client-Ip", "198.51.100.1")],
    [("X-Forwarded-For", "2001:DB8:0::7")],
    [("X-Forwarded-For", "[2001:db8::7]:443")],
]
FROM_ANOTHER = [
    [("X-Forwarded-For", "203.0.113.9, 198.51.100.1")],
    [("X-Forwarded-For", "203.0.113.9, 198.51.100.1, 10.0.0.5")],
    [("X-Real-Ip", "203.0.113.9")],
    [("Forwarded", "for=203.0.113.9")],
    [("X-Forwarded-For", "2001:db9::7")],
]


async def test_no_header_leads_past_a_ban_of_a_network_and_none_brings_one_upon_others(bare_site: Site) -> None:
    of = gate(banned_networks={"203.0.113.0/24": "a crawler", "2001:DB8::/32": "another"})
    web = replace(bare_site.web, gate=of, trusted_proxies=(*LOOPBACK, "10.0.0.5"))
    async with served(bare_site, web) as site:
        for status, requests in ((403, FROM_A_BANNED_ONE), (200, FROM_ANOTHER)):
            for headers in requests:
                async with site.client.get(f"{site.base}/about", headers=CIMultiDict(headers)) as answer:
                    assert answer.status == status, headers
    async with served(bare_site, replace(web, trusted_proxies=())) as site:
        for headers in FROM_A_BANNED_ONE:
            async with site.client.get(f"{site.base}/about", headers=CIMultiDict(headers)) as answer:
                assert answer.status == 200, "who is no proxy of ours is believed nothing"
    of = gate(banned_networks={"127.0.0.0/8": "this machine"})
    async with (
        served(bare_site, replace(web, gate=of, trusted_proxies=())) as site,
        site.client.get(f"{site.base}/about", headers={"X-Forwarded-For": "198.51.100.1"}) as answer,
    ):
        assert answer.status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/build/gh/mallory/coins/main",
        "/build/gh/MALLORY/Coins.git/main",
        "/build/gh/%6dallory/coins/main",
        "/build/git/https%3A%2F%2Fgithub.com%2Fmallory%2Fcoins.git/main",
        "/build/git/https%3a%2f%2fGitHub.com%2fmallory%252Fcoins/main",
        "/build/git/ssh%3A%2F%2Fgit%40ssh.github.com%3A443%2Fmallory%2Fcoins/main",
        "/build/figshare/10.5281/zenodo.666",
    ],
)
async def test_what_is_banned_is_not_launched_however_its_link_is_written(bare_site: Site, path: str) -> None:
    policy = Policy.model_validate(
        {"providers": {"gh": {"banned": ["^mallory/coins/"]}, "zenodo": {"banned": [r"^10\.5281/zenodo\.666$"]}}}
    )
    of = Gate(lambda: policy, time.monotonic, Aliases(Sites()))
    async with served(bare_site, replace(bare_site.web, gate=of)) as site:
        async with site.client.get(URL(f"{site.base}{path}", encoded=True), headers=SSE) as answer:
            text = await answer.text()
        assert "has closed" in text, text
        assert site.script.asked == []
        assert refused(site, "repository-banned") == 1


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


class Waiting:
    """A queue in which one launch waits, and no other may."""

    taken = 2

    def __init__(self) -> None:
        self.launch = ""
        self.sessions: list[str | None] = []

    async def admit(self, account: Account, has_session: Callable[[], Awaitable[str | None]]) -> None:
        self.sessions.append(await has_session())
        if self.launch and account.kind is not Kind.OPERATOR:
            raise QueueFull(7, 12)

    def turn(self, launch: str) -> Turn | None:
        return Turn(launch, 3, 2, 7, "repository", 1_700_000_000.0) if launch == self.launch else None

    def overview(self) -> list[Turn]:
        found = self.turn(self.launch)
        return [found] if found else []


async def test_who_waits_is_told_how_it_stands_and_who_cannot_even_wait_is_told_when(bare_site: Site) -> None:
    queue = Waiting()
    policy = Policy.model_validate({"sessions": {"in_all": 2, "waiting": 7}})
    async with served(bare_site, replace(bare_site.web, queue=queue, limits=lambda: policy)) as site:
        site.projects.add(a_project("aaaaaaaaaa", "ada"))
        queue.launch = (await site.launch())["id"]
        shown = await site.json("GET", f"/api/v1/launches/{queue.launch}", headers=site.headers())
        turn = {"place": 3, "ahead": 2, "waiting": 7, "reason": "repository", "since": "2023-11-14T22:13:20.000Z"}
        assert shown["queue"] == turn
        body = {"provider": "gh", "spec": "ada/other/main"}
        async with site.client.post(
            f"{site.base}/api/v1/launches", json=body, headers=site.headers("bob-token")
        ) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "12")
            assert (await answer.json())["error"]["code"] == "queue-full"
        told = await build(site)
        assert (told["phase"], told["status_code"], told["Retry-After"]) == ("failed", 503, "12")
        assert queue.sessions == ["aaaaaaaaaa", None, None], "the project that the link would resume"
        limits = await site.json("GET", "/api/v1/limits")
        assert (limits["sessions"], limits["taken"], limits["waiting"], limits["waiting_most"]) == (2, 2, 1, 7)
        operator = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
        (one,) = await site.json("GET", "/api/v1/queue", headers=operator)
        assert one == {**turn, "launch": queue.launch, "account": "ada", "link": "/v2/gh/ada/nice/main"}
        await site.json("GET", "/api/v1/queue", status=403, headers=site.headers())
