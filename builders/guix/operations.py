"""What a client asks of guix-daemon, of which only this much is passed on.

Why: docs/adr/0017-a-gate-before-guix-daemon.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders.guix.wire import FORM, MANY, TEXT, Client, Refused, packed, word

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

HELLO = 0x6E697863
OLDEST = 0x163
"""The protocol of Guix 1.0, before which there was no `guix time-machine`."""
MAJOR, MINOR = 0xFF00, 0x00FF
SET_OPTIONS, ADD_TO_STORE, BUILD = 19, 7, 9
OURS = -1
"""SET_OPTIONS, of which the client knows nothing."""
QUERIES = frozenset({30, 32})
"""What caches have: the daemon asks them before it answers."""
DEEP = 256
"""Folders in one another."""
FILE, LINK, FOLDER = b"regular", b"symlink", b"directory"
_REFUSED: Mapping[int, str] = {
    0: "quit",
    3: "has-substitutes",
    4: "query-path-hash",
    6: "query-referrers",
    10: "ensure-path",
    11: "add-temp-root",
    12: "add-indirect-root",
    13: "sync-with-gc",
    14: "find-roots",
    16: "export-path",
    18: "query-deriver",
    20: "collect-garbage",
    22: "query-derivation-outputs",
    23: "query-all-valid-paths",
    24: "query-failed-paths",
    25: "clear-failed-paths",
    26: "query-path-info",
    27: "import-paths",
    28: "query-derivation-output-names",
    29: "query-path-from-hash-part",
    31: "query-valid-paths",
    33: "query-valid-derivers",
    34: "optimize-store",
    35: "verify-store",
    81: "substitute-urls",
}
"""Their names, for people: what is not passed on is refused whether or not it is here."""


def _pairs(pairs: Mapping[str, str]) -> bytes:
    return word(len(pairs)) + b"".join(packed(text.encode()) for pair in pairs.items() for text in pair)


OPTIONS = b"".join(
    (
        # keep-failed, keep-going, fallback, verbosity; offloading; build-verbosity, log-type, print-build-trace;
        # use-substitutes. Which substitutes, how many cores and for how long: as the daemon was started.
        *map(word, (0, 0, 1, 0, 0, 0, 0, 1, 1)),
        _pairs({"print-extended-build-trace": "1", "multiplexed-build-output": "true"}),
    )
)
"""What every client wants, whatever it says that it wants."""


async def said(client: Client, asked: Callable[[int], None] = lambda _: None) -> AsyncIterator[bytes]:
    """What the daemon is told, piece by piece, until the client ends; `asked` hears of each request before it is whole.

    Whoever wants something built without options gets ours too, which it does not know: OURS. Raises Refused.
    """
    async for piece in _greeting(client):
        yield piece
    has_options = False
    while True:
        operation = await client.number()
        if operation == BUILD and not has_options:
            asked(OURS)
            yield word(SET_OPTIONS) + OPTIONS
        has_options |= operation in {SET_OPTIONS, BUILD}
        asked(operation)
        if operation == SET_OPTIONS:
            await _options(client)
            yield word(operation) + OPTIONS
        elif operation == ADD_TO_STORE:
            yield word(operation)
            async for piece in _added(client):
                yield piece
        elif operation in _FORMS:
            yield b"".join([word(operation), *[await part(client) for part in _FORMS[operation]]])
        else:
            name = _REFUSED.get(operation, str(operation))
            raise Refused(f"“{name}” is not asked of the daemon by what is being evaluated")


async def _greeting(client: Client) -> AsyncIterator[bytes]:
    """The client waits for the daemon's answer after its first word: what follows depends on that."""
    if await client.number() != HELLO:
        raise Refused("it does not speak as Guix does")
    yield word(HELLO)
    version = await client.number()
    if version & MAJOR != OLDEST & MAJOR or version & MINOR < OLDEST & MINOR:
        raise Refused("it is a Guix from before 1.0, or of a protocol that is not known")
    if await client.number():
        raise Refused("it wants a processor of its own")
    yield word(version) + word(0) + word(await client.number(1))


async def _options(client: Client) -> None:
    for _ in range(9):
        await client.number()
    for _ in range(await client.number(MANY)):
        await client.text()
        await client.text()


# --------------------------------------------------------------------------- requests of one piece
async def _path(client: Client) -> bytes:
    return packed(await client.text())


async def _list(client: Client) -> bytes:
    texts = await client.texts()
    return word(len(texts)) + b"".join(map(packed, texts))


async def _text(client: Client) -> bytes:
    text = await client.text(TEXT)
    client.room.take(len(text))
    return packed(text)


async def _normal(client: Client) -> bytes:
    """How to build: not again, and not to repair."""
    return word(await client.number(0))


_FORMS: Mapping[int, tuple[Callable[[Client], Awaitable[bytes]], ...]] = {
    1: (_path,),  # valid-path?
    5: (_path,),  # query-references
    8: (_path, _text, _list),  # add-text-to-store: name, text, references
    9: (_list, _normal),  # build-things
    30: (_list,),  # query-substitutable-path-infos
    32: (_list,),  # query-substitutable-paths
    80: (),  # built-in-builders
}
"""What else evaluating needs, and of what it consists."""


# --------------------------------------------------------------------------- archives
async def _added(client: Client) -> AsyncIterator[bytes]:
    """add-to-store: name, a 1 of the past, whether it is a tree, the hash's algorithm, the archive."""
    name = packed(await client.text())
    if await client.number() != 1:
        raise Refused("what is to be added is not of its form")
    tree = word(await client.number(1))
    yield name + word(1) + tree + packed(await client.text())
    yield await client.words("nix-archive-1")
    depth = 0
    while True:
        kind = await _kind(client)
        yield packed(b"(") + packed(b"type") + packed(kind)
        if kind == FOLDER:
            depth += 1
            if depth > DEEP:
                raise Refused(f"there are more than {DEEP} folders in one another")
        else:
            async for piece in _leaf(client, kind):
                yield piece
            yield await client.words(*(")" * (2 if depth else 1)))
        while depth:
            if await _begins(client):
                yield packed(b"entry") + await client.words("(", "name")
                yield packed(await client.text()) + await client.words("node")
                break
            depth -= 1
            yield packed(b")") + (await client.words(")") if depth else b"")
        else:
            return


async def _kind(client: Client) -> bytes:
    """Of what begins: a file, a link or a folder."""
    await client.words("(", "type")
    kind = await client.text()
    if kind not in {FILE, LINK, FOLDER}:
        raise Refused(FORM)
    return kind


async def _begins(client: Client) -> bool:
    """Whether a folder has another entry, or ends."""
    match await client.text():
        case b"entry":
            return True
        case b")":
            return False
        case _:
            raise Refused(FORM)


async def _leaf(client: Client, kind: bytes) -> AsyncIterator[bytes]:
    """A file or a link, without its end."""
    if kind == LINK:
        yield await client.words("target") + packed(await client.text())
        return
    match field := await client.text():
        case b"executable":
            yield packed(field) + await client.words("", "contents")
        case b"contents":
            yield packed(field)
        case _:
            raise Refused(FORM)
    async for piece in client.contents():
        yield piece
