"""Tool output as plain text: what a terminal would act on is taken out, what a person would read stays."""

from __future__ import annotations

import re

# Colours and cursor movements (CSI), window titles and links (OSC, ended by BEL or ESC \), other two-character escapes.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]")
# C0 without tab, DEL, C1; and the invisible characters that turn the reading order round.
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)

# A path of the engine's, as its sentences quote it; an address or an image's name has something in front of its slash.
_PATH = re.compile(r"""(?<![^\s"'`(:=])/[^\s"'`:,)]+""")


def says_full(text: str) -> bool:
    """Whether a program's words say that a disk is full."""
    return bool(_FULL.search(text))


def without_paths(text: str) -> str:
    """An engine's words without the places of its own machine, which are nobody's to read."""
    return _PATH.sub("…", text)


def clean(line: str) -> str:
    """One line for an event: no escapes, no control characters but tab.

    Of a line that a spinner rewrote with carriage returns, the last writing that is not blank stays.
    """
    writings = [part for part in line.rstrip("\r\n").split("\r") if part.strip()]
    last = writings[-1] if writings else ""
    return _CONTROLS.sub("", _ESCAPES.sub("", last)).rstrip()
