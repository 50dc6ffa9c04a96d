"""A directory that declares nothing: this site's plain Python with a kernel, by a lock file of ours beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from builders.interface import Inputs
from builders.key import contents_digest
from builders.lines import LOOSE
from builders.near import near, overlooked, unread
from builders.repo2docker.locked.builder import Locked
from builders.repo2docker.locked.files import REQUIREMENTS, Lock

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).with_name("bare_lock")
NOTHING = "the repository: nothing in it says which packages it needs"
UNREAD = "{found}: it is not read, as it is neither in the root nor in binder/"
OVERLOOKED = "{found}: it is not read; put what it installs into one of the files that are"
ADVICE = (
    "requirements.in: the name of each package, one a line, and ipykernel",
    "uv pip compile --generate-hashes requirements.in -o requirements.txt",
)


def locked(platform: str) -> Locked:
    """Our lock file. The same for every such directory, so all of them share an image."""
    return Locked(FOLDER, Lock(REQUIREMENTS, (REQUIREMENTS,), ()), platform)


async def inputs(directory: Path, platform: str, looked_for: Sequence[str]) -> Inputs:
    """As Builder.inputs. Raises BaseImageMissing."""
    found = await locked(platform).inputs(contents_digest(FOLDER, (REQUIREMENTS,)))
    beside = (OVERLOOKED.format(found=name) for name in overlooked(directory))
    deeper = (find.split(" ", 2)[2] for find in unread(near(directory, looked_for)))
    loose = (NOTHING, *beside, *(UNREAD.format(found=name) for name in deeper))
    return Inputs(found.digest, LOOSE, loose, ADVICE)
