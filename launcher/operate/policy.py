"""The policy file, as the command line sees it."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from tomlkit.exceptions import TOMLKitError

from launcher.errors import PolicyBroken
from launcher.gate.file import read_text
from launcher.gate.reading import parse
from launcher.operate.installation import POLICY, InstallationError, policy_path
from launcher.operate.policy_text import PolicyText
from launcher.repos.provider import sites_of
from launcher.repos.providers import PROVIDERS, parse_url
from launcher.repos.spellings import plain_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from launcher.operate.installation import Installation
    from launcher.settings import Settings

Result = TypeVar("Result")
PATIENCE_S = 30.0
"""Seconds to wait for somebody else's change, which takes some milliseconds."""
LOOK_S = 0.02


def problem(installation: Installation, settings: Settings) -> tuple[str, str]:
    """What was seen of the file, and what to do; `""`: nothing. Blocks."""
    path = policy_path(installation.folder, settings)
    try:
        text = read_text(path)
        if text is not None:
            parse(text, tuple(PROVIDERS))
    except PolicyBroken as error:
        where = f"{path}, {error.place}" if error.place else str(path)
        return f"{where}: {error.reason}", "Mend it: it is read again at once. Until then the last good version holds."
    return (str(path) if text is not None else f"none at {path}: the defaults hold"), ""


def change(installation: Installation, settings: Settings, edit: Callable[[PolicyText], Result]) -> Result:
    """Change the file by `edit`, which may be called again. Blocks.

    Who else changes it by this waits, and nobody's change is lost; nobody sees it half written, whenever this process
    is killed; nothing wrong is written. Raises InstallationError, and what `edit` raises: nothing is changed then.
    """
    path = policy_path(installation.folder, settings).resolve()
    try:
        with _alone(installation.path("run") / f"{POLICY}.lock"):
            while True:
                before = _read(path)
                text = PolicyText(before)
                result = edit(text)
                if str(text) == before or _written(path, before, str(text)):
                    return result
    except TOMLKitError as error:
        raise InstallationError(f"{path} has to be changed by hand ({error}). Nothing was changed.") from None
    except OSError as error:
        raise InstallationError(f"{path} cannot be written: {error.strerror}.") from None


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Nobody else is here meanwhile. A process that is killed lets others in."""
    with lock.open("a") as file:
        for _ in range(int(PATIENCE_S / LOOK_S)):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(LOOK_S)
                continue
            yield
            return
    raise InstallationError(
        f"Somebody else has been changing the policy file for {PATIENCE_S:.0f} seconds. Nothing was changed; try again."
    )


def _read(path: Path) -> str:
    """The file's text, which is right; `""`: there is no file."""
    try:
        text = read_text(path) or ""
        parse(text, tuple(PROVIDERS))
    except PolicyBroken as error:
        where = f"{path}, {error.place}" if error.place else str(path)
        raise InstallationError(f"{where}: {error.reason}. Mend it first; nothing was changed.") from None
    return text


def _written(path: Path, before: str, text: str) -> bool:
    """Put the text in place of the old one, with its owner and its mode; the launcher's own user reads it.

    False: what is there is not `before` any more, as somebody saved it by hand.
    """
    try:
        parse(text, tuple(PROVIDERS))
    except PolicyBroken as error:
        raise InstallationError(f"{error.reason}. Nothing was changed.") from None
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)  # of somebody who was killed
    try:
        _write(new, text, path)
        if _read(path) != before:
            return False
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    _keep(path.parent)
    return True


def _write(new: Path, text: str, like: Path) -> None:
    with new.open("x", encoding="utf-8", newline="") as file:
        try:
            old = like.stat()
            os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
            os.fchown(file.fileno(), old.st_uid, old.st_gid)
        except FileNotFoundError:
            os.fchmod(file.fileno(), 0o644)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _keep(folder: Path) -> None:
    """What was renamed there outlives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def pattern_of(link: str, ref: str, settings: Settings) -> tuple[str, str]:
    """The provider of what a link leads to, and a pattern of exactly that repository. Raises the errors of links."""
    found = parse_url(link, ref, sites_of(settings))
    if PROVIDERS[found.provider].is_record:
        return found.provider, f"^{re.escape(found.spec)}$"
    repository = found.spec.removesuffix("/" + quote(found.ref or "HEAD", safe="/"))
    if found.provider == "gist":
        return found.provider, f"^[^/]+/{re.escape(repository.rpartition('/')[2])}/"
    if found.provider == "git":
        repository = quote(plain_address(found.url), safe="")
    return found.provider, f"^{re.escape(repository)}/"
