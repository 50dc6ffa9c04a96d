"""What a launch looks like on a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.operate.printer import Printer

EVENTS: list[dict[str, Any]] = [
    {"type": "started", "stage": "build", "message": "Building"},
    {"type": "log", "stage": "build", "message": "Collecting numpy\nDone"},
    {"type": "ended", "stage": "build", "message": "Built", "seconds": 2.04},
    {"type": "failed", "stage": "session", "title": "It failed", "seen": "It ended.", "todo": "Launch again."},
    {"type": "cancelled", "message": "The launch was stopped by you."},
    {"type": "ready", "message": "Ready"},
]
SHORT = [
    "  build      Building",
    "  build      Built (2.0 s)",
    "  session    It failed. It ended. Launch again.",
    "  The launch was stopped by you.",
]


@pytest.mark.parametrize("log", [False, True])
def test_a_line_for_each_stage_and_the_log_where_it_is_wanted(log: bool) -> None:
    said: list[str] = []
    printer = Printer(said.append, log=log)
    for event in EVENTS:
        printer(event)
    lines = ["  build      | Collecting numpy", "  build      | Done"] if log else []
    assert said == [SHORT[0], *lines, *SHORT[1:]]
