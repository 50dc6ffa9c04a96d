"""What of a client's requests is passed on to guix-daemon: what is of its form, word for word, and nothing else."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.guix import operations
from builders.guix.operations import said
from builders.guix.wire import Client, Refused, Room, packed, refusal, word

if TYPE_CHECKING:
    from collections.abc import Sequence

OURS = word(operations.SET_OPTIONS) + operations.OPTIONS
GREETING = word(operations.HELLO) + word(0x164) + word(0) + word(1)
Tree = bytes | str | dict[bytes, "Tree"]


async def passed(text: bytes, room: int = 2**30, pieces: int = 2**20) -> tuple[bytes, str]:
    """What the daemon is told of this, and why no more of it; `pieces`: how many bytes come at one time."""
    reader = asyncio.StreamReader()
    told, reason = b"", ""

    async def feed() -> None:
        for at in range(0, len(text), pieces):
            reader.feed_data(text[at : at + pieces])
            await asyncio.sleep(0)
        reader.feed_eof()

    feeding = asyncio.create_task(feed())
    try:
        async for piece in said(Client(reader, Room(room))):
            told += piece
    except asyncio.IncompleteReadError as error:
        reason = "ended" if error.partial or reader.at_eof() else ""
    except Refused as error:
        reason = error.reason
    await feeding
    return told, reason


def words(*texts: str) -> bytes:
    return b"".join(packed(text.encode()) for text in texts)


def listed(*texts: str) -> bytes:
    return word(len(texts)) + words(*texts)


def archive(tree: Tree) -> bytes:
    """As `guix` writes it."""
    match tree:
        case bytes():
            body = words("regular", "contents") + packed(tree)
        case str():
            body = words("symlink", "target", tree)
        case _:
            entries = (
                words("entry", "(", "name") + packed(name) + words("node") + archive(each) + words(")")
                for name, each in tree.items()
            )
            body = words("directory") + b"".join(entries)
    return words("(", "type") + body + words(")")


def added(tree: Tree, name: str = "x") -> bytes:
    """The request."""
    return word(7) + words(name) + word(1) + word(1) + words("sha256", "nix-archive-1") + archive(tree)


ASKED = {
    "valid-path?": word(1) + words("/gnu/store/x"),
    "query-references": word(5) + words("/gnu/store/x"),
    "add-text-to-store": word(8) + words("x.drv", "text") + listed("/gnu/store/a", "/gnu/store/b"),
    "build-things": word(9) + listed("/gnu/store/x.drv") + word(0),
    "substitutable": word(30) + listed() + word(32) + listed("/gnu/store/x"),
    "built-in-builders": word(80),
    "a file": added(b"some text"),
    "a program": word(7) + words("x") + word(1) + word(0) + words("sha256", "nix-archive-1", "(", "type", "regular")
    + words("executable", "", "contents", "text", ")"),
    "a link": added("/target"),
    "folders": added({b"a": {b"b": {}, b"c": b"12345678"}, b"d": "link", b"e\xff": b""}),
}  # fmt: skip


@pytest.mark.parametrize("name", list(ASKED))
@pytest.mark.parametrize("pieces", [1, 2**20])
async def test_what_evaluating_asks_is_passed_on_as_it_is(name: str, pieces: int) -> None:
    text = GREETING + ASKED[name] + ASKED["valid-path?"]
    told, reason = await passed(text, pieces=pieces)
    assert (told.replace(OURS, b""), reason) == (text, "ended")


async def test_whoever_wants_something_built_has_our_options() -> None:
    build, plain = ASKED["build-things"], ASKED["valid-path?"]
    own = word(19) + bytes(9 * 8) + word(0)
    assert (await passed(GREETING + plain + build + build))[0] == GREETING + plain + OURS + build + build
    assert (await passed(GREETING + own + plain + build))[0] == GREETING + OURS + plain + build


trees = st.recursive(
    st.binary(max_size=40) | st.text("ab/é", max_size=9),
    lambda inner: st.dictionaries(st.binary(max_size=9), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(trees, max_size=3), st.integers(1, 50))
def test_trees_are_passed_on_as_they_are(all_trees: Sequence[Tree], pieces: int) -> None:
    text = GREETING + b"".join(added(tree) for tree in all_trees)
    assert asyncio.run(passed(text, pieces=pieces))[0] == text


@given(st.sampled_from(list(ASKED.values())), st.binary(min_size=1, max_size=16), st.data())
def test_what_is_damaged_is_passed_on_as_far_as_it_is_of_its_form(
    whole: bytes, damage: bytes, data: st.DataObject
) -> None:
    """Whatever is written over it: what the daemon is told is a beginning of what was said, or nothing new."""
    at = data.draw(st.integers(0, len(whole) - 1))
    text = GREETING + whole[:at] + damage + whole[at + len(damage) :] + word(20) + b"\x01" * 64
    told, reason = asyncio.run(passed(text))
    assert reason
    if word(operations.SET_OPTIONS) not in text:
        assert text.startswith(told.replace(OURS, b""))


@pytest.mark.parametrize("operation", [one for one in range(90) if one not in {1, 5, 7, 8, 9, 19, 30, 32, 80}])
async def test_nothing_else_is_passed_on(operation: int) -> None:
    text = GREETING + ASKED["valid-path?"]
    told, reason = await passed(text + word(operation) + bytes(4096))
    assert told == text
    assert "is not asked of the daemon by what is being evaluated" in reason
    assert struct.unpack("<Q", refusal(reason)[:8]) == (0x63787470,)


async def test_what_a_client_wishes_is_not_what_it_gets() -> None:
    wishes = (1, 1, 0, 7, 1, 9, 9, 0, 0)
    pairs = {"substitute-urls": "http://169.254.169.254/", "build-max-jobs": "99", "build-cores": "99"}
    wanted = b"".join(map(word, wishes)) + word(len(pairs)) + b"".join(words(*pair) for pair in pairs.items())
    told, _ = await passed(GREETING + word(19) + wanted + ASKED["valid-path?"])
    forced = word(19) + b"".join(map(word, (0, 0, 1, 0, 0, 0, 0, 1, 1))) + word(2)
    forced += words("print-extended-build-trace", "1", "multiplexed-build-output", "true")
    assert told == GREETING + forced + ASKED["valid-path?"]


@pytest.mark.parametrize(
    "text, reason",
    [
        (word(1), "it does not speak as Guix does"),
        (word(operations.HELLO) + word(0x10C), "it is a Guix from before 1.0, or of a protocol that is not known"),
        (word(operations.HELLO) + word(0x264), "it is a Guix from before 1.0, or of a protocol that is not known"),
        (word(operations.HELLO) + word(0x164) + word(1), "it wants a processor of its own"),
        (GREETING + word(9) + listed("/gnu/store/x.drv") + word(1), "a number is larger than 0"),
        (GREETING + word(9) + listed("/gnu/store/x.drv") + word(2), "a number is larger than 0"),
        (GREETING + word(1) + word(5000), "a number is larger than 4096"),
        (GREETING + word(1) + word(2**32 + 3) + b"abc" + bytes(5), "a number is larger than 4096"),
        (GREETING + word(1) + word(3) + b"abc" + b"\0\0\0\0\1", "a text is not filled up with zeros"),
        (GREETING + word(9) + word(2**20), "a number is larger than 65536"),
        (GREETING + added({b"x": b"y"}).replace(b"regular", b"regulap"), "an archive is not of its form"),
        (GREETING + added(b"123").replace(b"contents", b"contentz"), "an archive is not of its form"),
        (GREETING + word(7) + words("x") + word(0), "what is to be added is not of its form"),
        (GREETING + added(b"x" * 2000), "it adds more to the store than a build may write"),
        (GREETING + word(8) + words("x", "y" * 2000), "it adds more to the store than a build may write"),
    ],
)  # fmt: skip
async def test_what_is_not_of_its_form_is_no_request(text: bytes, reason: str) -> None:
    assert (await passed(text, room=1000))[1] == reason


async def test_room_is_for_all_that_is_added() -> None:
    told, reason = await passed(GREETING + added(b"x" * 600) + added(b"y" * 600), room=1000)
    assert reason == "it adds more to the store than a build may write"
    assert b"x" * 600 in told
    assert b"yy" not in told


async def test_folders_are_not_too_deep() -> None:
    tree: Tree = {}
    for _ in range(operations.DEEP):
        tree = {b"a": tree}
    assert (await passed(GREETING + added(tree)))[1] == "there are more than 256 folders in one another"
