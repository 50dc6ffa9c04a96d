"""Whether an `install.R` only installs packages by their names.

R is a language, so nothing is left to guessing: every word of the file must be one of those below, and every text a
name, a repository of a forge or an address.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(
    r"(?P<blank>[ \t\r\f]+|#[^\n]*)|(?P<line>\n)|(?P<text>\"[^\"\\\n]*\"|'[^'\\\n]*')|(?P<number>\d+L?)"
    r"|(?P<word>[A-Za-z.][\w.]*(?:::[A-Za-z.][\w.]*)?)|(?P<sign><-|[(),=!{};])|(?P<other>.)"
)
_CALLS = frozenset({"c", "if", "library", "require", "requireNamespace", "suppressMessages", "options", "invisible"})
_INSTALLS = frozenset({"install_cran", "install_version", "install_bioc"})
_FORGES = frozenset({"install_github", "install_gitlab", "install_bitbucket", "install_git", "install_url"})
_KNOWN = frozenset(
    {
        *(_CALLS | _INSTALLS | _FORGES | {"install.packages", "utils::install.packages", "BiocManager::install"}),
        *(f"{package}::{name}" for package in ("remotes", "devtools") for name in _INSTALLS | _FORGES),
    }
)
"""Not `devtools::install`: that is of a folder."""
_ARGUMENTS = frozenset(
    {
        *("pkgs", "pkg", "repos", "dependencies", "quiet", "quietly", "upgrade", "version", "ref", "update", "ask"),
        *("force", "Ncpus", "package", "repo", "build_vignettes", "CRAN", "character.only", "verbose", "host", "url"),
    }
)
_VALUES = frozenset({"TRUE", "FALSE", "T", "F", "NA", "else"})
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_ARCHIVES = (".gz", ".tgz", ".zip", ".bz2", ".xz")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9]\S*")
_FORGE = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w./-]*(?:[@#][\w./-]+)?")
UNKNOWN = "{what} is more than installing packages by name, and may read any file"


def read(text: str) -> Iterator[tuple[int, str]]:
    """The first thing that is not understood; one is enough."""
    tokens = [match for match in _TOKEN.finditer(text) if match.lastgroup != "blank"]
    script, line = _Script(), 1
    for place, token in enumerate(tokens):
        after = tokens[place + 1][0] if place + 1 < len(tokens) else ""
        if not script.fits(token, after):
            yield line, UNKNOWN.format(what=token[0])
            return
        line += token[0] == "\n"


class _Script:
    """Where in a script the reader is."""

    def __init__(self) -> None:
        self._variables: set[str] = set()
        self._calls: list[str] = []
        """Those that are open, the innermost last; `""` is a bracket of none."""
        self._called = ""

    def fits(self, token: re.Match[str], after: str) -> bool:
        """Say whether a token is one of those that only install; `after` is the next one."""
        word = token[0]
        match token.lastgroup:
            case "word" if after == "(":
                self._called = word
                # In an argument an `if` can be NULL, and for `repos` that means a file.
                return word in _KNOWN and not (word == "if" and self._calls)
            case "word":
                return self._word(word, is_new=after in {"<-", "="})
            case "text":
                return _plain(word[1:-1], self._call)
            case "sign":
                return self._sign(word, after)
            case kind:
                return kind in {"line", "number"}

    @property
    def _call(self) -> str:
        named = [call for call in self._calls if call not in {"", "c"}]
        return named[-1].rpartition("::")[2] if named else ""

    def _word(self, word: str, *, is_new: bool) -> bool:
        if is_new and not self._calls:
            self._variables.add(word)
        in_library = self._call in {"library", "require"} and _NAME.fullmatch(word) is not None
        return word in self._variables | _VALUES or (is_new and word in _ARGUMENTS) or in_library

    def _sign(self, sign: str, after: str) -> bool:
        if sign == "(":
            if self._called == "c" and after == ")":
                return False  # NULL too
            self._calls.append(self._called)
            self._called = ""
        elif sign == ")":
            if not self._calls:
                return False
            self._calls.pop()
        return True


def _plain(text: str, call: str) -> bool:
    """Say whether a text is a name, or leads elsewhere."""
    if _ADDRESS.fullmatch(text) or (call in _FORGES and _FORGE.fullmatch(text)):
        return True
    return not text or (_NAME.fullmatch(text) is not None and not text.lower().endswith(_ARCHIVES))
