"""How the benchmarks speak: to people on standard error, to programs with one JSON object as the last line."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def say(line: str) -> None:
    """For people: on standard error."""
    print(line, file=sys.stderr, flush=True)


def tell(result: Mapping[str, Any], *, only_json: bool) -> None:
    """The result."""
    if not only_json:
        for name, value in result.items():
            say(f"{name:>24}  {value}")
    print(json.dumps(result))
