"""An engine, a builder and a registry that are lists in memory. They keep the promises of `builds/interface.py`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.errors import LauncherError, RegistryDown
from launcher.events import Failed, Log, Progress, Stage
from launcher.explain import explain as real_explain
from launcher.model import Environment, Image, ImageFacts, ImageRef, RepoRef, ResolvedRepo

if TYPE_CHECKING:
    from launcher.builds.interface import BuildRequest
    from launcher.events import Event
    from launcher.stages import Tell

REPO = ResolvedRepo(RepoRef("git", "x/main", "https://git.example/x", "main"), "c" * 40, "refs/heads/main")


def environment(name: str = "a") -> Environment:
    """An environment; another name, another key."""
    return Environment("fake", "1", ("Dockerfile",), name.encode().hex().rjust(64, "0"), "linux/amd64")


def facts(engine_id: str) -> ImageFacts:
    """The facts of an image of which only the id matters."""
    return ImageFacts(
        engine_id, "/home/jovyan", "", "/usr/bin", ("jupyterhub-singleuser",), (), "root:x:0:0::/:/bin/sh\n"
    )


def explain(error: BaseException, stage: Stage | None) -> Failed:
    """Say the error's name; of what is no LauncherError, what everybody is told (`launcher/explain/`)."""
    if not isinstance(error, LauncherError):
        return real_explain(error, stage)
    name = type(error).__name__
    return Failed(stage, name, 500, f"Title of {name}", f"Seen {name}.", "Do something.", "")


@dataclass
class FakeEngine:
    """Builds when it is let, and counts."""

    images: set[str] = field(default_factory=set)
    builds: int = 0
    now: int = 0
    most: int = 0
    stopped: int = 0
    lines: int = 3
    go: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    async def build(self, request: BuildRequest, tell: Tell) -> ImageFacts:
        self.builds += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            for n in range(self.lines):
                tell(Log(Stage.BUILD, f"line {n}"))
            await self.go.wait()
            if self.error:
                raise self.error
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        finally:
            self.now -= 1
        made = f"sha256:{request.key[-8:]}-{self.builds}"
        self.images.add(made)
        return facts(made)

    async def has(self, engine_id: str) -> bool:
        return engine_id in self.images


@dataclass
class FakeRegistry:
    """Has what was pushed; is down `failures` times first."""

    images: dict[str, ImageRef] = field(default_factory=dict)
    configurations: dict[ImageRef, ImageFacts] = field(default_factory=dict)
    down: bool = False
    failures: int = 0
    error: Exception | None = None
    asked: int = 0
    pushes: int = 0
    inspections: int = 0

    async def find(self, key: str, space: str = "") -> ImageRef | None:
        del space
        self.asked += 1
        if self.down:
            raise RegistryDown("registry.example", "connection refused")
        await asyncio.sleep(0)
        return self.images.get(key)

    async def push(self, image: Image, tell: Tell) -> ImageRef:
        self.pushes += 1
        tell(Progress(Stage.PUSH, "layer 1 of 1", 100))
        if self.error:
            raise self.error
        if self.failures:
            self.failures -= 1
            raise RegistryDown("registry.example", "connection refused")
        ref = ImageRef("registry.example", "env", f"sha256:of-{image.facts.engine_id}")
        self.images[image.key] = ref
        self.configurations[ref] = image.facts
        return ref

    async def inspect(self, image: ImageRef, request: BuildRequest, tell: Tell) -> ImageFacts:
        self.inspections += 1
        tell(Progress(Stage.IMAGE, f"Looking at {request.key[:4]}"))
        return self.configurations[image]


@dataclass
class Told:
    """A StoryTell that is a list: events, `splice <stream>`, `resume <n>` and `hide`."""

    events: list[Event | str] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def splice(self, stream: str) -> None:
        self.events.append(f"splice {stream}")

    def resume(self, last: int) -> None:
        self.events.append(f"resume {last}")

    def hide(self) -> None:
        self.events.append("hide")

    @property
    def texts(self) -> list[str]:
        """Messages, and what was spliced."""
        return [event if isinstance(event, str) else getattr(event, "message", "") for event in self.events]
