"""What every provider's module is given, and what they all read in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from launcher.errors import RecordUnfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.repos.records.api import Api


@dataclass(frozen=True, slots=True)
class Question:
    """A link, and where its record is."""

    api: Api
    record: str
    """The link's address, as people are told of it."""
    base: str
    """The site that has the record: `https://host`, without a slash at its end."""
    facts: Mapping[str, str]
    """What the address of the record's page says."""

    async def ask(self, path: str) -> Any:
        """What the site answers to a path (or to another address), maybe a minute ago. Raises as Api.ask."""
        return await self.api.ask(path if "://" in path else self.base + path, self.record)

    async def ask_now(self, path: str, method: str = "GET") -> Any:
        """What it answers now."""
        return await self.api.ask_now(self.base + path, self.record, method)

    def unfit(self, reason: str) -> RecordUnfit:
        """An error that tells of the record."""
        return RecordUnfit(self.record, reason)


def seconds(text: object) -> int:
    """A date of ISO 8601 as seconds since the epoch; without a zone it is UTC; 0 where it is none."""
    try:
        found = datetime.fromisoformat(str(text).replace(" ", "T", 1))
    except ValueError:
        return 0
    return max(int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()), 0)


def digest(kind: str, value: object) -> str:
    """A checksum as RecordFile has it; `""` where it is none that can be checked."""
    name, text = kind.lower().replace("-", ""), str(value).lower()
    digits = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}.get(name, 0)
    return f"{name}:{text}" if digits and len(text) == digits and all(one in "0123456789abcdef" for one in text) else ""


def count(value: object) -> int:
    """A number of bytes, -1 where it is none."""
    whole = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**60
    return int(value) if whole else -1  # type: ignore[call-overload]  # mypy does not follow `whole`
