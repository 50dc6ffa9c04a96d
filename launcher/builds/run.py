"""Starts builder processes and understands what they say. The one module of the launcher that knows there are any."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import builders.interface as lines
from builders.process import Command, ProgramMissing, output, running
from launcher import errors, model
from launcher.errors import BuildBroken, BuildTimeout, LauncherError
from launcher.model import Environment, ImageFacts, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.model import Checkout, ResolvedRepo
    from launcher.stages import Tell

_SLACK_S = 30
"""How much longer than its own time limit a builder process may take: it can say best what took so long."""
_GRACE_S = 15
"""More than the builder itself takes to stop its own children."""
_GIT_S = 30
_T = TypeVar("_T")
# Beside the packages, never the working directory: a file of that name would be imported instead.
_BESIDE = Path(lines.__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that each verb may take."""

    detect_s: int = 60
    build_s: int = 3600
    inspect_s: int = 600
    push_s: int = 3600


def builder_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a builder process may know of our environment."""
    return {name: environ[name] for name in lines.ENVIRONMENT if name in environ} | {"LANG": "C.UTF-8"}


class BuilderProcess:
    """The verbs of `python -m builders`, each in a process of its own that ends with the call, however that ends."""

    def __init__(
        self,
        installation: str,
        env: Mapping[str, str],
        *,
        login: tuple[str, str] | None = None,
        limits: Limits | None = None,
        python: str = sys.executable,
    ) -> None:
        """Of one installation (its id labels everything). `login` is the registry's username and password."""
        self._installation = installation
        self._env = dict(env)
        self._login = {lines.USERNAME: login[0], lines.PASSWORD: login[1]} if login else {}
        self._limits = limits or Limits()
        self._python = python

    async def fingerprint(self) -> str:
        """Digest of what `detect` depends on besides the tree. Raises BuildBroken."""
        return _are(lines.Fingerprint, await self._run(("fingerprint",), self._limits.detect_s)).fingerprint

    async def detect(self, checkout: Checkout) -> Environment:
        """As stages.Detector."""
        final = await self._run(("detect",), self._limits.detect_s, ("--", str(checkout.path)))
        return _same(Environment, _are(lines.Found, final))

    async def build(self, checkout: Checkout, environment: Environment, tell: Tell) -> str:
        """Build; the image's engine id. Raises BuildFailed and its kin, EngineDown."""
        arguments = (
            "build",
            f"--key={environment.key}",
            f"--platform={environment.platform}",
            f"--name=repolaunch-{self._installation}-env:{environment.key}",
            f"--date={await _commit_date(checkout.path, self._env)}",
            *self._labels(checkout.repo),
        )
        where = ("--", str(checkout.path))
        return _are(lines.Built, await self._run(arguments, self._limits.build_s, where, _telling(tell))).engine_id

    async def inspect(self, image: str, checkout: Checkout, contents: Path, tell: Tell) -> ImageFacts:
        """The facts of an image, by its engine id or `name@digest` (pulled if the engine lacks it).

        What it carries besides the commit's files goes to `contents`. Raises ServerMissing, UserUnfit, EngineDown,
        RegistryDown, BuildBroken.
        """
        arguments = (
            "inspect",
            f"--checkout={checkout.path}",
            f"--commit={checkout.repo.commit}",
            f"--contents={contents}",
            *self._labels(None),
        )
        told = _telling(tell, Stage.BUILD if "@" not in image else Stage.IMAGE)
        final = await self._run(arguments, self._limits.inspect_s, ("--", image), told, self._login)
        return _same(ImageFacts, _are(lines.Facts, final))

    async def push(self, engine_id: str, target: str, tell: Tell) -> str:
        """Push as `host/repository:tag`; the digest. Raises RegistryDown, EngineDown, BuildBroken."""
        where = ("--", engine_id, target)
        told = _telling(tell, Stage.PUSH)
        return _are(lines.Pushed, await self._run(("push",), self._limits.push_s, where, told, self._login)).digest

    def _labels(self, repo: ResolvedRepo | None) -> tuple[str, ...]:
        labels = {"repolaunch.installation": self._installation}
        if repo is not None:
            labels["org.opencontainers.image.source"] = repo.url
            labels["org.opencontainers.image.revision"] = repo.commit
        return tuple(f"--label={name}={value}" for name, value in labels.items())

    async def _run(
        self,
        options: tuple[str, ...],
        limit_s: int,
        where: tuple[str, ...] = (),
        told: Callable[[lines.Line], None] = lambda _: None,
        login: Mapping[str, str] | None = None,
    ) -> lines.Line:
        """The last line that the process says. Raises what it reports, BuildTimeout, BuildBroken."""
        limited = () if options[0] == "fingerprint" else (f"--time-limit={limit_s}",)
        command = Command(
            argv=(self._python, "-m", "builders", *options, *limited, *where),
            env={**self._env, **(login or {})},
            cwd=_BESIDE,
            leash=True,
            stderr=False,
            max_line=lines.MAX_LINE,
        )
        step = _Step(told)
        try:
            async with asyncio.timeout(limit_s + _SLACK_S):
                final, status = await _heard(command, step)
        except TimeoutError:
            raise BuildTimeout(limit_s, step.last) from None
        except ProgramMissing as error:
            raise BuildBroken(f"{error.program} is missing") from error
        if isinstance(final, lines.Error):
            raise _translated(final)
        if final is None or status:
            raise BuildBroken(f"the builder process ended with status {status} and without an answer")
        return final


class _Step:
    """Passes lines on and remembers the last step."""

    def __init__(self, told: Callable[[lines.Line], None]) -> None:
        self.last = ""
        self._told = told

    def __call__(self, line: lines.Line) -> None:
        if isinstance(line, lines.Step):
            self.last = line.text
        self._told(line)


async def _heard(command: Command, told: Callable[[lines.Line], None]) -> tuple[lines.Line | None, int]:
    final: lines.Line | None = None
    async with running(command, grace_s=_GRACE_S) as child:
        async for text in child.lines():
            line = lines.parse_line(text)
            if isinstance(line, lines.FINAL):
                final = line
            else:
                told(line)
        return final, await child.wait()


def _telling(tell: Tell, stage: Stage = Stage.BUILD) -> Callable[[lines.Line], None]:
    def told(line: lines.Line) -> None:
        match line:
            case lines.Log(text):
                tell(model.Log(stage, text))
            case lines.Step(text):
                tell(model.Progress(stage, text))
            case lines.Progress(text, percent):
                tell(model.Progress(stage, text, percent))
            case _:
                pass

    return told


def _are(kind: type[_T], line: lines.Line) -> _T:
    if not isinstance(line, kind):
        raise BuildBroken(f"the builder process answered with {type(line).__name__}")
    return line


def _same(kind: type[_T], line: lines.Line) -> _T:
    """The launcher's type with the line's fields: they have the same names (tests/contract)."""
    return kind(**{name: getattr(line, name) for name in line.__dataclass_fields__})


def _translated(error: lines.Error) -> LauncherError:
    kind = getattr(errors, error.error, None)
    if isinstance(kind, type) and issubclass(kind, LauncherError):
        try:
            return kind(**error.facts)
        except TypeError:
            pass
    return BuildBroken(f"the builder process reported {error.error[:80]}")


async def _commit_date(path: Path, env: Mapping[str, str]) -> int:
    """When the commit was made, seconds since the epoch; 0 if git does not say."""
    git = {
        "PATH": env.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    argv = ("git", "-C", str(path), "log", "-1", "--no-show-signature", "--format=%ct", "HEAD")
    try:
        status, text = await output(Command(argv, git, stderr=False), time_limit_s=_GIT_S)
    except (ProgramMissing, TimeoutError):
        return 0
    return int(text) if status == 0 and text.strip().isdigit() else 0
