"""The nixpkgs that a site has chosen, for those who say `<nixpkgs>` and thereby choose none.

REPOLAUNCH_NIXPKGS is a JSON object: `url` of a tarball, its `sha256` (of what is in it), `rev` and `date`; in place of
the first two may be `folder`, one of this machine.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from builders.errors import BuildBroken
from builders.interface import NIXPKGS


@dataclass(frozen=True, slots=True)
class Nixpkgs:
    """One state of nixpkgs."""

    rev: str
    date: str
    url: str = ""
    sha256: str = ""
    folder: Path | None = None

    @property
    def said(self) -> str:
        """For people: which it is."""
        return f"{self.rev[:12]} of {self.date}"

    @property
    def advice(self) -> tuple[str, ...]:
        """The lines that would pin it."""
        if not self.url:
            return ()
        return (
            "import (builtins.fetchTarball {",
            f'  url = "{self.url}";',
            f'  sha256 = "{self.sha256}";',
            "})",
        )


def nixpkgs() -> Nixpkgs | None:
    """What the variable says; None: the site has chosen none. Raises BuildBroken."""
    text = os.environ.get(NIXPKGS)
    if not text:
        return None
    try:
        body = json.loads(text)
        folder = Path(body["folder"]) if "folder" in body else None
        chosen = Nixpkgs(
            str(body["rev"]), str(body["date"]), str(body.get("url", "")), str(body.get("sha256", "")), folder
        )
    except (ValueError, KeyError, TypeError):
        raise BuildBroken(f"{NIXPKGS} is no JSON object with rev, date, url and sha256") from None
    if not chosen.folder and not (chosen.url and chosen.sha256):
        raise BuildBroken(f"{NIXPKGS} names neither a url with its sha256 nor a folder")
    return chosen
