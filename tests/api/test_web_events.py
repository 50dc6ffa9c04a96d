"""Event streams: replayed, followed, resumed; readers who leave, wait or are slow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from launcher.errors import BuildFailed
from launcher.events import Ended, Event, Log, Numbered, Progress, Ready, Stage, Started
from launcher.web import events
from tests.fixtures.web import parsed, served

if TYPE_CHECKING:
    import aiohttp

    from tests.fixtures.web import Site

STORY: list[Event] = [
    Started(Stage.RESOLVE, "Asking"),
    Ended(Stage.RESOLVE, "Asked", 0.5),
    Log(Stage.BUILD, "Step 1 <b>&\u2028"),
    Progress(Stage.BUILD, "Half", 50),
]


async def until(answer: aiohttp.ClientResponse, wanted: str, text: str = "") -> str:
    """Read until `wanted` has come."""
    async with asyncio.timeout(10):
        while wanted not in text:
            chunk = await answer.content.readany()
            assert chunk, text
            text += chunk.decode()
    return text


@pytest.fixture
async def ended(site: Site) -> str:
    """The events address of a launch that has ended well, after seven events."""
    site.script.events = list(STORY)
    site.script.gate.set()
    launch = await site.launch()
    async with site.client.get(site.base + launch["events"], headers=site.headers()) as answer:
        assert '"ready"' in await answer.text()
    return str(launch["events"])


async def test_replay_then_follow_to_the_end(site: Site) -> None:
    site.script.events, site.script.rest = list(STORY), [Log(Stage.BUILD, "Step 2")]
    launch = await site.launch(urlpath="lab/tree/a b.ipynb")
    async with site.client.get(site.base + launch["events"], headers=site.headers()) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        text = await until(answer, "Half")
        assert "Step 2" not in text
        site.script.gate.set()
        text += (await answer.read()).decode()
    found = parsed(text)
    assert [id_ for id_, _ in found] == ["1", "2", "3", "4", "5", "6"]
    assert [one["n"] for _, one in found] == [1, 2, 3, 4, 5, 6]
    assert [one["type"] for _, one in found] == ["started", "ended", "log", "progress", "log", "ready"]
    assert found[1][1]["seconds"] == 0.5
    assert found[2][1]["message"] == "Step 1 <b>&\u2028"
    assert found[3][1] == {**found[3][1], "stage": "build", "percent": 50}
    ready = found[5][1]
    assert ready["url"] == "/user/project-aaaaaaaaaa/lab/tree/a b.ipynb"
    assert ready["project"] == "aaaaaaaaaa"
    assert "token" not in ready
    assert ready["at"].endswith("Z")


@pytest.mark.parametrize(
    "query, header, first",
    [("", None, 1), ("?from=3", None, 3), ("", "3", 4), ("?from=2", "4", 2), ("", "0", 1), ("?from=5", None, 5)],
)
async def test_replay_from(site: Site, ended: str, query: str, header: str | None, first: int) -> None:
    headers = site.headers() | ({"Last-Event-ID": header} if header else {})
    async with site.client.get(site.base + ended + query, headers=headers) as answer:
        assert [one["n"] for _, one in parsed(await answer.text())] == list(range(first, 6))


async def test_nothing_left_is_204_so_that_an_event_source_stays_away(site: Site, ended: str) -> None:
    async with site.client.get(site.base + ended, headers=site.headers() | {"Last-Event-ID": "5"}) as answer:
        assert answer.status == 204
        assert await answer.read() == b""


@pytest.mark.parametrize("query", ["?from=0", "?from=-1", "?from=x", "?from=1e3", "?from=9999999999999", "?from=٣"])
async def test_bad_number(site: Site, ended: str, query: str) -> None:
    body = await site.json("GET", ended + query, status=400, headers=site.headers())
    assert body["error"]["code"] == "bad-request"
    assert body["error"]["seen"].startswith("from: It is “")


async def test_head_sends_no_events(site: Site, ended: str) -> None:
    async with site.client.head(site.base + ended, headers=site.headers()) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")


async def test_a_failure_is_the_final_event(site: Site) -> None:
    site.script.events = [Started(Stage.BUILD, "Building")]
    site.script.outcome = BuildFailed("repo2docker", "RUN false", ("no",), 1)
    site.script.gate.set()
    launch = await site.launch()
    async with site.client.get(site.base + launch["events"], headers=site.headers()) as answer:
        final = parsed(await answer.text())[-1][1]
    assert final["type"] == "failed"
    assert {"code", "status", "title", "seen", "todo", "link", "stage"} <= set(final)
    assert (final["code"], final["stage"]) == ("build-failed", "build")


async def test_a_reader_who_leaves_stops_nothing(site: Site) -> None:
    site.script.events = list(STORY)
    launch = await site.launch()
    answer = await site.client.get(site.base + launch["events"], headers=site.headers())
    await until(answer, "Half")
    assert site.metrics.registry.get_sample_value("repolaunch_watchers") == 1
    answer.close()
    async with asyncio.timeout(5):
        while site.metrics.registry.get_sample_value("repolaunch_watchers"):  # nothing to wait on
            await asyncio.sleep(0.01)
    site.script.gate.set()
    async with site.client.get(site.base + launch["events"], headers=site.headers()) as again:
        assert parsed(await again.text())[-1][1]["type"] == "ready"


async def test_the_service_stops_though_somebody_reads(bare_site: Site) -> None:
    async with asyncio.timeout(10):
        async with served(bare_site, bare_site.web) as site:
            launch = await site.launch()
            answer = await site.client.get(site.base + launch["events"], headers=site.headers())
            assert site.metrics.registry.get_sample_value("repolaunch_watchers") == 1
        while site.metrics.registry.get_sample_value("repolaunch_watchers"):  # nothing to wait on
            await asyncio.sleep(0.01)
        answer.close()


async def test_silence_is_filled_with_comments(site: Site) -> None:
    site.web.watching.keepalive_s = 0.05
    site.script.events = list(STORY)
    launch = await site.launch()
    async with site.client.get(site.base + launch["events"], headers=site.headers()) as answer:
        text = await until(answer, ":keepalive\n\n:keepalive\n\n")
        site.script.gate.set()
        text += (await answer.read()).decode()
    assert [one["n"] for _, one in parsed(text)] == [1, 2, 3, 4, 5]


async def test_a_stalled_reader_is_disconnected_and_may_come_back(site: Site) -> None:
    site.web.watching.stall_s = 0.2
    site.script.events = [Log(Stage.BUILD, "x" * 60_000) for _ in range(300)]
    launch = await site.launch()
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1024)
    lines = [f"GET {launch['events']} HTTP/1.1", "Host: x", "Authorization: token ada-token", "", ""]
    writer.write("\r\n".join(lines).encode())
    await reader.readuntil(b"\n")
    async with asyncio.timeout(20):
        while site.metrics.registry.get_sample_value("repolaunch_watchers") != 0:  # nothing to wait on
            await asyncio.sleep(0.05)
    writer.close()
    site.script.gate.set()
    headers = site.headers() | {"Last-Event-ID": "299"}
    async with site.client.get(site.base + launch["events"], headers=headers) as answer:
        assert [one["n"] for _, one in parsed(await answer.text())] == [300, 301]


def test_watchers_share_what_was_encoded() -> None:
    events._encoded.cache_clear()
    event = Log(Stage.BUILD, "line")
    assert events._encoded(1.0, event) is events._encoded(1.0, Log(Stage.BUILD, "line"))


def test_what_is_long_is_not_kept() -> None:
    events._encoded.cache_clear()
    launch: Any = type("Launch", (), {"urlpath": ""})
    long = Numbered(1, 1.0, Log(Stage.BUILD, "x" * 3000))
    assert parsed(events.encode(long, launch, str).decode())[0][1]["message"] == "x" * 3000
    assert events._encoded.cache_info().currsize == 0


@pytest.mark.parametrize(
    "path, urlpath, url",
    [
        ("/user/project-a/", "", "/user/project-a/lab"),
        ("/user/project-a/", "lab/tree/x", "/user/project-a/lab/tree/x"),
        ("/user/project-a/lab/tree/x", "lab/tree/x", "/user/project-a/lab/tree/x"),
    ],
)
def test_session_url(path: str, urlpath: str, url: str) -> None:
    assert events.session_url(path, urlpath) == url


def test_numbers_of_shared_bytes_are_each_launchs_own() -> None:
    launch: Any = type("Launch", (), {"urlpath": ""})
    one, other = (events.encode(Numbered(n, 1.0, Log(Stage.BUILD, "line")), launch, str) for n in (1, 2))
    assert one.startswith(b'id: 1\ndata: {"n": 1, "at"')
    assert other.startswith(b'id: 2\ndata: {"n": 2, "at"')
    ready = events.encode(Numbered(3, 1.0, Ready("p", "/user/project-p/", "i", "m")), launch, str)
    assert parsed(ready.decode())[0][1]["url"] == "/user/project-p/lab"
