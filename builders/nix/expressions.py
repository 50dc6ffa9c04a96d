"""Our own expressions (evaluate.nix, fetch.nix), evaluated: a value, or Nix's own reason why there is none."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builders.errors import BuildFailed, BuildLogTooLong, BuildOutOfMemory, EnvironmentBroken
from builders.lines import Log
from builders.nix.events import NO_NETWORK, THE_DAEMONS, WARNING, Message, Plain, Wrote, parse
from builders.nix.tool import PATIENCE
from builders.sandbox import evaluator
from builders.sandbox_door import Rights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builders.lines import Tell
    from builders.sandbox import Daemon

MAX_LINE = 16 * 2**20
"""Bytes of one line of Nix's: a trace of ten thousand calls."""
TAIL = 10
"""Lines of what Nix said that people are shown."""
_UNTOLD = (NO_NETWORK, THE_DAEMONS)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one run of Nix said: a value, or why there is none."""

    value: Any = None
    error: Message | None = None


@dataclass(eq=False)
class Expressions:
    """Evaluates them for one declaration; what they write together has a limit."""

    of: Daemon
    environment: str
    """The file that declares, for people."""
    tell: Tell
    mark: str = field(default_factory=lambda: f"repolaunch-{secrets.token_hex(16)}:")
    """By which our expressions' own words are known."""
    written: int = 0

    @property
    def step(self) -> str:
        """As people are told."""
        return f"evaluating {self.environment}"

    async def evaluate(self, name: str, argument: Mapping[str, Any], *, network: bool = False) -> Answer:
        """The value of `<name>.nix`, which follows our mark, or the error. Raises BuilderError."""
        expression = _expression(name, {"mark": self.mark, **argument})
        impure = ("--impure",) if network else ()
        patience = PATIENCE if network else ()
        arguments = ("--raw", "--show-trace", *impure, *patience, "--log-format", "internal-json", "--expr", expression)
        errors: list[Message] = []
        said = await self._run(("nix", "eval", *arguments), errors, network=network)
        for line in said:
            if line.startswith(self.mark):
                # Nix ends its value with no line end: an event may follow.
                return Answer(decoded(line.removeprefix(self.mark)))
        if errors:
            return Answer(error=errors[-1])
        if overflow := next((line for line in said if "stack overflow" in line), ""):
            reason = f"its evaluation never ends: {overflow.removeprefix('error: ')}"
            raise EnvironmentBroken(self.environment, reason)
        raise BuildFailed("nix", self.step, tuple(said[-TAIL:]), 1)

    async def _run(self, argv: tuple[str, ...], errors: list[Message], *, network: bool) -> list[str]:
        """What it prints besides Nix's events; `errors` gets those. Raises BuildOutOfMemory, BuildLogTooLong."""
        limits = self.of.workshop.limits
        said: list[str] = []
        async with evaluator(self.of, argv, Rights(network=network), max_line=MAX_LINE) as running:
            async for raw in running.child.lines():
                event = parse(raw)
                if isinstance(event, Plain):
                    said.append(event.text)
                elif isinstance(event, Message) and event.reason:
                    errors.append(event)
                    continue  # told by its sentence; a trace of thousands of calls is no log
                self.written += len(raw) if isinstance(event, Plain | Message | Wrote) else 0
                if self.written > limits.log:
                    raise BuildLogTooLong(limits.log, self.step)
                if isinstance(event, Message) and event.level <= WARNING and not event.text.endswith(_UNTOLD):
                    for line in event.text.splitlines():
                        self.tell(Log(line))
            ending = await running.ending()
        if ending.out_of_memory:
            raise BuildOutOfMemory(limits.memory, self.step)
        return said


def decoded(text: str) -> Any:
    """The JSON at the beginning of a text."""
    return json.JSONDecoder().raw_decode(text)[0]


@cache
def _text(name: str) -> str:
    return Path(__file__).with_name(f"{name}.nix").read_text("utf-8")


def _expression(name: str, argument: Mapping[str, Any]) -> str:
    data = json.dumps(argument, ensure_ascii=False).replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'({_text(name)}) (builtins.fromJSON "{data}")'
