"""repo2docker as a library: what it would hand to Docker, captured instead of built.

It changes the process's directory, calls `sys.exit`, prints and logs; all of that ends here. It is given a local
directory and knows no other source, so it fetches nothing (some build packs ask a public index for versions of R or
Julia; that is theirs).
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tarfile
import warnings
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from builders.lines import Log
from builders.text import clean

with warnings.catch_warnings():
    # It imports a library by a name that has moved.
    warnings.simplefilter("ignore", DeprecationWarning)
    from repo2docker import contentproviders
    from repo2docker.app import Repo2Docker
    from repo2docker.buildpacks.base import BaseImage as BaseImage  # noqa: PLC0414  # for locked/buildpack.py
    from repo2docker.engine import ContainerEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

USER_ID = 1000
USER_NAME = "jovyan"
LIBRARY_VERSION = version("jupyter-repo2docker")


class Unreadable(Exception):
    """repo2docker refused the directory; the arguments are its sentence."""


@dataclass(frozen=True, slots=True)
class Context:
    """What `docker buildx build` is to be given."""

    source: Path
    """A directory, or a tar archive with its Dockerfile in it."""
    dockerfile: Path | None
    arguments: Mapping[str, str]
    scratch: Path
    """An empty folder, or one with what we wrote; gone after the build."""
    secrets: Mapping[str, Path] = field(default_factory=dict)
    """Files that steps may mount and no image has."""
    network: str = ""
    """`none`: the steps have none."""
    bases: tuple[str, ...] = ()
    """Our own images that it starts from."""


def render(directory: Path, scratch: Path, *, platform: str, tell: Callable[[Log], None]) -> Context:
    """Read `directory`, write what the build needs and the directory does not have into `scratch` (an empty folder).

    Blocks; changes the process's directory meanwhile. Raises Unreadable.
    """
    engine: _Captured | None = None

    class Application(Repo2Docker):  # type: ignore[misc]  # repo2docker has no types
        def get_engine(self) -> _Captured:
            nonlocal engine
            engine = engine or _Captured(parent=self)
            return engine

        def exit(self, exit_status: int = 0) -> None:
            raise SystemExit(exit_status)

    app = Application(
        repo=str(directory),
        content_providers=[contentproviders.Local],
        output_image_spec="captured",
        user_id=USER_ID,
        user_name=USER_NAME,
        platform=platform,
        run=False,
        push=False,
    )
    with _contained(directory, tell) as log:
        app.log = log
        try:
            app.build()
        except (Exception, SystemExit) as error:
            sentence = str(error).replace(str(directory), ".") if str(error) != "1" else "it gave up"
            raise Unreadable(sentence) from error
    if engine is None or engine.asked is None:
        raise Unreadable("it found nothing to build")
    return _context(engine.asked, directory, scratch)


class _Captured(ContainerEngine):  # type: ignore[misc]  # repo2docker has no types
    """An engine that remembers what it was asked to build."""

    string_output = True
    asked: dict[str, Any] | None = None

    def inspect_image(self, image: str) -> None:  # noqa: ARG002  # there is never one: always render
        return None

    def build(self, **asked: Any) -> Iterator[str]:
        self.asked = asked
        return iter(())


def _context(asked: Mapping[str, Any], directory: Path, scratch: Path) -> Context:
    """An author's own Dockerfile is built in the directory, a generated one from an archive that holds both."""
    arguments = dict(asked["buildargs"])
    if asked.get("fileobj") is None:
        return Context(directory, directory / asked["dockerfile"], arguments, scratch)
    archive = scratch / "context.tar"
    with tarfile.open(fileobj=asked["fileobj"]) as whole, tarfile.open(archive, "w") as kept:
        for member in whole:
            if ".git" not in member.name.split("/"):
                kept.addfile(member, whole.extractfile(member) if member.isreg() else None)
    return Context(archive, None, arguments, scratch)


@contextlib.contextmanager
def _contained(directory: Path, tell: Callable[[Log], None]) -> Iterator[logging.Logger]:
    """Give back the directory; prints and log records become lines."""
    log = logging.Logger("repo2docker", logging.INFO)  # noqa: LOG001  # of one build, not of the process
    log.addHandler(_Told(directory, tell))
    printed = io.StringIO()
    before = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield log
    finally:
        os.fchdir(before)
        os.close(before)
        for line in printed.getvalue().splitlines():
            tell(Log(clean(line.replace(str(directory), "."))))


class _Told(logging.Handler):
    def __init__(self, directory: Path, tell: Callable[[Log], None]) -> None:
        super().__init__()
        self._directory = str(directory)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        for line in record.getMessage().replace(self._directory, ".").splitlines():
            if text := clean(line):
                self._tell(Log(text))
