"""Channels as data: what an author's channels.scm said, checked, and what of it is not pinned.

A channel is a git repository that Guix's packages come from. Its commit says what they are; its introduction (a commit
and the key that signed it) says that they are its maintainers'.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from builders.addresses import is_private
from builders.errors import EnvironmentBroken
from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

CORE = "guix"
"""The channel that Guix itself comes from."""
MOST = 64
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._+-]{0,99}", re.ASCII)
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_SIGNER = re.compile(r"[0-9A-F]{4}(?: {1,2}[0-9A-F]{4}){9}", re.ASCII)
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
_LONGEST_URL, _SHOWN = 500, 200


@dataclass(frozen=True, slots=True)
class Introduction:
    """Where trust in a channel begins."""

    commit: str
    signer: str
    """An OpenPGP fingerprint, as Guix writes it."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel that may be fetched: its address is none of this network's own."""

    name: str
    url: str
    branch: str
    commit: str | None
    introduction: Introduction | None
    line: int = 0
    """Where it is declared; 0 is nowhere: another channel needs it."""

    def to_json(self) -> dict[str, Any]:
        """As our programs read it."""
        return asdict(self)


def parse(body: object, path: str, schemes: Sequence[str]) -> tuple[Channel, ...]:
    """The channels of an answer; `path` is what they were read from. Raises EnvironmentBroken."""
    if not isinstance(body, list) or not body:
        raise EnvironmentBroken(path, "it names no channel")
    if len(body) > MOST:
        raise EnvironmentBroken(path, f"it names more than {MOST} channels")
    found = tuple(_Reading(path, schemes).channel(one) for one in body)
    names = [channel.name for channel in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise EnvironmentBroken(path, f"it names the channel {twice} twice")
    return found


def is_commit(text: str) -> bool:
    """Whether it is a whole commit id."""
    return bool(_COMMIT.fullmatch(text))


def loose(channels: Sequence[Channel], path: str, *, authenticate: bool) -> tuple[str, ...]:
    """What of them is not pinned, each with its line."""
    found = []
    for channel in channels:
        where = f"{path}:{channel.line}"
        if channel.commit is None:
            found.append(f"{where}: the channel {channel.name} has no commit")
        if authenticate and channel.introduction is None:
            found.append(f"{where}: the channel {channel.name} has no introduction, so nobody vouches for it")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Reading:
    """Of one file."""

    path: str
    schemes: Sequence[str]

    def channel(self, body: object) -> Channel:
        if not isinstance(body, dict):
            raise self._broken("it is not a list of channels")
        name = self._text(body, "name", _NAME)
        commit = body.get("commit")
        line = body.get("line")
        return Channel(
            name=name,
            url=self._url(name, body.get("url")),
            branch=self._text(body, "branch", _BRANCH),
            # Guix would look for what a shorter one, or a tag, stands for today.
            commit=None if commit is None else self._text(body, "commit", _COMMIT, "a full commit id"),
            introduction=self._introduction(body.get("introduction")),
            line=line if isinstance(line, int) and line > 0 else 0,
        )

    def _introduction(self, body: object) -> Introduction | None:
        if not isinstance(body, dict):
            return None
        signer = self._text(body, "signer", _SIGNER, "a key's fingerprint")
        return Introduction(self._text(body, "commit", _COMMIT, "a full commit id"), signer)

    def _url(self, name: str, url: object) -> str:
        where = f"the address of the channel {name}"
        if not isinstance(url, str) or len(url) > _LONGEST_URL or clean(url) != url or " " in url:
            raise self._broken(f"{where} is none")
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise self._broken(f"{where} is none") from None
        if parts.scheme not in self.schemes:
            raise self._broken(f"{where} does not begin with {' or '.join(self.schemes)}:")
        if parts.username is not None or parts.password is not None:
            raise self._broken(f"{where} has a login in it")
        is_odd = ":" not in host and not _HOST.fullmatch(host)
        if parts.scheme != "file" and (is_odd or is_private(host)):
            raise self._broken(f"{where}, {host}, is none of the internet")
        return url

    def _text(self, body: dict[str, Any], name: str, form: re.Pattern[str], what: str = "") -> str:
        value = body.get(name)
        if isinstance(value, str) and form.fullmatch(value):
            return value
        shown = clean(str(value))[:_SHOWN]
        raise self._broken(f"the {name} {shown!r} of a channel is not {what or 'a ' + name}")

    def _broken(self, reason: str) -> EnvironmentBroken:
        return EnvironmentBroken(self.path, reason)
