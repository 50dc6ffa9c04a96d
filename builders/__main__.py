"""A builder process: one verb, JSON lines on stdout (builders/interface.py), everything else on stderr.

It stops, with all that it started, on SIGTERM and SIGINT, and when its stdin (where that is a pipe: a leash held by
whoever started it) ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import os
import signal
import stat
import sys
import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from builders import engine
from builders.catalogue import BUILDERS
from builders.detect import find, fingerprint
from builders.errors import BuildBroken, BuilderError, BuildTimeout, DiskFull, Stopped
from builders.interface import (
    STORES,
    Built,
    Error,
    Facts,
    Fingerprint,
    Found,
    Known,
    Limits,
    Line,
    Log,
    Order,
    Pushed,
    Step,
    Workshop,
    format_line,
)
from builders.oci import commands

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from builders.interface import Builder


FULL = (errno.ENOSPC, errno.EDQUOT)
OUR_DISK = "data folder"
"""Where a builder process keeps its own files, as people are told of it."""


class Speaker:
    """Writes lines to the real stdout; what else writes to stdout, in this process or below it, goes to stderr."""

    def __init__(self) -> None:
        """Take stdout over."""
        self.step = ""
        self._lock = threading.Lock()
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
        os.dup2(2, 1)

    def __call__(self, line: Line) -> None:
        """Write one line. If nobody reads any more, nobody wants what we do: end."""
        if isinstance(line, Step):
            self.step = line.text
        try:
            with self._lock:
                self._out.write(format_line(line) + "\n")
                self._out.flush()
        except OSError:
            os.kill(os.getpid(), signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and end the process."""
    asked = _parser().parse_args(arguments)
    speaker = Speaker()
    status = asyncio.run(_stoppable(_final(asked, speaker), speaker))
    # Not a return: a thread that still reads a large tree would keep the process alive.
    sys.stderr.flush()
    os._exit(status)


async def _stoppable(verb: Coroutine[None, None, Line], speaker: Speaker) -> int:
    """Run the verb until it ends or somebody wants us to stop; write its last line; the exit status."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(verb)
    by = ""

    def stop(who: str) -> None:
        nonlocal by
        by = by or who
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, "signal")
    if stat.S_ISFIFO(os.fstat(0).st_mode) or stat.S_ISSOCK(os.fstat(0).st_mode):
        threading.Thread(target=_leash, args=(loop, stop), daemon=True).start()
    try:
        line = await task
    except asyncio.CancelledError:
        line = _error(Stopped(by))
    speaker(line)
    return 1 if isinstance(line, Error) else 0


def _leash(loop: asyncio.AbstractEventLoop, stop: object) -> None:
    """Wait for the end of stdin in a thread of its own."""
    while os.read(0, 4096):
        pass
    with contextlib.suppress(RuntimeError):  # the loop has ended first
        loop.call_soon_threadsafe(stop, "parent")  # type: ignore[arg-type]


async def _final(asked: argparse.Namespace, speaker: Speaker) -> Line:
    """The verb's last line, whatever happens in it."""
    limit: int | None = asked.time_limit
    try:
        async with asyncio.timeout(limit):
            verb: Coroutine[None, None, Line] = asked.verb(asked, speaker)
            return await verb
    except TimeoutError:
        return _error(BuildTimeout(limit or 0, speaker.step))
    except BuilderError as error:
        return _error(error)
    except OSError as error:
        if error.errno in FULL:  # the build's context, the files that an image carries
            return _error(DiskFull(OUR_DISK))
        return _broken(error)
    except Exception as error:  # noqa: BLE001  # the last line must be one that a program understands
        return _broken(error)


def _broken(error: Exception) -> Error:
    sys.excepthook(type(error), error, error.__traceback__)
    return _error(BuildBroken(f"{type(error).__name__} in the builder"))


def _error(error: BuilderError) -> Error:
    return Error(type(error).__name__, dict(vars(error)))


# --------------------------------------------------------------------------- verbs
async def _detect(asked: argparse.Namespace, speaker: Speaker) -> Found:
    return (await find(asked.directory, BUILDERS, asked.platform, _workshop(asked), speaker))[0]


async def _fingerprint(asked: argparse.Namespace, speaker: Speaker) -> Fingerprint:  # noqa: ARG001  # all have this form
    return Fingerprint(await fingerprint(BUILDERS, asked.platform))


async def _build(asked: argparse.Namespace, speaker: Speaker) -> Built:
    workshop = _workshop(asked)
    found, inputs = await find(asked.directory, BUILDERS, asked.platform, workshop, speaker)
    if asked.key and found.key != asked.key:
        raise BuildBroken("the directory is not the one that was looked at")
    order = Order(
        directory=asked.directory,
        found=found,
        inputs=inputs,
        name=asked.name,
        labels=dict(asked.label),
        date=asked.date,
        local_images=tuple(filter(None, asked.local_images.split(","))),
        workshop=workshop,
    )
    return Built(await _named(found.builder).build(order, speaker))


def _workshop(asked: argparse.Namespace) -> Workshop:
    limits = Limits(**{name: value for name in LIMITS if (value := getattr(asked, name)) is not None})
    return Workshop(_stores(), dict(asked.mark), limits)


def _stores() -> Path:
    """The folder of the stores: as we were told, else one of whoever runs this."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(STORES) or Path(cache, "repolaunch", "stores"))


async def _inspect(asked: argparse.Namespace, speaker: Speaker) -> Facts:
    # Only this verb and those below need the Docker SDK.
    from builders import content  # noqa: PLC0415

    files = await content.tracked(asked.checkout, asked.commit) if asked.checkout and asked.commit else {}
    return await asyncio.to_thread(_look, asked, files, speaker)


def _look(asked: argparse.Namespace, files: dict[str, str], speaker: Speaker) -> Facts:
    from builders import content, facts, volumes  # noqa: PLC0415  # as above
    from builders.container import has, opened  # noqa: PLC0415
    from builders.push import pull  # noqa: PLC0415

    with engine.client() as client:
        if not has(client, asked.image):
            if "@" not in asked.image:
                raise BuildBroken(f"the engine no longer has the image {asked.image[:19]}")
            pull(asked.image, speaker)
        # Before a container is made: for some volumes the engine cannot make one.
        volumes.declared(client.api.inspect_image(asked.image))  # type: ignore[no-untyped-call]
        with opened(client, asked.image, dict(asked.mark)) as image:
            found = facts.look(image)
            made_of = (image.config.get("Labels") or {}).get(REVISION_LABEL)
            if made_of != asked.commit or not asked.contents or not content.save(image, found, files, asked.contents):
                return found
    speaker(Log(f"The image carries the repository's files and more in {found.repo_dir}"))
    return replace(found, content=found.repo_dir)


async def _bring(asked: argparse.Namespace, speaker: Speaker) -> Known:
    from builders import transfer  # noqa: PLC0415  # as above

    await asyncio.to_thread(transfer.bring, (asked.image,), speaker)
    return Known("")


async def _push(asked: argparse.Namespace, speaker: Speaker) -> Pushed:
    from builders.push import push  # noqa: PLC0415  # as above

    return Pushed(await asyncio.to_thread(push, asked.image, asked.target, speaker))


def _named(name: str) -> Builder:
    return next(builder for builder in BUILDERS if builder.name == name)


LIMITS = tuple(each.name for each in fields(Limits))
BASE = "localhost/repolaunch/base:*"
"""The site's base image, which everybody may build on."""
REVISION_LABEL = "org.opencontainers.image.revision"
"""The commit that an image was built from; whoever orders a build gives it."""


# --------------------------------------------------------------------------- arguments
def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m builders", description=__doc__)
    parser.set_defaults(time_limit=None)
    verbs = parser.add_subparsers(required=True)

    detect = verbs.add_parser("detect", help="say what a directory declares")
    detect.set_defaults(verb=_detect)
    prints = verbs.add_parser("fingerprint", help="say what detect depends on besides the directory")
    prints.set_defaults(verb=_fingerprint)
    build = verbs.add_parser("build", help="build a directory's image")
    build.set_defaults(verb=_build)
    for verb in (detect, build):
        verb.add_argument("directory", type=_directory)
    for verb in (detect, prints, build):
        verb.add_argument("--platform", default=engine.this_platform())
    for verb in (detect, build):
        verb.add_argument(
            "--memory",
            type=int,
            help="bytes; for builds with repo2docker this and those below but --log need the build engine",
        )
        verb.add_argument("--cpus", type=float, help="cores")
        verb.add_argument("--processes", type=int, help="processes and threads")
        verb.add_argument("--disk", type=int, help="bytes that the steps write")
        verb.add_argument("--log", type=int, help="bytes of output")
    build.add_argument("--key", default="", help="the key that detect gave; the build is refused if it is another now")
    build.add_argument("--name", required=True, help="the image's name in the engine, with a tag")
    build.add_argument("--date", type=int, default=0, help="SOURCE_DATE_EPOCH")
    build.add_argument("--local-images", default=BASE, help="patterns of local images to build on, with commas")

    inspect = verbs.add_parser("inspect", help="look at an image; a `name@digest` is pulled if the engine lacks it")
    inspect.set_defaults(verb=_inspect)
    inspect.add_argument("--checkout", type=_directory, default=None)
    inspect.add_argument("--commit", default="")
    inspect.add_argument("--contents", type=_directory, default=None, help="folder for what the image carries")

    push = verbs.add_parser("push", help="copy an image to a registry")
    push.set_defaults(verb=_push)
    bring = verbs.add_parser("bring", help="give the build engine an image that the sessions' engine has")
    bring.set_defaults(verb=_bring)
    for verb in (inspect, push, bring):
        verb.add_argument("image", help="the engine's image id; for `bring` its name")
    push.add_argument("target", help="host[:port]/repository:tag")
    build.add_argument("--label", type=_pair, action="append", default=[], metavar="K=V", help="of the image")
    for verb in (detect, build, inspect):
        mark = "a label of the containers that are made"
        verb.add_argument("--mark", type=_pair, action="append", default=[], metavar="K=V", help=mark)
    for verb in (detect, build, inspect, push, bring, *commands.add(verbs)):
        verb.add_argument("--time-limit", type=int, default=None, help="seconds")
    return parser


def _directory(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError("it is not a directory")
    return path


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("it is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    main()
