"""The root of the errors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class LauncherError(Exception):
    """The root of everything that the launcher explains to people."""

    def __post_init__(self) -> None:
        """Give the exception its arguments, so that it pickles and prints."""
        super().__init__(*vars(self).values())


class RetryLater(LauncherError):
    """Something is used up for now; it is worth asking again after so many seconds (`Retry-After`)."""

    seconds: int
