"""The wheels that were fetched before, each in a folder of the request that it answers.

Only this process writes there, and only what has one of the hashes that were asked for. No build sees the folder: it
is given copies, and each copy is hashed again. So nothing that a build does, with whatever tool, changes what another
one installs. What cannot be read, or was changed, is not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tarfile
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builders.repo2docker.locked.plan import Wheel

_CHUNK = 1024 * 1024


class Wheels:
    """The folder, for one platform."""

    def __init__(self, stores: Path, platform: str) -> None:
        """Below `stores`; it need not be there."""
        self._folder, self._platform = stores / "wheels", platform

    def copy(self, wheel: Wheel, folder: Path) -> Path | None:
        """Copy the wheel's file; None if there is none. Blocks."""
        for kept in sorted(self._of(wheel).glob("*.whl")):
            with contextlib.suppress(OSError), kept.open("rb") as file:
                copied = folder / kept.name
                with copied.open("wb") as out:
                    digest = _copied(file, out)
                if digest in wheel.hashes:
                    with contextlib.suppress(OSError):
                        os.utime(kept.parent)  # those that are wanted stay longest
                    return copied
                copied.unlink()
        return None

    def keep(self, archive: Path, wheels: Sequence[Wheel]) -> None:
        """Keep of an archive those files that are one of the wheels. Blocks; raises OSError, tarfile.TarError."""
        wanted = {digest: wheel for wheel in wheels for digest in wheel.hashes}
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self._folder) as new, tarfile.open(archive) as members:
            for member in members:
                file = members.extractfile(member) if member.isreg() else None
                name = os.path.basename(member.name)  # noqa: PTH119  # a stranger's: text only
                if file is None or not name.endswith(".whl"):
                    continue
                path = Path(new, "whl")
                with path.open("wb") as out:
                    digest = _copied(file, out)
                if digest in wanted and _is_named(name, wanted[digest]):
                    self._put(path, name, wanted[digest])

    def _put(self, path: Path, name: str, wheel: Wheel) -> None:
        path.chmod(0o444)
        folder = self._of(wheel)
        folder.mkdir(parents=True, exist_ok=True)
        path.replace(folder / name)

    def _of(self, wheel: Wheel) -> Path:
        return self._folder / wheel.id(self._platform)


def _is_named(name: str, wheel: Wheel) -> bool:
    try:
        return parse_wheel_filename(name)[0] == wheel.name
    except InvalidWheelFilename:
        return False


def _copied(file: IO[bytes], out: IO[bytes]) -> str:
    whole = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        whole.update(chunk)
        out.write(chunk)
    return whole.hexdigest()
