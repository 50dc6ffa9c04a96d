"""What environments from lock files run on: the Python and the C library of deploy/images/python (Debian trixie)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from packaging import tags as of_packaging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.markers import Environment
    from packaging.tags import Tag

IMAGE = "localhost/repolaunch/python:1"
PYTHON = "3.13"
_FULL = "3.13.5"
_VERSION = (3, 13)
_GLIBC = (2, 41)
_OLDEST = 5
_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""PEP 600: what glibc 2.X was called before; the last two for x86_64 only."""


def environment(platform: str) -> Environment:
    """What markers ask for."""
    return {
        "implementation_name": "cpython",
        "implementation_version": _FULL,
        "os_name": "posix",
        "platform_machine": _machine(platform),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": _FULL,
        "python_version": PYTHON,
        "sys_platform": "linux",
    }


@cache
def tags(platform: str) -> tuple[Tag, ...]:
    """The wheels that fit, the best first."""
    names = list(_platforms(_machine(platform)))
    cpython = of_packaging.cpython_tags(_VERSION, ("cp313",), names)
    return (*cpython, *of_packaging.compatible_tags(_VERSION, "cp313", names))


def _machine(platform: str) -> str:
    return _MACHINES.get(platform, platform.rpartition("/")[2])


def _platforms(machine: str) -> Iterator[str]:
    major, newest = _GLIBC
    oldest = _OLDEST if machine == "x86_64" else 17
    for minor in range(newest, oldest - 1, -1):
        yield f"manylinux_{major}_{minor}_{machine}"
        if minor in _OLD_NAMES:
            yield f"{_OLD_NAMES[minor]}_{machine}"
    yield f"linux_{machine}"
