"""`# syntax=IMAGE` in a Dockerfile's first lines: a program, fetched from a registry, that is to read the Dockerfile.

That program would tell BuildKit what to do, and it alone: which cgroup a step runs in, whose cache a step sees. So only
Docker's own language is built, by the reader that the engine brings; nothing is fetched for it, and a machine without
the internet builds it too. What counts is BuildKit's own idea of those lines (`parser.DetectSyntax`):
https://github.com/moby/buildkit/blob/v0.13.2/frontend/dockerfile/parser/directives.go
"""

from __future__ import annotations

import codecs
import re

from builders.errors import EnvironmentBroken
from builders.text import clean

DOCKERS_OWN = re.compile(rb"(?:docker\.io/)?docker/dockerfile(?:-upstream)?(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?")
_DIRECTIVE = re.compile(rb"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(\S.*?)\s*")
_OTHERWISE = re.compile(rb"\s*(?://|\{|#!)")
"""Beginnings after which BuildKit looks for a syntax besides, as of other languages."""
_LONGEST = 100


def without_syntax(dockerfile: bytes, name: str) -> bytes:
    """The Dockerfile as the engine's own reader is to see it; every line keeps its number.

    Raises EnvironmentBroken where another language is asked for; `name` is the file's.
    """
    text = dockerfile.removeprefix(codecs.BOM_UTF8)
    if _OTHERWISE.match(text):
        return b"# " + text  # with a plain comment first nothing more is looked for
    kept, dropped = [], 0
    lines = text.split(b"\n")
    for line in lines:
        match = _DIRECTIVE.fullmatch(line)
        if match is None:
            break
        if match[1].lower() != b"syntax":
            kept.append(line)
            continue
        dropped += 1
        asked = match[2].split()[0]
        if not DOCKERS_OWN.fullmatch(asked):
            shown = clean(asked.decode("utf-8", "replace"))[:_LONGEST]
            reason = f"it asks to be read by {shown} (# syntax=), and only Docker's own language is built here"
            raise EnvironmentBroken(name, reason)
    # A plain comment ends what is taken for directives, so those that stay come first.
    return b"\n".join([*kept, *[b"#"] * dropped, *lines[len(kept) + dropped :]])
