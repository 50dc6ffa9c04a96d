"""A launch as a page that lasts and needs no script; what this site is; how to come in."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING

import pytest

from launcher.catalogue import about, said
from launcher.errors import BuildFailed, HubDown, RegistryDown, RepositoryMissing
from launcher.events import Ended, Event, Log, Progress, Queued, Stage, Started
from launcher.explain import explain
from launcher.gate.policy import Policy
from launcher.web import lasting, site_pages
from launcher.web.health import Health
from tests.fixtures.web import OPERATOR_TOKEN, gate, served

if TYPE_CHECKING:
    from tests.fixtures.web import Site

HTML = {"Accept": "text/html"}
STORY: list[Event] = [
    Started(Stage.RESOLVE, "Asking github.com"),
    Ended(Stage.RESOLVE, "main is at 5555555555", 0.42),
    Started(Stage.BUILD, "Building"),
    Log(Stage.BUILD, "Step 1 <script>alert(1)</script>\n"),
]


async def begun(site: Site) -> str:
    """A launch that has told its story so far."""
    site.script.events = STORY
    launch = str((await site.launch())["id"])
    async with asyncio.timeout(10):
        told = await site.launches.log(launch)
        while told.shown < len(STORY):
            await asyncio.sleep(0.01)
    return launch


async def ended(site: Site, launch: str) -> None:
    site.script.gate.set()
    async with asyncio.timeout(10):
        while (await site.launches.get(launch)).ended is None:
            await asyncio.sleep(0.01)
    await site.launches._logs.flush()


async def page(site: Site, launch: str, language: str = "en") -> str:
    headers = HTML | site.cookie() | {"Accept-Language": language}
    async with site.client.get(f"{site.base}/launches/{launch}", headers=headers) as answer:
        text = await answer.text()
        assert answer.status == 200, text
        return text


async def test_a_launch_under_way_asks_again_by_itself(site: Site) -> None:
    launch = await begun(site)
    html = await page(site, launch)
    assert '<meta http-equiv="refresh" content="5">' in html
    assert "This launch is under way" in html
    assert "0.4 s" in html
    assert "Step 1 &lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html
    await ended(site, launch)
    assert "refresh" not in await page(site, launch)


async def test_a_failure_lasts(site: Site) -> None:
    launch = await begun(site)
    site.script.outcome = BuildFailed("repo2docker", "RUN make", ("no rule",), 1)
    await ended(site, launch)
    html = await page(site, launch)
    for part in (
        "This launch failed",
        "The build failed",
        "Step: RUN make",
        "no rule",
        'href="/docs/errors#build-failed"',
    ):
        assert part in html
    assert 'data-stage="build" data-status="failed"' in html
    assert "/credentials" not in html
    assert f'href="/api/v1/launches/{launch}/log"' in html
    french = await page(site, launch, "fr")
    assert "Ce lancement a échoué" in french
    assert '<html lang="fr">' in french
    assert "La construction a échoué" in french
    assert "Étape : RUN make" in french


def rows(html: str) -> list[tuple[str, ...]]:
    """Stage, status and what is said of each step on the page."""
    found = []
    for one in html.split('<li class="stage" ')[1:]:
        said = re.search(r'<span class="stage-message" dir="auto">([^<]*)<', one)
        found.append((*re.findall(r'data-(?:stage|status)="([^"]+)"', one), said[1] if said else ""))
    return found


async def test_a_look_that_led_to_a_build_is_over_and_nobody_waited_for_a_place(site: Site) -> None:
    site.script.events = [
        Started(Stage.IMAGE, "Looking for image 12ab"),
        Started(Stage.BUILD, "Building"),
    ]
    site.script.outcome = BuildFailed("repo2docker", "RUN make", ("no rule",), 1)
    launch = str((await site.launch())["id"])
    await ended(site, launch)
    assert rows(await page(site, launch))[:5] == [
        ("resolve", "skipped", ""),
        ("checkout", "skipped", ""),
        ("detect", "skipped", ""),
        ("image", "done", "There is none yet"),
        ("build", "failed", "The build failed"),
    ]
    assert "queue" not in [stage for stage, *_ in rows(await page(site, launch))]
    assert ("image", "done", "Il n’y en a pas encore") in rows(await page(site, launch, "fr"))


async def test_who_waited_for_a_place_reads_so_before_the_session(site: Site) -> None:
    site.script.events = [
        Started(Stage.IMAGE, "Looking"),
        Ended(Stage.IMAGE, "The image is here", 0.1),
        Queued(Stage.QUEUE, "You are next.", 1, 0, "sessions"),
    ]
    site.script.outcome = BuildFailed("repo2docker", "RUN make", ("no rule",), 1)
    launch = str((await site.launch())["id"])
    await ended(site, launch)
    told = rows(await page(site, launch))
    assert [stage for stage, *_ in told[-2:]] == ["queue", "session"]
    assert ("image", "done", "The image is here") in told


async def test_a_repository_that_may_be_private_leads_to_credentials(site: Site) -> None:
    launch = await begun(site)
    site.script.outcome = RepositoryMissing("https://github.com/ada/nice")
    await ended(site, launch)
    html = unescape(await page(site, launch))
    asked = "repository=https%3A%2F%2Fgithub.com%2Fada%2Fnice&next=%2Fv2%2Fgh%2Fada%2Fnice%2Fmain"
    assert f'href="/credentials?{asked}"' in html


async def test_errors_and_events_speak_french_to_who_reads_it(site: Site) -> None:
    french = {"Accept-Language": "fr", "Cookie": "repolaunch-language=fr"}
    told = await site.json("GET", "/api/v1/links?url=hello", status=400, headers=french)
    assert told["error"]["title"] == "Ce n’est pas l’adresse d’un dépôt"
    async with site.client.get(site.base + "/nowhere", headers=HTML | french) as answer:
        assert "Il n’y a pas de telle page" in await answer.text()
    async with site.client.get(site.base + "/docs/errors", headers=HTML | french) as answer:
        assert "La construction a échoué" in await answer.text()
    launch = await begun(site)
    site.script.outcome = BuildFailed("repo2docker", "RUN make", ("no rule",), 1)
    await ended(site, launch)
    path = f"{site.base}/api/v1/launches/{launch}/events"
    for language, title in (("fr", "La construction a échoué"), ("en", "The build failed")):
        async with site.client.get(path, headers=site.headers() | {"Accept-Language": language}) as answer:
            assert json.loads((await answer.text()).strip().splitlines()[-1][5:])["title"] == title


async def test_steps_speak_french_to_who_reads_it(site: Site) -> None:
    step = Started(Stage.CHECKOUT, **said("step.checkout.getting", version="c0ffee"))
    problem = explain(RegistryDown("r.example.org", "it is closed"), Stage.IMAGE)
    site.script.events = [
        step,
        Ended(Stage.CHECKOUT, seconds=0.1, **said("step.checkout.here")),
        Progress(Stage.IMAGE, **said("step.image.registry", **about(problem))),
        Queued(Stage.QUEUE, "All places are taken. You are next.", 1, 0, "sessions"),
        Progress(Stage.SESSION, "A builder's own line"),
    ]
    launch = str((await site.launch())["id"])
    await ended(site, launch)
    french = await page(site, launch, "fr")
    assert "▸ checkout: Récupération des fichiers de c0ffee" in unescape(french)
    told = {stage: unescape(text) for stage, _, text in rows(french)}
    assert (told["checkout"], told["session"]) == ("Les fichiers sont là", "A builder's own line")
    assert told["image"] == (
        "Le registre d’images ne répond pas. La demande à r.example.org a échoué : it is closed. "
        "Le lancement s’en passe."
    )
    assert told["queue"] == "Toutes les places sont prises. Vous êtes le prochain."
    assert "The files are here" in await page(site, launch)
    path = f"{site.base}/api/v1/launches/{launch}/events"
    async with site.client.get(path, headers=site.headers() | {"Accept-Language": "fr"}) as answer:
        events = [json.loads(line[5:]) for line in (await answer.text()).splitlines() if line.startswith("data:")]
    first = {name: events[0][name] for name in ("message", "code", "facts")}
    assert first == {"message": step.message, "code": "step.checkout.getting", "facts": {"version": "c0ffee"}}
    assert events[2]["message"].startswith("The image registry does not answer.")
    assert events[2]["facts"]["title"] == "Le registre d’images ne répond pas"


async def test_the_log_as_text(site: Site) -> None:
    launch = await begun(site)
    async with site.client.get(f"{site.base}/api/v1/launches/{launch}/log", headers=site.headers()) as answer:
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert (await answer.text()).splitlines() == [
            "▸ resolve: Asking github.com",
            "▸ build: Building",
            "Step 1 <script>alert(1)</script>",
        ]


async def test_only_the_last_lines_of_a_long_log_are_on_the_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "MOST_LINES", 3)
    site.script.events = [Log(Stage.BUILD, f"line {n}\n") for n in range(1200)]
    launch = str((await site.launch())["id"])
    await ended(site, launch)
    html = await page(site, launch)
    assert "line 1199" in html
    assert "line 1100\n" not in html
    async with site.client.get(f"{site.base}/api/v1/launches/{launch}/log", headers=site.headers()) as answer:
        assert len((await answer.text()).splitlines()) == 1201


async def test_it_is_for_whoever_launched_and_for_the_operator(site: Site) -> None:
    launch = await begun(site)
    for path in ("page", "log"):
        address = f"{site.base}/api/v1/launches/{launch}/{path}"
        for token, status in (("bob-token", 404), ("guest-token", 404), (OPERATOR_TOKEN, 200)):
            async with site.client.get(address, headers=site.headers(token)) as answer:
                assert answer.status == status
    address = f"{site.base}/api/v1/launches/{launch}/page"
    async with site.client.get(address, headers=HTML, allow_redirects=False) as answer:
        assert answer.headers["Location"] == f"/api/v1/login?next=%2Fapi%2Fv1%2Flaunches%2F{launch}%2Fpage"


async def test_how_long_it_took_the_last_time(site: Site) -> None:
    launch = await begun(site)
    found = await site.json("GET", f"/api/v1/launches/{launch}", headers=site.headers())
    assert (found["usual"], found["page"]) == ({}, f"/launches/{launch}")


# ---- this site
async def test_about(bare_site: Site) -> None:
    async def well() -> None:
        """Be well."""

    async def ill() -> None:
        raise HubDown("It is asleep")

    health = Health({"registry": well, "hub": ill}, lambda: 0.0)
    web = replace(bare_site.web, health=health, site_limits={"session_memory": 2**31, "session_cpus": 2.0})
    async with served(bare_site, web) as site, site.client.get(site.base + "/about", headers=HTML) as answer:
        html = await answer.text()
    for part in ("It is asleep", "GitHub", "Zenodo DOI", "2 GiB", "0.1.0", "always opens the same files"):
        assert part in html


@pytest.mark.parametrize(
    "policy,told,untold",
    [
        ({}, ["Everybody, also without an account", "1200, of which 1200 are left", "no limit"], []),
        (
            {"rates": {"per_address": 5, "per_person": 7}, "sessions": {"in_all": 40, "per_person": 3}},
            ["5, of which 3 are left", "<dd>7</dd>", "40, of which 0 are taken", "<dd>3</dd>"],
            [],
        ),
        ({"launch": {"open_to": "members"}}, ["People who have signed in."], ["your network address"]),
    ],
)
async def test_about_says_what_holds_for_this_visitor(
    bare_site: Site, policy: dict[str, object], told: list[str], untold: list[str]
) -> None:
    web = replace(bare_site.web, gate=gate(**policy), limits=lambda: Policy.model_validate(policy))
    async with served(bare_site, web) as site:
        if "rates" in policy:
            for _ in range(2):
                await site.launch(token="guest-token")
        async with site.client.get(site.base + "/about", headers=HTML) as answer:
            html = await answer.text()
    for part in told:
        assert part in html
    for part in untold:
        assert part not in html


async def test_about_does_not_wait_for_what_hangs(bare_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_pages, "HEALTH_S", 0.05)
    health = Health({"hub": asyncio.Event().wait}, lambda: 0.0, limit_s=5)
    async with (
        served(bare_site, replace(bare_site.web, health=health)) as site,
        site.client.get(site.base + "/about", headers=HTML) as answer,
    ):
        assert "did not answer in time" in await answer.text()


@pytest.mark.parametrize("guests", [True, False])
async def test_the_choice_of_how_to_come_in(bare_site: Site, *, guests: bool) -> None:
    async with (
        served(bare_site, replace(bare_site.web, guests=guests)) as site,
        site.client.get(site.base + "/sign-in?next=/v2/gh/a/b/c", headers=HTML) as answer,
    ):
        html = await answer.text()
    assert 'href="/api/v1/login?next=%2Fv2%2Fgh%2Fa%2Fb%2Fc&amp;as=member"' in html
    assert ("Go on as a guest" in html) is guests


async def test_who_asks_for_a_page_elsewhere_stays_here(site: Site) -> None:
    async with site.client.get(site.base + "/sign-in?next=https://evil.example.org/", headers=HTML) as answer:
        assert 'href="/api/v1/login?next=%2F&amp;as=member"' in await answer.text()


@pytest.mark.parametrize(
    "path,status,to",
    [
        ("/language/fr?next=/about", 302, "/about"),
        ("/language/fr?next=//evil.example.org", 302, "/"),
        ("/language/de", 404, None),
    ],
)
async def test_a_language_is_remembered(site: Site, path: str, status: int, to: str | None) -> None:
    async with site.client.get(site.base + path, allow_redirects=False) as answer:
        assert (answer.status, answer.headers.get("Location")) == (status, to)
        kept = "repolaunch-language=fr" in answer.headers.get("Set-Cookie", "")
        assert kept is (status == 302)
