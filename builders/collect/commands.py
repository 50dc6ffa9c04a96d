"""The verbs of `python -m builders` that say what is held, let some of it go, and clear up."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack, closing, contextmanager, nullcontext
from typing import TYPE_CHECKING

from builders.arguments import namespace
from builders.collect.clear import clear_registry, clear_stores
from builders.interface import Workshop
from builders.lines import Known, Rooms
from builders.spaces import all_stores, stores_of
from builders.turns import STORES, alone, alone_in, own_registry
from builders.turns import stores as folder_of_stores

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping

    from builders.arguments import Verb
    from builders.lines import Tell
    from builders.oci.registry import Repository
    from builders.turns import Own


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add their arguments."""
    holdings = verbs.add_parser("holdings", help="say what stores and registry hold, and how much")
    forget = verbs.add_parser("forget", help="let one thing go")
    clear = verbs.add_parser("clear", help="remove what nothing has any more")
    holdings.add_argument("--measure", action="store_true", help="also how many bytes the stores take")
    forget.add_argument("--kind", required=True, choices=("image", "source", "environment", "channels", "wheels"))
    forget.add_argument("--thing", required=True, help="its name, as `holdings` has it")
    forget.add_argument("--space", type=namespace, default="", help="the private repository's namespace that it is in")
    clear.add_argument("place", choices=("registry", "stores"))
    for verb in (holdings, forget, clear):
        verb.add_argument("registry", help="host[:port]/prefix, before env and source")


async def _holdings(asked: argparse.Namespace, tell: Tell) -> Rooms:
    from builders.collect import registry, stores  # noqa: PLC0415  # what they need takes long to import

    own, folder = own_registry(), folder_of_stores()

    def look() -> Rooms:
        for space, each in all_stores(folder):
            for line in stores.held(each, space):
                tell(line)
        with _all_images(asked, own) as images, closing(_repository(asked, "source")) as sources:
            for line in registry.images(images, own):
                tell(line)
            for line in registry.sources(sources, own):
                tell(line)
        return Rooms({"registry": registry.room(own), "stores": stores.room(folder, measure=asked.measure)})

    return await asyncio.to_thread(look)


async def _forget(asked: argparse.Namespace, _: Tell) -> Known:
    from builders.collect import registry, stores  # noqa: PLC0415  # as above

    site, kind, name, own = folder_of_stores(), asked.kind, asked.thing, own_registry()
    folder = stores_of(site, asked.space)
    if kind in {"image", "source"}:
        # Nobody gives it another name just now, and nobody copies the registry's folder.
        async with alone_in(own) if own else nullcontext():
            if kind == "image":
                where = f"private/{asked.space}/env" if asked.space else "env"
                await _in_registry(asked, where, lambda where: registry.forget_image(where, name))
            else:
                await _in_registry(asked, "source", lambda where: registry.forget_source(where, own, name))
    elif kind == "wheels":
        async with alone(site / STORES):  # a build may be copying it
            await asyncio.to_thread(stores.forget, folder, kind, name, asked.space)
    else:
        await asyncio.to_thread(stores.forget, folder, kind, name, asked.space)
    return Known("")


async def _clear(asked: argparse.Namespace, tell: Tell) -> Rooms:
    from builders.collect import registry, stores  # noqa: PLC0415  # as above
    from builders.oci import record  # noqa: PLC0415
    from builders.oci.table import Table  # noqa: PLC0415

    own, folder = own_registry(), folder_of_stores()
    if asked.place == "stores":
        await clear_stores(Workshop(folder, dict(asked.mark)), tell)
        return Rooms({"stores": await asyncio.to_thread(stores.room, folder)})
    if own is not None:
        with _all_images(asked, own) as images:
            await clear_registry(own, images, tell)
            for _, each in await asyncio.to_thread(lambda: list(all_stores(folder))):
                with closing(await asyncio.to_thread(Table, record.table_of(each))) as table:
                    await asyncio.to_thread(registry.forget_places, table, images[0].registry, own)
    return Rooms({"registry": await asyncio.to_thread(registry.room, own)})


@contextmanager
def _all_images(asked: argparse.Namespace, own: Own | None) -> Iterator[list[Repository]]:
    """Everybody's first, then those of private repositories' namespaces. Blocks."""
    from builders.collect import registry  # noqa: PLC0415  # as above

    prefix = asked.registry.partition("/")[2]
    names = ["env", *(f"private/{space}/env" for space in registry.spaces(own, prefix))]
    with ExitStack() as stack:
        yield [stack.enter_context(closing(_repository(asked, name))) for name in names]


async def _in_registry(asked: argparse.Namespace, name: str, work: Callable[[Repository], None]) -> None:
    with closing(_repository(asked, name)) as repository:
        await asyncio.to_thread(work, repository)


def _repository(asked: argparse.Namespace, name: str) -> Repository:
    from builders.oci.access import access  # noqa: PLC0415  # as above
    from builders.oci.registry import Repository  # noqa: PLC0415  # as above

    host, _, prefix = asked.registry.partition("/")
    return Repository(access(host, os.environ), f"{prefix}/{name}".lstrip("/"))


VERBS: Mapping[str, Verb] = {"holdings": _holdings, "forget": _forget, "clear": _clear}
