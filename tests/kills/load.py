"""People at work while parts of the service are killed: they launch, save, compute and look.

Each keeps to what a browser does: a request that was not answered is made again, an event stream that broke off is
followed from the last number on. What was acknowledged is remembered, and looked for in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.fixtures.service import Visitor, read_events

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.fixtures.repos import GitHost, Repo
    from tests.fixtures.service import Service
    from tests.kills.tally import Tally

AWAY = (aiohttp.ClientError, TimeoutError, OSError)
PATIENCE_S = 900.0
"""A launch begins again with every kill that hits it, and a busy machine is slow."""
PROBE_S = 0.1
FINAL = {"ready", "failed", "cancelled"}
TRUE = (("build-broken", "status -9"), ("spawn-failed", "exit code 137"))
"""How launches may fail: by their own builder's or server's death. Everything else is waited for, or done again."""
TRUE_OF = {"build engine": (("engine-down", "The build engine ended while it built."),)}
"""How else, in a round with this victim."""
BASE = "FROM localhost/repolaunch/base:1\n"


class World:
    """What all share: the service, where repositories are, what is counted, who is being killed just now."""

    def __init__(self, service: Service, git: GitHost, tally: Tally, chance: random.Random) -> None:
        self.service, self.git, self.tally, self.chance = service, git, tally, chance
        self.victim = ""
        """Of this round: also while everything comes back."""
        self.hurt: set[str] = set()
        """Projects whose session a round killed."""

    def wrong(self, what: str) -> None:
        self.tally.wrong.append(f"round {sum(self.tally.victims.values())} ({self.victim or 'no victim'}): {what}")

    def repo(self) -> Repo:
        """A repository unlike any other, with a small image of its own."""
        unique = f"RUN echo {uuid.uuid4().hex} && sleep 1\n"
        return self.git.make_repo(files={"Dockerfile": BASE + unique, "notes.txt": "from git\n"})


class Person:
    """Somebody who asks until there is an answer."""

    def __init__(self, world: World, headers: dict[str, str]) -> None:
        self.world, self.tally = world, world.tally
        self.http = aiohttp.ClientSession(
            world.service.base_url,
            headers=headers,
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            timeout=aiohttp.ClientTimeout(total=60),
        )

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer to a request that is made again as long as parts are away."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                async with self.http.request(method, path, json=body) as answer:
                    text = await answer.text()
                    if answer.status < 300:
                        return json.loads(text) if text else None
                    said = f"{method} {answer.status} {text[:60] if answer.status < 500 else ''}".strip()
            except AWAY as error:
                said = f"{method} {type(error).__name__}"
            self.tally.again[said] += 1
            if time.monotonic() > until:
                self.world.wrong(f"{method} {path} was not answered within {PATIENCE_S:.0f} s: {said}")
                raise TimeoutError(said)
            await asyncio.sleep(0.3)

    async def launch(self, url: str, *, build_only: bool = False) -> dict[str, Any]:
        """Launch and follow to the end, across every interruption. Returns the final event."""
        launch = await self.ask("POST", "/api/v1/launches", {"url": url, "ref": "main", "build_only": build_only})
        began = time.monotonic()
        final = await self._follow(launch["id"])
        self.tally.took.append(time.monotonic() - began)
        kind = final["type"]
        true = (*TRUE, *TRUE_OF.get(self.world.victim, ()))
        if kind == "failed" and not any(final["code"] == code and words in final["seen"] for code, words in true):
            self.world.wrong(f"a launch failed, though nothing of its own was killed: {final}")
        self.tally.launches[kind if kind != "failed" else f"{final['code']}: {final['seen'][:110]}"] += 1
        return final

    async def _follow(self, launch: str) -> dict[str, Any]:
        last, until = 0, time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with contextlib.suppress(*AWAY):
                async with self.http.get(
                    f"/api/v1/launches/{launch}/events",
                    headers={"Last-Event-ID": str(last)},
                    timeout=aiohttp.ClientTimeout(total=PATIENCE_S, sock_read=40),
                ) as answer:
                    if answer.status in {204, 404}:
                        self.world.wrong(f"launch {launch}, acknowledged, is answered with {answer.status}")
                        break
                    if answer.status == 200:
                        async for event in read_events(answer):
                            if event["n"] != last + 1:
                                self.world.wrong(f"launch {launch}: event {event['n']} after {last}")
                            last = event["n"]
                            if event["type"] in FINAL:
                                return event
            await asyncio.sleep(0.2)
        self.world.wrong(f"launch {launch} did not end within {PATIENCE_S:.0f} s")
        return {"type": "lost"}

    async def answers(self, project: str) -> bool:
        """Whether the session of a launch that was said to be ready answers."""
        for _ in range(100):
            with contextlib.suppress(*AWAY):
                async with self.http.get(f"/user/project-{project}/api") as answer:
                    if answer.status == 200 and "version" in await answer.text():
                        return True
            if project in self.world.hurt:
                return True
            await asyncio.sleep(0.2)
        return False

    async def close(self) -> None:
        await self.http.close()


def operator(world: World) -> Person:
    """Asks with the operator's token."""
    return Person(world, world.service.operator)


async def guest(world: World) -> Person:
    """Comes in as a browser does."""
    while True:
        visitor = Visitor(world.service)
        try:
            async with asyncio.timeout(30):
                await visitor.enter()
        except (*AWAY, AssertionError, KeyError, json.JSONDecodeError) as error:
            world.tally.again[f"a guest comes in: {type(error).__name__}"] += 1
            await visitor.http.close()
            await asyncio.sleep(0.5)
            continue
        person = Person(world, {"X-XSRFToken": visitor.xsrf})
        await person.http.close()
        person.http = visitor.http
        person.http.headers["X-XSRFToken"] = visitor.xsrf
        return person


async def launching(world: World, cached: list[Repo], *, guests: bool, stop: asyncio.Event) -> None:
    """Launches one after the other: new links and known ones."""
    while not stop.is_set():
        person = await guest(world) if guests else operator(world)
        try:
            for _ in range(3):
                if not stop.is_set():
                    await _launch_one(world, person, cached)
        finally:
            await person.close()


async def _launch_one(world: World, person: Person, cached: list[Repo]) -> None:
    repo = world.repo() if world.chance.random() < 0.5 else world.chance.choice(cached)
    final = await person.launch(repo.url)
    if final["type"] != "ready":
        return
    project = final["project"]
    if not await person.answers(project):
        world.wrong(f"project {project} was said to be ready, and its session does not answer")
    world.hurt.discard(project)
    await person.ask("DELETE", f"/api/v1/sessions/{project}")


class Kept:
    """A project in which somebody works all the time."""

    def __init__(self, world: World, person: Person, repo: Repo) -> None:
        self.world, self.person, self.repo = world, person, repo
        self.project = ""
        self.headers: dict[str, str] = {}
        self.saved: dict[str, str] = {}
        self._number = 0

    async def enter(self) -> None:
        """Launch the link, and have a token for its session."""
        final = await self.person.launch(self.repo.url)
        if final["type"] != "ready":
            raise TimeoutError(final)
        if self.project and final["project"] != self.project:
            self.world.wrong(f"the link of {self.project} led to {final['project']}")
        self.project = final["project"]
        entry = await self.person.ask("POST", f"/api/v1/projects/{self.project}/token")
        self.headers = {"Authorization": f"token {entry['token']}"}

    @property
    def prefix(self) -> str:
        return f"/user/project-{self.project}/"

    async def saving(self, stop: asyncio.Event) -> None:
        """Save a new file every moment; what is answered with 2xx is acknowledged."""
        while not stop.is_set():
            self._number += 1
            name, text = f"saved-{self._number:05}.txt", self.world.chance.randbytes(6000).hex()
            body = {"type": "file", "format": "text", "content": text}
            if await self._put(name, body):
                self.saved[name] = hashlib.sha256(text.encode()).hexdigest()
                self.world.tally.saves += 1
            await asyncio.sleep(0.3)

    async def _put(self, name: str, body: dict[str, str]) -> bool:
        try:
            async with self.person.http.put(
                f"{self.prefix}api/contents/{name}",
                json=body,
                headers=self.headers,
                timeout=aiohttp.ClientTimeout(total=30),
            ) as answer:
                status = answer.status
        except AWAY as error:
            self.world.tally.again[f"save: {type(error).__name__}"] += 1
            return False
        if status not in {200, 201}:
            self.world.tally.again[f"save: {status}"] += 1
            if self.project in self.world.hurt and status in {404, 503}:
                await self.enter()
                self.world.hurt.discard(self.project)
        return status in {200, 201}

    def lost(self, workspaces: Path) -> list[str]:
        """Acknowledged files that are not in the workspace, byte for byte."""
        return [name for name, digest in self.saved.items() if _digest(workspaces, self.project, name) != digest]

    async def computing(self, stop: asyncio.Event) -> None:
        """A kernel counts; its websocket is opened again only when it was cut, and the count goes on."""
        kernel, count = await self._kernel(), 0
        while not stop.is_set():
            try:
                count = await self._count(f"{self.prefix}api/kernels/{kernel}/channels", count, stop)
            except AWAY:
                self.world.tally.again["websocket: not opened"] += 1
            else:
                if not stop.is_set():
                    self._cut()
            await asyncio.sleep(0.3)

    def _cut(self) -> None:
        self.world.tally.cuts[self.world.victim] += 1
        if self.world.victim not in {"proxy", "up"}:
            self.world.wrong("a kernel's websocket was cut")

    async def _kernel(self) -> str:
        async with self.person.http.post(f"{self.prefix}api/kernels", json={}, headers=self.headers) as answer:
            assert answer.status == 201, await answer.text()
            kernel: str = (await answer.json())["id"]
            return kernel

    async def _count(self, channel: str, count: int, stop: asyncio.Event) -> int:
        """Returns how far the kernel came when the websocket closed."""
        async with self.person.http.ws_connect(
            channel, headers=self.headers, timeout=aiohttp.ClientWSTimeout(ws_close=5)
        ) as ws:
            while not stop.is_set():
                printed = await _executed(ws, "n += 1; print(n)" if count else "n = 1; print(n)")
                if printed is None:
                    return count
                # An execution whose answer was lost with the websocket counts too.
                if not count < int(printed) <= count + 2:
                    self.world.wrong(f"the kernel printed {printed} after {count}")
                count = int(printed)
                self.world.tally.answered += 1
                await asyncio.sleep(0.5)
        return count


def _digest(workspaces: Path, project: str, name: str) -> str:
    try:
        return hashlib.sha256((workspaces / project / "work" / name).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


async def _executed(ws: aiohttp.ClientWebSocketResponse, code: str) -> str | None:
    """What the code printed; None: the websocket closed first."""
    ours = uuid.uuid4().hex
    header = {"msg_id": ours, "msg_type": "execute_request", "session": ours, "username": "", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
    request = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    try:
        await ws.send_json(request)
        printed = ""
        async with asyncio.timeout(60):
            async for raw in ws:
                message = json.loads(raw.data)
                if message["parent_header"].get("msg_id") != ours:
                    continue
                if message["msg_type"] == "error":
                    return "-1"  # it forgot what it knew
                if message["msg_type"] == "stream":
                    printed += message["content"]["text"]
                elif message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                    return printed.strip() or None
    except (*AWAY, ConnectionError):
        return None
    return None


class Prober:
    """Asks a session, as fast as a person's page might, whether it answers."""

    def __init__(self, world: World, kept: Kept, path: str, *, known: bool) -> None:
        self.world, self.kept, self.path = world, kept, path
        self.headers = kept.headers if known else {}
        self.refused: list[tuple[float, str]] = []
        """Since the round began: when, and what came instead."""

    async def probing(self, stop: asyncio.Event) -> None:
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(self.world.service.base_url, timeout=timeout) as http:
            while not stop.is_set():
                began = time.monotonic()
                said = await self._probe(http)
                self.world.tally.probes += 1
                if said:
                    self.refused.append((began, said))
                    self.world.tally.refused[f"{self.world.victim}: {said}"] += 1
                await asyncio.sleep(PROBE_S)

    async def _probe(self, http: aiohttp.ClientSession) -> str:
        try:
            async with http.get(self.kept.prefix + self.path, headers=self.headers) as answer:
                text = await answer.text()
                return "" if answer.status == 200 else f"{answer.status} {_words(text)}"
        except AWAY as error:
            return type(error).__name__


def _words(text: str) -> str:
    try:
        return str(json.loads(text)["message"])[:120]
    except (ValueError, KeyError, TypeError):
        return "(a page)" if "<html" in text else text[:80]
