"""Writer leases: each epoch is given once, on every database and by the fake."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from launcher.model import Holder, Lease
from launcher.store.leases import LeaseRows
from tests.fakes.leases import FakeLeases

if TYPE_CHECKING:
    from launcher.store.database import Database

A, B = Holder("engine-1", "a" * 64), Holder("engine-2", "b" * 64)


@pytest.fixture(params=[LeaseRows, FakeLeases])
def leases(request: pytest.FixtureRequest, any_database: Database) -> LeaseRows | FakeLeases:
    return FakeLeases() if request.param is FakeLeases else LeaseRows(any_database, lambda: 5.0)


async def test_one_after_the_other(leases: LeaseRows | FakeLeases) -> None:
    assert await leases.get("p") == Lease(0, None)
    assert await leases.take("p", 0, A)
    assert await leases.get("p") == Lease(1, A)
    assert not await leases.take("p", 0, B)
    assert not await leases.take("p", 2, B)
    assert await leases.take("p", 1, B)
    assert await leases.get("p") == Lease(2, B)
    assert await leases.get("q") == Lease(0, None)


async def test_given_up_it_goes_on_counting(leases: LeaseRows | FakeLeases) -> None:
    assert not await leases.give_up("p")
    assert await leases.take("p", 0, A)
    assert await leases.give_up("p")
    assert await leases.get("p") == Lease(1, None)
    assert not await leases.give_up("p")
    assert not await leases.take("p", 0, B)
    assert await leases.take("p", 1, B)


@pytest.mark.parametrize("before", [0, 1])
async def test_of_twenty_at_once_one_gets_it(any_database: Database, before: int) -> None:
    leases = LeaseRows(any_database, lambda: 5.0)
    if before:
        assert await leases.take("p", 0, A)
    all_ = [Holder("engine", f"{number:064}") for number in range(20)]
    got = await asyncio.gather(*(leases.take("p", before, one) for one in all_))
    assert sum(got) == 1
    assert await leases.get("p") == Lease(before + 1, all_[got.index(True)])
