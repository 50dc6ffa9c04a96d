"""What an assembled image's variables are, and whether a kernel is found in it, through links as the image has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from builders.assembly import STEP, Environment, _has_kernel, assembled, check_room, inside, variables
from builders.errors import BuildDiskFull
from builders.interface import Inputs, Limits, Order, Workshop
from builders.lines import Found, Step
from builders.oci.closure import Closure
from builders.server import ABOUT, CURRENT, Server, described
from builders.variables import CLOSURE
from tests.fixtures.closures import Shelf

if TYPE_CHECKING:
    from pathlib import Path

    from builders.lines import Line

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


# --------------------------------------------------------------------------- how large it may be
MIB = 2**20


def order(folder: Path, stores: Path) -> Order:
    found = Found("nix", "1", ("default.nix",), "k" * 64, "linux/amd64")
    return Order(folder, found, Inputs("x"), "none:1", {}, 0, Workshop(stores, limits=Limits(disk=32 * MIB)))


@pytest.mark.parametrize("store", ["nix", "gnu"])
async def test_what_an_image_would_hold_too_much_of_is_not_assembled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    """A file that is nothing but a hole: the disk never held what the image would."""
    shelf = Shelf(tmp_path / "stores")
    server = Server(shelf.add("program", {"bin/x": b""}), shelf.add("tools", {"bin/sh": b""}), {}, shelf.closure())
    about = json.dumps(described(server)).encode()
    for place in (tmp_path / "kept" / CURRENT / ABOUT, shelf.stores / ABOUT):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(about)
    monkeypatch.setenv(CLOSURE, str(tmp_path / "kept"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")  # where it would go on to
    path = shelf.add("sparse", {"data": b""}, store=store)
    (shelf.place(path) / "data").chmod(0o644)
    with (shelf.place(path) / "data").open("r+b") as file:
        file.truncate(33 * MIB)
    shelf.note(path)
    said: list[Line] = []
    with pytest.raises(BuildDiskFull) as caught:
        await assembled(order(tmp_path, shelf.stores), Environment((path,), shelf.closure()), said.append)
    assert (caught.value.bytes, caught.value.step) == (32 * MIB, STEP)
    assert said == [Step(STEP)]


def test_the_notebook_server_is_nobody_s_to_make_smaller(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    program = shelf.add("program", {"bin/x": b"x" * 2000})
    server = Server(program, program, {}, shelf.closure())
    own = shelf.add("own", {"data": b"x" * 1000}, [program])
    check_room(Environment((own,), shelf.closure()), server, Limits(disk=1000))
    with pytest.raises(BuildDiskFull):
        check_room(Environment((own,), shelf.closure()), server, Limits(disk=999))
