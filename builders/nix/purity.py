"""Nix's words for what is not pure, as sentences for the author: which construct, in which file and line.

The words are Nix's own (2.26): every row is seen to match by a real evaluation in
tests/integration/test_nix_purity.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from builders.errors import EnvironmentBroken, EnvironmentImpure

if TYPE_CHECKING:
    from builders.errors import BuilderError
    from builders.nix.events import Message

_SHOWN = 500
_MENDABLE = re.compile(
    r"cannot look up '<|'fetch\w+' requires a 'sha256'|'fetch\w+' will not fetch unlocked|'?_*currentSystem' missing"
    r"|undefined variable '__(currentSystem|fetch\w+)'"
)
_ROWS: tuple[tuple[str, str, str], ...] = (
    # What Nix says; what it means; what to do.
    (
        r"cannot look up '<(.+?)>' in pure",
        "“<{0}>” is looked up on the machine that evaluates it",
        "Name a revision of it: fetchTarball with a commit’s address and its sha256.",
    ),
    (
        r"'fetch(Tarball|url)' requires a 'sha256'",
        "“fetch{0}” has no sha256, so the address may give something else tomorrow",
        "Add the sha256: `nix-prefetch-url` prints it (`--unpack` for a tarball).",
    ),
    (
        r"'fetch(Git|Tree)' will not fetch unlocked input '(.+?)'",
        "“fetch{0}” has no revision, so “{1}” may give something else tomorrow",
        "Add `rev`, a full commit.",
    ),
    (
        r"'fetchMercurial' requires a Mercurial revision",
        "“fetchMercurial” has no revision",
        "Add `rev`, a full commit.",
    ),
    (
        r"cannot call 'getFlake' on unlocked flake reference '(.+?)'",
        "“getFlake” has no revision, so “{0}” may give something else tomorrow",
        "Add the full commit to the reference.",
    ),
    (
        r"access to absolute path '(.+?)' is forbidden in pure",
        "it reads “{0}”, which is not in the repository",
        "Keep the files that it needs in the repository, and name them by relative paths.",
    ),
    (
        r"the path '(~.+?)' can not be resolved in pure",
        "it reads “{0}”, a home folder of whoever evaluates it",
        "Keep the files that it needs in the repository, and name them by relative paths.",
    ),
    (
        r"attribute 'currentTime' missing|undefined variable '__currentTime'",
        "“currentTime” is another one at every evaluation",
        "Write the date down, or leave it out.",
    ),
    (
        r"attribute 'currentSystem' missing|undefined variable '__currentSystem'",
        "“currentSystem” is the machine’s that evaluates it",
        "Name the system: “x86_64-linux”.",
    ),
    (
        r"attribute 'exec' missing",
        "“exec” runs a program of the machine that evaluates it",
        "Run it in a derivation.",
    ),
    (
        r"'builtins\.storePath' is not allowed in pure",
        "“storePath” takes what happens to be in the store of the machine that evaluates it",
        "Say how it is built, or fetch it by its hash.",
    ),
    (
        r"cannot build '.+?' during evaluation because the option 'allow-import-from-derivation'",
        "it reads a file that must be built first (import from derivation), and no evaluation builds here",
        "Commit the file that is read to the repository.",
    ),
    (
        r"cannot update unlocked flake input '(.+?)' in pure",
        "the input “{0}” is not in flake.lock",
        "Run `nix flake lock` and commit flake.lock.",
    ),
)


def where(error: Message, source: str, environment: str) -> str:
    """The innermost place of the author's in an error, as `file:line`; else the file that declares the environment."""
    for place in error.places:
        path = re.sub(r"(:\d+)+$", "", place.file)
        if path.startswith(f"{source}/"):
            return f"{path.removeprefix(f'{source}/')}:{place.line}"
    return environment


def is_mendable(reason: str) -> bool:
    """Whether a file that fails so may be evaluated with what it asks for told to it (`wrapped` in evaluate.nix)."""
    return bool(_MENDABLE.search(reason))


def impure(reason: str, at: str) -> EnvironmentImpure | None:
    """What to tell the author where Nix's reason is one of purity."""
    for pattern, what, do in _ROWS:
        if found := re.search(pattern, reason):
            return EnvironmentImpure(at, what.format(*found.groups()), do)
    return None


def explained(error: Message, source: str, environment: str) -> BuilderError:
    """What to tell the author of an evaluation that failed."""
    at = where(error, source, environment)
    if (found := impure(error.reason, at)) is not None:
        return found
    lines = [line.strip() for line in error.reason.replace(f"{source}/", "").splitlines() if line.strip()]
    return EnvironmentBroken(at, (" ".join(lines)[:_SHOWN] or "Nix does not say why").rstrip("."))
