"""What an assembled image's variables are, and whether a kernel is found in it, through links as the image has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builders.assembly import Environment, _has_kernel, inside, variables
from builders.oci.closure import Closure
from builders.server import Server

if TYPE_CHECKING:
    from pathlib import Path

ENV, OTHER = "/gnu/store/clzqd3gb77q6q8fzlgxryxgzxlwsxgk2-profile", "/gnu/store/jm6kfmac6kjb265fix98lbvvihpkic89-kernel"
SERVER = Server("/nix/store/program", "/nix/store/tools", {"LANG": "C.UTF-8"}, Closure({}))


def test_the_author_s_packages_are_first_and_the_server_is_last() -> None:
    wanted = {"PATH": "/evil", "HOME": "/evil", "LANG": "de_DE.UTF-8", "JUPYTER_PATH": f"{ENV}/share/jupyter:/more"}
    assert variables(Environment((ENV, OTHER), Closure({}), wanted), SERVER) == {
        "HOME": "/home/jovyan",
        "LANG": "de_DE.UTF-8",
        "PATH": f"{ENV}/bin:{OTHER}/bin:/usr/bin:/bin:/nix/store/tools/bin:/nix/store/program/bin",
        "JUPYTER_PATH": f"{ENV}/share/jupyter:{OTHER}/share/jupyter:/more",
    }


def stocked(stores: Path, *links: tuple[str, str], files: tuple[str, ...] = ()) -> Path:
    for name in files:
        path = stores / name[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    for name, target in links:
        path = stores / name[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    return stores


KERNEL = "share/jupyter/kernels/python3/kernel.json"


@pytest.mark.parametrize(
    "links,files,found",
    [
        ((), (f"{ENV}/{KERNEL}",), True),
        (((f"{ENV}/share", f"{OTHER}/share"),), (f"{OTHER}/{KERNEL}",), True),
        (((f"{ENV}/share/jupyter/kernels/python3", f"{OTHER}/x"),), (f"{OTHER}/x/kernel.json",), True),
        (((f"{ENV}/share/jupyter", "../lib/jupyter"),), (f"{ENV}/lib/jupyter/kernels/a/kernel.json",), True),
        ((), (f"{OTHER}/{KERNEL}",), False),
        ((), (f"{ENV}/share/jupyter/kernels/python3/logo.png",), False),
        (((f"{ENV}/share", f"{ENV}/share"),), (), False),
        (((f"{ENV}/share", "/usr/share"),), (), False),
        (((f"{ENV}/share", "../../../../../../../../../../usr/share"),), (), False),
    ],
)
def test_a_kernel(tmp_path: Path, links: tuple[tuple[str, str], ...], files: tuple[str, ...], found: bool) -> None:
    assert _has_kernel(stocked(tmp_path, *links, files=files), (ENV,)) is found


def test_nothing_of_this_machine_is_looked_at(tmp_path: Path) -> None:
    """A link is followed as the image would: an absolute one begins at the image's root."""
    stores = stocked(tmp_path, (f"{ENV}/a", "/etc"), (f"{ENV}/b", f"{OTHER}/x"))
    assert inside(stores, f"{ENV}/a/passwd") == ""
    assert inside(stores, f"{ENV}/b/y") == f"{OTHER}/x/y"
