"""The policy file, as the command line sees it."""

from __future__ import annotations

import os
import re
import secrets
import stat
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import tomlkit

from launcher.errors import PolicyBroken
from launcher.gate.file import read_text
from launcher.gate.reading import parse
from launcher.operate.installation import InstallationError, policy_path
from launcher.repos.provider import sites_of
from launcher.repos.providers import PROVIDERS, parse_url

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


class PolicyEdit:
    """One change of the policy file: comments and order stay, nobody sees it half written, nothing wrong is written."""

    def __init__(self, installation: Installation, settings: Settings) -> None:
        """Read it. Blocks. Raises InstallationError where it cannot be read, or is wrong already."""
        self._path = policy_path(installation.folder, settings).resolve()
        try:
            self._before = read_text(self._path) or ""
            parse(self._before, tuple(PROVIDERS))
        except PolicyBroken as error:
            raise InstallationError(
                f"{self._where(error)}: {error.reason}. Mend it first; nothing was changed."
            ) from None
        self._document = tomlkit.parse(self._before)

    def name(self, table: str, key: str, note: str) -> None:
        """Set `key = note` in a table."""
        self._table(table)[key] = note

    def unname(self, table: str, key: str) -> bool:
        """Take it away; False: it was not there."""
        found = self._document.get(table, {})
        if key not in found:
            return False
        del found[key]
        return True

    def ban(self, provider: str, pattern: str) -> None:
        """Add a pattern to what is banned of a provider."""
        banned = self._provider(provider).setdefault("banned", tomlkit.array())
        if pattern not in banned:
            banned.append(tomlkit.string(pattern, literal="'" not in pattern))

    def unban(self, provider: str, pattern: str) -> bool:
        """Take it away; False: it was not there."""
        banned = self._document.get("providers", {}).get(provider, {}).get("banned", [])
        if pattern not in banned:
            return False
        banned.remove(pattern)
        return True

    def save(self) -> None:
        """Write it, if it changed and is right. Blocks. Raises InstallationError."""
        text = tomlkit.dumps(self._document)
        if text == self._before:
            return
        try:
            parse(text, tuple(PROVIDERS))
        except PolicyBroken as error:
            raise InstallationError(f"{error.reason}. Nothing was changed.") from None
        try:
            self._write(text)
        except OSError as error:
            raise InstallationError(f"{self._path} cannot be written: {error.strerror}.") from None

    def _write(self, text: str) -> None:
        """In place of the old one, with its owner and its mode; the launcher's own user reads it."""
        new = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}.new")
        with new.open("x", encoding="utf-8") as file:
            try:
                old = self._path.stat()
                os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            except FileNotFoundError:
                os.fchmod(file.fileno(), 0o644)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)

    def _table(self, name: str) -> Any:
        if name not in self._document:
            self._document[name] = tomlkit.table()
        return self._document[name]

    def _provider(self, name: str) -> Any:
        if "providers" not in self._document:
            self._document["providers"] = tomlkit.table(is_super_table=True)
        providers: Any = self._document["providers"]
        if name not in providers:
            providers[name] = tomlkit.table()
        return providers[name]

    def _where(self, error: PolicyBroken) -> str:
        return f"{self._path}, {error.place}" if error.place else str(self._path)


def pattern_of(link: str, ref: str, settings: Settings) -> tuple[str, str]:
    """The provider of what a link leads to, and a pattern of exactly that repository. Raises the errors of links."""
    found = parse_url(link, ref, sites_of(settings))
    if PROVIDERS[found.provider].is_record:
        return found.provider, f"^{re.escape(found.spec)}$"
    repository = found.spec.removesuffix("/" + quote(found.ref or "HEAD", safe="/"))
    return found.provider, f"^{re.escape(repository)}/"
