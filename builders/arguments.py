"""The command line of `python -m builders`."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builders import engine
from builders.interface import Limits
from builders.oci import commands
from builders.spaces import SPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from builders.lines import Line

    Verb = Callable[[argparse.Namespace, Any], Coroutine[None, None, Line]]
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # it has no public name

LIMITS = tuple(each.name for each in fields(Limits))
ENDS = "Exit status: 0, it is done; 1, it failed, and the last thing said is why; 2, wrong use: nothing was begun."
_EXAMPLE = "registry.example.org/people/environment"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?"
_NAME = re.compile(rf"(?=localhost/|[^/]*[.:]){_HOST}(?:/{_PART})+", re.ASCII)
"""What has neither a dot nor a port before its first slash, and is not `localhost`, names no host: as everywhere."""
BASE = "localhost/repolaunch/base:*"
"""The site's base image, which everybody may build on."""


def parser(does: Mapping[str, Verb], about: str, more: Callable[[Verbs], None]) -> argparse.ArgumentParser:
    """The parser; what it parses has the verb's function as `verb`. `more` adds those of `builders/collect`."""
    whole = argparse.ArgumentParser(prog="python -m builders", description=about, epilog=ENDS)
    whole.set_defaults(time_limit=None)
    verbs = whole.add_subparsers(required=True)
    _directory_verbs(verbs)
    _image_verbs(verbs)
    commands.add(verbs)
    more(verbs)
    _add_mark(verbs.choices["clear"])
    for name, verb in verbs.choices.items():
        verb.set_defaults(verb=does[name])
        verb.epilog = ENDS
        verb.add_argument("--json", action="store_true", help="a line of JSON for each thing that is said")
        verb.add_argument("--time-limit", type=int, default=None, help="seconds")
    return whole


def _directory_verbs(verbs: Verbs) -> None:
    detect = verbs.add_parser("detect", help="say what a directory declares")
    read = verbs.add_parser("read", help="the same, or that it has to be evaluated first, which takes minutes")
    prints = verbs.add_parser("fingerprint", help="say what detect depends on besides the directory")
    build = verbs.add_parser("build", help="build a directory's image")
    verify = verbs.add_parser("verify", help="build an image again in an empty store, and compare")
    for verb in (detect, read, prints, build, verify):
        verb.add_argument("--platform", default=engine.this_platform())
    for verb in (detect, read, build):
        _add_space(verb)
    for verb in (detect, read, build, verify):
        verb.add_argument("directory", type=_directory)
        _add_limits(verb)
        _add_mark(verb)
    verify.add_argument("image", help="host[:port]/repository@digest")
    build.add_argument("--key", default="", help="the key that detect gave; the build is refused if it is another now")
    build.add_argument("--name", default="", help="the image's name in the engine, with a tag")
    pushed = "push it there too, under its key"
    build.add_argument("--push", type=_repository, default=None, metavar="HOST[:PORT]/REPOSITORY", help=pushed)
    build.add_argument("--afresh", action="store_true", help="use nothing that an earlier build has left")
    build.add_argument("--date", type=int, default=0, help="SOURCE_DATE_EPOCH")
    build.add_argument("--local-images", default=BASE, help="patterns of local images to build on, with commas")
    build.add_argument("--label", type=_pair, action="append", default=[], metavar="K=V", help="of the image")


def _image_verbs(verbs: Verbs) -> None:
    keep = verbs.add_parser("keep", help="copy what images were assembled from into the site's cache")
    _add_limits(keep)
    _add_mark(keep)
    inspect = verbs.add_parser("inspect", help="look at an image; a `name@digest` is pulled if the engine lacks it")
    inspect.add_argument("--checkout", type=_directory, default=None)
    inspect.add_argument("--commit", default="")
    inspect.add_argument("--contents", type=_directory, default=None, help="folder for what the image carries")
    _add_mark(inspect)
    push = verbs.add_parser("push", help="copy an image to a registry")
    bring = verbs.add_parser("bring", help="give the build engine an image that the sessions' engine has")
    for verb in (inspect, push, bring):
        verb.add_argument("image", help="the engine's image id; for `bring` its name")
    push.add_argument("target", help="host[:port]/repository:tag")
    _add_space(push)


def _add_limits(verb: argparse.ArgumentParser) -> None:
    held = "; what repo2docker builds is held to it by the build engine only"
    verb.add_argument("--memory", type=int, help=f"bytes{held}")
    verb.add_argument("--cpus", type=float, help=f"cores{held}")
    verb.add_argument("--processes", type=int, help=f"processes and threads{held}")
    verb.add_argument("--disk", type=int, help=f"bytes that are written{held}")
    verb.add_argument("--log", type=int, help="bytes of output")


def _add_space(verb: argparse.ArgumentParser) -> None:
    about = "namespace of a private repository: its keys and its stores are its own"
    verb.add_argument("--space", type=namespace, default="", help=about)


def _add_mark(verb: argparse.ArgumentParser) -> None:
    about = "a label of the containers that are made"
    verb.add_argument("--mark", type=_pair, action="append", default=[], metavar="K=V", help=about)


def _directory(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError("it is not a directory")
    return path


def _repository(text: str) -> str:
    """As the OCI distribution specification has names. Wrong ones are told before anything is built."""
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST[:PORT]/REPOSITORY, for instance {_EXAMPLE}")
    return text


def namespace(text: str) -> str:
    """A private repository's namespace, or `""`."""
    if text and not SPACE.fullmatch(text):
        raise argparse.ArgumentTypeError("it is not 32 hexadecimal digits")
    return text


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("it is not NAME=VALUE")
    return name, value
