"""Which environments each repository has declared, on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.store.images import EnvironmentRows
from launcher.store.origins import Known, OriginRows
from tests.fakes.builds import environment

if TYPE_CHECKING:
    from launcher.store.database import Database

MINE, OTHER = "https://git.example/mine", "https://git.example/other"


async def test_what_is_forgotten_is_the_repository_s_own(any_database: Database) -> None:
    rows, looked = OriginRows(any_database), EnvironmentRows(any_database)
    for url, tree, key in (
        (MINE, "t1", "own"),
        (MINE, "t1", "own"),
        (MINE, "t2", "both"),
        (OTHER, "t2", "both"),
        (MINE, "t3", "used"),
        (MINE, "", "before it was noted"),
    ):
        await rows.note(url, tree, key)
        if tree:
            await looked.put(tree, "f", environment(key))
    known = await rows.known(MINE)
    keys = frozenset({"own", "both", "used", "before it was noted"})
    assert known == Known(keys, frozenset({"both"}), running=False, projects={})

    assert await rows.trees(MINE, {"used"}) == 2
    await rows.forget(MINE, {"used"})
    assert (await rows.known(MINE)).keys == {"used"}
    assert [await looked.get(tree, "f") is None for tree in ("t1", "t2", "t3")] == [True, False, False]
    assert (await rows.known(OTHER)).keys == {"both"}
    await rows.forget(MINE, ())
    assert await looked.get("t3", "f") is None
    assert (await rows.known(MINE)).keys == frozenset()
