"""A launch that has ended, however it did, waits for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from launcher.gate.places import Places
    from launcher.model import Image, Session
    from launcher.stages import Asked, StoryTell


class Ticketed:
    """A story, after which its place in the queue is forgotten."""

    def __init__(self, story: Callable[[Asked, StoryTell], Awaitable[Session | Image]], places: Places) -> None:
        """Wrap `story`."""
        self._story, self._places = story, places

    async def __call__(self, asked: Asked, tell: StoryTell) -> Session | Image:
        """As the story."""
        try:
            return await self._story(asked, tell)
        finally:
            self._places.forget(asked.id)
