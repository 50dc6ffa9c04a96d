"""Which volumes of an image a session can have."""

from __future__ import annotations

import pytest

from builders.errors import VolumeUnfit
from builders.volumes import MOST, declared


def image(*paths: str) -> dict[str, object]:
    """What the engine says of an image with these volumes."""
    return {"Config": {"Volumes": {path: {} for path in paths} or None}}


def test_paths_are_normal_and_sorted() -> None:
    assert declared(image("/var/lib/data/", "/opt/any", "//opt/any", "/a/../b", "/workspaces")) == (
        *("/b", "/opt/any", "/var/lib/data", "/workspaces"),
    )
    assert declared(image()) == declared({}) == declared({"Config": None}) == ()


@pytest.mark.parametrize(
    "path, reason",
    [
        *((path, "workspace") for path in ("/workspace", "/workspace/", "/workspace/work", "/x/../workspace/home/.a")),
        *((path, "workspace") for path in ("/", "//", "/..", "//workspace/work")),
        *((path, "plain") for path in ("data", "", "/a b", "/a:b", "/a,b", "/a\nb", "/\x1b[31m", "/\u202e", "/é")),
        ("/" + "a" * 300, "plain"),
        *((path, "system") for path in ("/etc", "/usr/", "/proc/x", "/dev/shm", "/sys", "/bin")),  # noqa: S108
    ],
)
def test_what_cannot_be_an_empty_folder_is_refused(path: str, reason: str) -> None:
    with pytest.raises(VolumeUnfit) as caught:
        declared(image("/data", path))
    assert reason in caught.value.reason
    assert caught.value.volume.isprintable()
    assert len(caught.value.volume) <= 200


def test_so_many_are_enough() -> None:
    assert len(declared(image(*(f"/{n}" for n in range(MOST))))) == MOST
    with pytest.raises(VolumeUnfit, match="is one of 33, and a session can have 32"):
        declared(image(*(f"/{n}" for n in range(MOST + 1))))
