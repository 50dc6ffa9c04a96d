"""The verbs of the builders and the look-ups, asked of the build worker: what it says in the launcher's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from builders import git, lines
from builders.process import ProgramMissing
from builders.requests import LIMITS_S
from launcher import events
from launcher.builds.worker import Again
from launcher.catalogue import said
from launcher.model import Environment, ImageFacts, ImageRef

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.builds.worker import Heard, Told, Worker
    from launcher.model import Checkout
    from launcher.stages import Tell

_GIT_S = 30
_T = TypeVar("_T")


class Builders:
    """The verbs of `python -m builders`: what the worker starts for a call ends with the call, however that ends."""

    def __init__(self, worker: Worker, *, build_s: int = 3600) -> None:
        """`build_s`: seconds that the worker gives a build, and before it to find out what is to be built."""
        self._worker = worker
        self._build_s = build_s

    async def fingerprint(self) -> str:
        """Digest of what `detect` depends on besides the tree. Raises BuildBroken, EngineDown."""
        return (await self._worker.ask(lines.Fingerprint, "fingerprint", {})).fingerprint

    async def detect(self, checkout: Checkout, tell: Tell) -> Environment:
        """As stages.Detector."""
        asked = {"checkout": checkout.path.name, "space": checkout.repo.space}
        told = _telling(tell, events.Stage.DETECT)
        found = await self._worker.ask(lines.Found, "detect", asked, told=told, limit_s=self._build_s)
        return _same(Environment, found)

    async def build(self, checkout: Checkout, environment: Environment, tell: Tell, *, afresh: bool = False) -> str:
        """Build; the image's engine id. `afresh`: with nothing of an earlier build.

        Raises BuildFailed and its kin, EngineDown.
        """
        asked: dict[str, str | int] = {
            "checkout": checkout.path.name,
            "key": environment.key,
            "space": environment.space,
            "platform": environment.platform,
            "date": await _commit_date(checkout.path),
            "source": checkout.repo.url,
            "commit": checkout.repo.commit,
            "afresh": int(afresh),
        }
        told = _telling(tell)
        built = await self._worker.ask(lines.Built, "build", asked, told=told, limit_s=self._build_s)
        return built.engine_id

    async def inspect(self, image: str, checkout: Checkout, tell: Tell) -> ImageFacts:
        """The facts of an image, by its engine id or `name@digest` (pulled if the engine lacks it).

        What it carries besides the commit's files is kept for the volume helper. Raises ServerMissing, UserUnfit,
        EngineDown, RegistryDown, BuildBroken.
        """
        asked = {"image": image, "checkout": checkout.path.name, "commit": checkout.repo.commit}
        told = _telling(tell, events.Stage.BUILD if "@" not in image else events.Stage.IMAGE)
        found = await self._worker.ask(lines.Facts, "inspect", asked, told=told, limit_s=LIMITS_S["inspect"])
        return _same(ImageFacts, found)

    async def archive(self, checkout: Checkout) -> str:
        """Keep the files in the registry; the artifact's digest, `""` where they are too large.

        Raises RegistryDown, BuildBroken.
        """
        repo = checkout.repo
        about = {"commit": repo.commit, "name": repo.name, "tree": checkout.tree}
        asked = {"checkout": checkout.path.name, "source": repo.url, **about}
        digest = ""
        # A record is asked for by its version, too: its link may lead to another one by then.
        for ref in (repo.record.id, repo.origin.ref) if repo.record else (repo.origin.ref,):
            kept = await self._worker.ask(lines.Pushed, "archive", {**asked, "ref": ref}, limit_s=LIMITS_S["archive"])
            digest = kept.digest
        return digest

    async def archived(self, url: str, ref: str) -> tuple[str, str]:
        """The commit that was archived for a link, and its full name; `""`: none. Raises RegistryDown, BuildBroken."""
        asked = {"source": url, "ref": ref}
        found = await self._worker.ask(lines.Archived, "archived", asked, limit_s=LIMITS_S["archived"])
        return found.commit, found.name

    async def restore(self, url: str, commit: str, folder: str) -> str:
        """Make the checkout `folder` (its name) of archived files; their tree, `""`: there are none.

        Raises RegistryDown, BuildBroken.
        """
        asked = {"checkout": folder, "source": url, "commit": commit}
        return (await self._worker.ask(lines.Archived, "restore", asked, limit_s=LIMITS_S["restore"])).tree

    async def push(self, engine_id: str, key: str, tell: Tell, *, space: str = "") -> str:
        """Push under the key's name; the digest. Raises RegistryDown, EngineDown, BuildBroken."""
        asked = {"engine_id": engine_id, "key": key, "space": space}
        told = _telling(tell, events.Stage.PUSH)
        return (await self._worker.ask(lines.Pushed, "push", asked, told=told, limit_s=LIMITS_S["push"])).digest


class Engine:
    """An interface.Engine."""

    def __init__(self, worker: Worker) -> None:
        """The sessions' engine, which the worker asks."""
        self._worker = worker

    async def has(self, engine_id: str) -> bool:
        """As interface.Engine."""
        return bool((await self._worker.ask(lines.Known, "has", {"engine_id": engine_id})).digest)

    async def health(self) -> None:
        """Ask whether it answers. Raises EngineDown."""
        await self.has("sha256:" + "0" * 64)


@dataclass(frozen=True, slots=True)
class Registry:
    """An interface.Finder. The worker speaks to the registry: it has the password."""

    worker: Worker
    host: str
    prefix: str

    def ref(self, digest: str, space: str = "") -> ImageRef:
        """The image with this digest, of a private repository's namespace or of everybody's."""
        folders = (self.prefix, f"private/{space}" if space else "", "env")
        return ImageRef(self.host, "/".join(filter(None, folders)), digest)

    async def find(self, key: str, space: str = "") -> ImageRef | None:
        """As interface.Finder."""
        digest = (await self.worker.ask(lines.Known, "find", {"key": key, "space": space})).digest
        return self.ref(digest, space) if digest else None

    async def health(self) -> None:
        """Ask whether it is a registry and lets us in. Raises RegistryDown."""
        await self.worker.ask(lines.Known, "registry", {})


def _telling(tell: Tell, stage: events.Stage = events.Stage.BUILD) -> Told:
    def told(line: Heard) -> None:
        match line:
            case lines.Log(text):
                tell(events.Log(stage, text))
            case lines.Step(text):
                tell(events.Progress(stage, text))
            case Again():
                tell(events.Progress(stage, **said("step.build.again")))
            case lines.Progress(text, percent):
                tell(events.Progress(stage, text, percent))
            case _:
                pass

    return told


def _same(kind: type[_T], line: lines.Line) -> _T:
    """The launcher's type with the line's fields: they have the same names (tests/contract)."""
    return kind(**{name: getattr(line, name) for name in line.__dataclass_fields__})


async def _commit_date(path: Path) -> int:
    """When the commit was made, seconds since the epoch; 0 if git does not say."""
    asked = ("log", "-1", "--no-show-signature", "--format=%ct", "HEAD")
    try:
        status, text = await git.said(path, *asked, limit_s=_GIT_S)
    except (ProgramMissing, TimeoutError):
        return 0
    return int(text) if status == 0 and text.strip().isdigit() else 0
