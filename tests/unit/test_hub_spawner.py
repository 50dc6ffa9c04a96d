"""The spawner's own promises, without a hub."""

from __future__ import annotations

import asyncio

from deploy.hub.spawner import ProjectSpawner


class _Dead(ProjectSpawner):
    """One whose server has died."""

    async def poll(self) -> int:
        await asyncio.sleep(0)
        return 137


async def test_a_server_is_not_started_before_the_hub_has_cleared_up_after_the_one_that_died() -> None:
    """It looks at intervals, and when somebody starts a server: both may find at the same time that it died."""
    spawner, done = _Dead(), []

    async def clears_up() -> None:
        await asyncio.sleep(0.05)
        done.append("cleared up")

    async def starts() -> None:
        assert await spawner.poll_and_notify() == 137
        done.append("started")

    spawner.add_poll_callback(clears_up)
    await asyncio.gather(spawner.poll_and_notify(), starts())
    assert done == ["cleared up", "started"]
