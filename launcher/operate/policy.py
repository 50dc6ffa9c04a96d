"""The policy file, as the command line sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import PolicyBroken
from launcher.gate.file import read_text
from launcher.gate.reading import parse
from launcher.operate.installation import policy_path
from launcher.repos.providers import PROVIDERS

if TYPE_CHECKING:
    from launcher.operate.installation import Installation
    from launcher.settings import Settings


def problem(installation: Installation, settings: Settings) -> tuple[str, str]:
    """What was seen of the file, and what to do; `""`: nothing. Blocks."""
    path = policy_path(installation.folder, settings)
    try:
        text = read_text(path)
        if text is not None:
            parse(text, tuple(PROVIDERS))
    except PolicyBroken as error:
        where = f"{path}, {error.place}" if error.place else str(path)
        return f"{where}: {error.reason}", "Mend it: it is read again at once. Until then the last good version holds."
    return (str(path) if text is not None else f"none at {path}: the defaults hold"), ""
