"""What the author of a flake is told that has no environment among its outputs."""

from __future__ import annotations

import pytest

from builders.nix.outputs import lacking

SYSTEM = "x86_64-linux"
NONE = (
    f"it has none of the outputs “packages.{SYSTEM}.binder”, “devShells.{SYSTEM}.default”, “packages.{SYSTEM}.default”"
)


@pytest.mark.parametrize(
    "there,nearly",
    [
        ([f"packages.{SYSTEM}.bindr"], (f"packages.{SYSTEM}.bindr", f"packages.{SYSTEM}.binder")),
        ([f"packages.{SYSTEM}.Binder", "lib"], (f"packages.{SYSTEM}.Binder", f"packages.{SYSTEM}.binder")),
        (
            [f"packages.{SYSTEM}.x", f"devShells.{SYSTEM}.defualt"],
            (f"devShells.{SYSTEM}.defualt", f"devShells.{SYSTEM}.default"),
        ),
        (["devShell"], ("devShell", f"devShells.{SYSTEM}.default")),
        (["package"], ("package", f"packages.{SYSTEM}.binder")),
        (["packages.x86-64-linux"], ("packages.x86-64-linux", f"packages.{SYSTEM}.binder")),
        ([], None),
        (["lib", "packages", "legacyPackages", "packages.aarch64-linux", f"packages.{SYSTEM}.env"], None),
    ],
)
def test_the_nearest_is_named(there: list[str], nearly: tuple[str, str] | None) -> None:
    assert lacking(SYSTEM, there) == NONE + (f"; “{nearly[0]}” is nearly “{nearly[1]}”" if nearly else "")


def test_a_name_is_shown_as_one_line() -> None:
    said = lacking(SYSTEM, [f"packages.{SYSTEM}.bi\x07n\nder"])
    assert said.endswith(f" is nearly “packages.{SYSTEM}.binder”")
    assert said.isprintable()
