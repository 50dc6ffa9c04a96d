"""Watermarks: how full a disk, or what lies on it, may become."""

from __future__ import annotations

from dataclasses import dataclass

WHOLE = 100


@dataclass(frozen=True, slots=True)
class Mark:
    """Bytes, or percent of the disk."""

    amount: int
    percent: bool

    def __str__(self) -> str:
        return f"{self.amount}%" if self.percent else str(self.amount)


def parse_mark(text: str) -> Mark:
    """`85%` or a number of bytes. Raises ValueError."""
    number = text.strip().removesuffix("%").strip()
    percent = text.strip().endswith("%")
    if not (number.isascii() and number.isdigit()) or (percent and int(number) > WHOLE):
        raise ValueError(f"{text!r} is neither a number of bytes nor a percentage of the disk, such as 85%")
    return Mark(int(number), percent)
