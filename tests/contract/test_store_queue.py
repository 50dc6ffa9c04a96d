"""The queue as it is kept: what is read gives everybody the turn that they had, on every database."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from launcher.events import State
from launcher.fair import FairQueue, Ticket, Turns
from launcher.model import Account, Kind, RepoRef
from launcher.store.launches import Launch, LaunchRows
from launcher.store.queue import QueueRows, Waiting
from launcher.store.writer import Writer

if TYPE_CHECKING:
    from launcher.store.database import Database


async def known(database: Database, launch: str, state: State = State.RUNNING) -> None:
    account, ref = Account("ann", Kind.GUEST), RepoRef("git", "", "https://a.example/a", "")
    await LaunchRows(database).add(Launch(launch, account, ref, "", state, 1.0))


def waiting(ticket: Ticket, turns: Turns) -> Waiting:
    return Waiting(ticket.id, ticket.group, ticket.person, 1.0, turns.number, turns.group, turns.person)


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_kept_are_the_turns(any_database: Database, seed: int) -> None:
    """After any coming, being served and leaving, in whatever order."""
    writer, random, queue = Writer(any_database, interval_s=0), Random(seed), FairQueue()
    rows, served = QueueRows(any_database, writer), set[str]()
    for n in range(60):
        if random.random() < 0.6:
            ticket = Ticket(f"t{n}", random.choice("ab"), random.choice("xyz"))
            await known(any_database, ticket.id)
            queue.add(ticket)
            rows.put(waiting(ticket, queue.turns(ticket.id)))
        elif random.random() < 0.2 and len(queue):
            gone = random.choice(sorted(queue.places()))
            queue.remove(gone)
            rows.drop(gone)
        elif (ticket := queue.take(lambda _: True)) is not None:  # type: ignore[assignment]  # none: nobody waits
            rows.serve(ticket.id, ticket.group, ticket.person, queue.count)
            served.add(ticket.id)
    await writer.flush()
    found = await rows.read()
    assert {one.launch for one in found if one.served} == served
    kept = {one.launch: Turns(one.repository_turn, one.person_turn, one.number) for one in found if not one.served}
    assert kept == {one: queue.turns(one) for one in queue.places()}
    assert len(kept) > 3
    await writer.close()


async def test_of_a_launch_that_has_ended_nothing_is_left(any_database: Database) -> None:
    writer = Writer(any_database, interval_s=0)
    rows = QueueRows(any_database, writer)
    for launch, state in (("ended", State.FAILED), ("waits", State.RUNNING)):
        await known(any_database, launch, state)
        rows.put(waiting(Ticket(launch, "a", "x"), Turns(1, 1, 1)))
    await writer.flush()
    await rows.tidy()
    assert [one.launch for one in await rows.read()] == ["waits"]
    await writer.close()
