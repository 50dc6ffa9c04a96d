"""The lock of the package set: what apt and pip say becomes files, digests and needs without cycles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.closure.lock import MACHINES, Unfit, debs, marker_environment, names_in, wheels, without_cycles

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOWN = """\
Package: libc6
Version: 2.41-12+deb13u4
Depends: libgcc-s1
Recommends: libidn2-0 (>= 2.0.5~)
SHA256: aa

Package: libgcc-s1
Version: 14.2.0-19
Depends: gcc-14-base (= 14.2.0-19), libc6 (>= 2.35)
SHA256: bb

Package: bash
Version: 5.2.37-2+b10
Depends: base-files (>= 2.1.12), debianutils (>= 5.6-0.1)
Pre-Depends: libc6 (>= 2.38), libtinfo5 | libtinfo6 (>= 6)
SHA256: cc

Package: libtinfo6
Version: 6.5
Depends: libc6 (>= 2.41)
SHA256: dd
"""
ADDRESSES = """\
'http://debian.example/g/glibc/libc6_2.41-12%2bdeb13u4_amd64.deb' libc6_2.41-12+deb13u4_amd64.deb 2848 SHA256:aa
'http://debian.example/g/gcc-14/libgcc-s1_14.2.0-19_amd64.deb' libgcc-s1_14.2.0-19_amd64.deb 72 SHA256:bb
'http://debian.example/b/bash/bash_5.2.37-2%2bb10_amd64.deb' bash_5.2.37-2+b10_amd64.deb 1500 SHA256:cc
'http://debian.example/n/ncurses/libtinfo6_6.5_amd64.deb' libtinfo6_6.5_amd64.deb 348 SHA256:dd
"""
NAMES = ["libc6", "libgcc-s1", "bash", "libtinfo6"]
X86 = MACHINES["x86_64"]


def installed(name: str, version: str = "1.0", requires: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """One entry of pip's report."""
    file = f"{name}-{version}-py3-none-any.whl"
    info = {"url": f"https://pypi.example/{file}", "archive_info": {"hashes": {"sha256": "ee"}}}
    metadata = {"name": name, "version": version, "requires_dist": list(requires)}
    return {"metadata": metadata, "download_info": info, **more}


def test_a_deb_has_its_version_address_digest_and_those_needs_that_are_wanted() -> None:
    found = debs(SHOWN, ADDRESSES, NAMES)
    assert sorted(found) == sorted(NAMES)
    assert found["bash"].version == "5.2.37-2+b10"
    assert found["bash"].url == "http://debian.example/b/bash/bash_5.2.37-2%2bb10_amd64.deb"
    assert found["bash"].sha256 == "cc"
    assert found["bash"].needs == ("libc6", "libtinfo6")


def test_of_two_versions_of_a_deb_the_first_is_meant() -> None:
    older = "\n\nPackage: bash\nVersion: 4.0\nDepends: libc6\nSHA256: ff\n"
    assert debs(SHOWN + older, ADDRESSES, NAMES)["bash"].version == "5.2.37-2+b10"


def test_what_apt_does_not_know_is_named() -> None:
    with pytest.raises(Unfit, match=r"apt knows no libffi8, zlib1g"):
        debs(SHOWN, ADDRESSES, [*NAMES, "zlib1g", "libffi8"])


def test_a_wheel_has_its_file_address_digest_and_the_needs_that_hold_here() -> None:
    report = {
        "install": [
            installed(
                "Jupyter.Server",
                requires=("tornado>=6", "colorama; sys_platform == 'win32'", "old; python_version < '3.13'"),
            ),
            installed("tornado"),
            installed("colorama"),
            installed("old"),
        ]
    }
    found = wheels(report, X86)
    assert list(found) == sorted(found)
    server = found["jupyter-server"]
    assert server.needs == ("tornado",)
    assert server.file == "Jupyter.Server-1.0-py3-none-any.whl"
    assert (server.url, server.sha256) == ("https://pypi.example/Jupyter.Server-1.0-py3-none-any.whl", "ee")


def test_extras_that_were_asked_for_count() -> None:
    requires = ("argon2-cffi; extra == 'fast'", "pytest; extra == 'test'")
    report = {
        "install": [
            installed("a", requires=requires, requested_extras=["fast"]),
            installed("argon2-cffi"),
            installed("pytest"),
        ]
    }
    assert wheels(report, X86)["a"].needs == ("argon2-cffi",)


@pytest.mark.parametrize("url", ["file:///srv/mirror/a-1.0-py3-none-any.whl", "https://pypi.example/a-1.0.tar.gz"])
def test_what_no_build_could_fetch_as_a_wheel_is_refused(url: str) -> None:
    report = {"install": [installed("a")]}
    report["install"][0]["download_info"]["url"] = url
    with pytest.raises(
        Unfit, match=r"^a 1\.0 is to be had as a-1\.0.* only, which is no wheel that a build could fetch$"
    ):
        wheels(report, X86)


def test_markers_are_those_of_the_python_that_is_built_not_of_the_one_that_asks() -> None:
    environment = marker_environment(MACHINES["aarch64"])
    assert (environment["python_version"], environment["platform_machine"]) == ("3.13", "aarch64")


def test_names_are_read_from_hashed_requirements() -> None:
    text = (
        "jupyter_client==8.1 \\\n    --hash=sha256:aa\n"
        "pycparser==3 ; implementation_name != 'PyPy' \\\n    --hash=sha256:bb\n"
    )
    assert names_in(text) == ["jupyter-client", "pycparser"]


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefghx"))))
def test_a_graph_has_no_cycles_left_and_loses_no_more_than_it_must(needs: Mapping[str, list[str]]) -> None:
    made = without_cycles(needs)
    assert set(made) == set(needs)
    seen: set[str] = set()
    while ready := [name for name in made if name not in seen and set(made[name]) <= seen]:
        seen |= set(ready)
    assert seen == set(made), "a cycle is left"
    for name, kept in made.items():
        for lost in set(needs[name]) & set(needs) - set(kept):
            assert _reaches(made, lost, name), f"{name} need not lose {lost}"
    assert json.dumps(made) == json.dumps(without_cycles(dict(reversed(list(needs.items()))))), (
        "the order of the input counts"
    )


def _reaches(graph: Mapping[str, tuple[str, ...]], start: str, end: str) -> bool:
    return start == end or any(_reaches(graph, each, end) for each in graph[start])
