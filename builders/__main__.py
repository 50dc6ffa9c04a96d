"""A builder process: one verb. It says what it does in words or, with `--json`, in lines for programs (lines.py).

It stops, with all that it started, on SIGTERM and SIGINT, and when its stdin (where that is a pipe: a leash held by
whoever started it) ends.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import secrets
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from builders import engine, leftovers, site_cache
from builders.arguments import LIMITS, parser
from builders.catalogue import BUILDERS, KEEPERS
from builders.collect import commands as collecting
from builders.detect import find, find_by, fingerprint, look
from builders.ending import Process, told
from builders.errors import BuildBroken, BuilderError, BuildOutOfMemory, BuildTimeout, DiskFull
from builders.interface import Limits, Order, Workshop
from builders.keep import keep
from builders.key import tree_id
from builders.labels import TREE_LABEL
from builders.lines import (
    READING,
    Built,
    Error,
    Facts,
    Fingerprint,
    Found,
    Known,
    Line,
    Log,
    Pushed,
    Unevaluated,
    Verified,
)
from builders.oci import commands
from builders.spaces import opened, stores_of
from builders.speaker import Speaker
from builders.turns import building, stores, uploading
from builders.variables import VIEWS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Coroutine, Mapping, Sequence
    from pathlib import Path

    from builders.arguments import Verb
    from builders.interface import Builder
    from builders.lines import Tell


FULL = (errno.ENOSPC, errno.EDQUOT)
OUR_DISK = "data folder"
"""Where a builder process keeps its own files, as people are told of it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and end the process."""
    asked = parser(VERBS, __doc__ or "", collecting.add).parse_args(arguments)
    process = (leftovers.PROCESS, secrets.token_hex(8))
    asked.mark = [*getattr(asked, "mark", ()), process]
    speaker = Speaker(as_json=asked.json)
    sweep = partial(leftovers.sweep, "=".join(process), getattr(asked, "contents", None))
    Process(speaker, sweep, asked.time_limit).run(_final(asked, speaker))


async def _final(asked: argparse.Namespace, speaker: Speaker) -> Line:
    """The verb's last line, whatever happens in it."""
    limit: int | None = asked.time_limit
    try:
        async with asyncio.timeout(limit):
            verb: Coroutine[None, None, Line] = asked.verb(asked, speaker)
            return await verb
    except TimeoutError:
        return told(BuildTimeout(limit or 0, speaker.step))
    except BuilderError as error:
        return told(error)
    except OSError as error:
        if error.errno in FULL:  # the build's context, the files that an image carries
            return told(DiskFull(OUR_DISK))
        return _broken(error, speaker.step)
    except Exception as error:  # noqa: BLE001  # the last line must be one that a program understands
        return _broken(error, speaker.step)


def _broken(error: Exception, step: str) -> Error:
    most, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if isinstance(error, MemoryError) and most != resource.RLIM_INFINITY:
        return told(BuildOutOfMemory(most, step))
    sys.excepthook(type(error), error, error.__traceback__)
    return told(BuildBroken(f"{type(error).__name__} in the builder"))


# --------------------------------------------------------------------------- verbs
async def _detect(asked: argparse.Namespace, speaker: Speaker) -> Found:
    return (await find(asked.directory, BUILDERS, asked.platform, _workshop(asked), speaker))[0]


async def _read(asked: argparse.Namespace, speaker: Speaker) -> Found | Unevaluated:
    speaker.step = READING
    looked = look(asked.directory, BUILDERS)
    if looked[0].evaluates:
        return Unevaluated(looked[0].name)
    return (await find_by(looked, asked.directory, asked.platform, _workshop(asked), speaker))[0]


async def _fingerprint(asked: argparse.Namespace, speaker: Speaker) -> Fingerprint:  # noqa: ARG001  # all have this form
    return Fingerprint(await fingerprint(BUILDERS, asked.platform))


async def _build(asked: argparse.Namespace, speaker: Speaker) -> Built | Pushed:
    workshop = _workshop(asked)
    found, inputs = await find(asked.directory, BUILDERS, asked.platform, workshop, speaker)
    if asked.key and found.key != asked.key:
        raise BuildBroken("the directory is not the one that was looked at")
    order = Order(
        directory=asked.directory,
        found=found,
        inputs=inputs,
        name=asked.name or f"repolaunch-env:{found.key}",
        labels=dict(asked.label),
        date=asked.date,
        local_images=tuple(filter(None, asked.local_images.split(","))),
        workshop=workshop,
        afresh=asked.afresh,
    )
    engine_id = await _named(found.builder).build(order, speaker)
    from builders.oci import provenance  # noqa: PLC0415  # what it needs takes long to import

    about = provenance.about(order)
    await asyncio.to_thread(provenance.save, workshop.stores, engine_id, about)
    if not asked.push:
        return Built(engine_id)
    speaker(Built(engine_id))
    return await _push_as(workshop.stores, engine_id, f"{asked.push}:{found.key}", speaker)


def _workshop(asked: argparse.Namespace) -> Workshop:
    limits = Limits(**{name: value for name in LIMITS if (value := getattr(asked, name)) is not None})
    site, space = stores(), getattr(asked, "space", "")
    return Workshop(opened(site, space), dict(asked.mark), limits, views=has_views(), space=space, site=site)


def has_views() -> bool:
    """Whether sessions are given views of the stores."""
    return os.environ.get(VIEWS) == "1"


async def _inspect(asked: argparse.Namespace, speaker: Speaker) -> Facts:
    # Only this verb and those below need the Docker SDK.
    from builders import content  # noqa: PLC0415

    if asked.checkout is None or not asked.commit:
        return await asyncio.to_thread(_look, asked, "", {}, speaker)
    tree, files = await tree_id(asked.checkout), await content.tracked(asked.checkout, asked.commit)
    return await asyncio.to_thread(_look, asked, tree, files, speaker)


def _look(asked: argparse.Namespace, tree: str, files: dict[str, str], speaker: Speaker) -> Facts:
    from builders import content, facts, volumes  # noqa: PLC0415  # as above
    from builders.container import has, opened  # noqa: PLC0415
    from builders.oci import view  # noqa: PLC0415
    from builders.push import pull  # noqa: PLC0415

    with engine.client() as client:
        seen = view.anywhere(stores(), asked.image) if has_views() else None
        if seen is not None and not has(client, seen.engine_id):
            seen = None
        name = seen.engine_id if seen else asked.image
        if not has(client, name):
            if "@" not in name:
                raise BuildBroken(f"the engine no longer has the image {name[:19]}")
            pull(name, speaker)
        # Before a container is made: for some volumes the engine cannot make one.
        volumes.declared(client.api.inspect_image(name))  # type: ignore[no-untyped-call]
        with opened(client, name, dict(asked.mark), seen.mounts if seen else None) as image:
            found = facts.look(image)
            made_of = (image.config.get("Labels") or {}).get(TREE_LABEL, "")
            is_of = tree and made_of == tree
            if not is_of or not asked.contents or not content.save(image, found, files, asked.contents):
                return found
    speaker(Log(f"The image carries the repository's files and more in {found.repo_dir}"))
    return replace(found, content=found.repo_dir)


async def _bring(asked: argparse.Namespace, speaker: Speaker) -> Known:
    from builders import transfer  # noqa: PLC0415  # as above

    await asyncio.to_thread(transfer.bring, (asked.image,), speaker)
    return Known("")


async def _push(asked: argparse.Namespace, speaker: Speaker) -> Pushed:
    return await _push_as(stores_of(stores(), asked.space), asked.image, asked.target, speaker)


async def _push_as(of: Path, image: str, target: str, speaker: Speaker) -> Pushed:
    async with building(stores(), speaker), uploading(speaker):
        return Pushed(await asyncio.to_thread(_pushed, of, image, target, speaker))


def _pushed(of: Path, image: str, target: str, tell: Tell) -> str:
    """From the store, where it was assembled from one: its layers are then what they are everywhere."""
    from builders.oci import view  # noqa: PLC0415  # as above
    from builders.oci.push import publish, push_recorded  # noqa: PLC0415
    from builders.push import note, push  # noqa: PLC0415

    digest = push_recorded(image, target, of, tell)
    if digest is None:
        digest = push(image, target, tell)
    elif view.find(of, image):
        view.call(of, image, digest)  # the engine has no layer of it, and need not
    else:
        note(image, target, digest, tell)
    publish(of, image, target, digest)
    return digest


async def _keep(asked: argparse.Namespace, speaker: Speaker) -> Known:
    place = site_cache.chosen()
    if place is not None:
        await keep(_workshop(asked), KEEPERS, place, speaker)
    return Known("")


async def _verify(asked: argparse.Namespace, speaker: Speaker) -> Verified:
    from builders.verify import verify  # noqa: PLC0415  # as above

    return await verify(asked.directory, asked.image, asked.platform, _workshop(asked), speaker)


VERBS: Mapping[str, Verb] = {
    "detect": _detect,
    "read": _read,
    "fingerprint": _fingerprint,
    "build": _build,
    "inspect": _inspect,
    "push": _push,
    "bring": _bring,
    "verify": _verify,
    "keep": _keep,
    **commands.VERBS,
    **collecting.VERBS,
}


def _named(name: str) -> Builder:
    return next(builder for builder in BUILDERS if builder.name == name)


if __name__ == "__main__":
    main()
