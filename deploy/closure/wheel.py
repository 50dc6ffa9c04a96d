"""Unpacks one wheel into $out as an installer does, relocates what is native in it, and compiles it.

Run by the Python that the wheel is for, alone: what it needs comes in variables of the derivation. The result is the
same bytes wherever and whenever it is made: no times, no order of a folder, no random hashes.
"""

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

OUT = Path(os.environ["out"])
LIBRARY = f"lib/python{os.environ['version']}/site-packages"
ELF = b"\x7fELF"


def unpack(wheel: Path) -> None:
    """Files, scripts and entry points, where an environment has them. Raises what `installer` raises."""
    sys.path.insert(0, os.environ["installer"])
    from installer import install  # noqa: PLC0415  # a wheel itself: it can be imported since the line above
    from installer.destinations import SchemeDictionaryDestination  # noqa: PLC0415
    from installer.sources import WheelFile  # noqa: PLC0415

    folders = {
        "purelib": OUT / LIBRARY,
        "platlib": OUT / LIBRARY,
        "headers": OUT / "include",
        "scripts": OUT / "bin",
        "data": OUT,
    }
    destination = SchemeDictionaryDestination(
        {name: str(folder) for name, folder in folders.items()},
        interpreter=f"{os.environ['python']}/bin/python3",
        script_kind="posix",
    )
    with WheelFile.open(wheel) as source:
        install(source, destination, additional_metadata={"INSTALLER": b"repolaunch\n"})


def relocate(file: Path) -> None:
    """Let a native file find the libraries that every Linux has for it, in the store."""
    patchelf = os.environ["patchelf"]
    if not subprocess.run([patchelf, "--print-needed", file], capture_output=True, check=False).stdout.strip():
        return  # a static program, or an object that is no program at all
    file.chmod(0o755)
    subprocess.run([patchelf, "--add-rpath", os.environ["libraries"].replace(" ", ":"), file], check=True)
    subprocess.run([patchelf, "--shrink-rpath", file], check=True)
    if subprocess.run([patchelf, "--print-interpreter", file], capture_output=True, check=False).returncode == 0:
        subprocess.run([patchelf, "--set-interpreter", os.environ["interpreter"], file], check=True)


def relocate_all() -> None:
    for file in sorted(OUT.rglob("*")):
        if file.is_symlink() or not file.is_file():
            continue
        with file.open("rb") as opened:
            native = opened.read(len(ELF)) == ELF
        if native:
            relocate(file)


def drop(patterns: list[str]) -> None:
    """Remove what the derivation does not want of this package."""
    for pattern in patterns:
        for found in sorted(OUT.glob(pattern)):
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found)
            elif found.exists():
                found.unlink()


def propagate() -> None:
    """Whoever depends on this output depends on these: the store sees it where it finds their paths."""
    if needs := os.environ["needs"]:
        note = OUT / "nix-support" / "propagated-build-inputs"
        note.parent.mkdir()
        note.write_text(needs + "\n")


def main() -> None:
    # An installer reads a wheel's name and tags from the name of its file; a store path has a digest before it.
    wheel = Path(os.environ["wheelName"])
    wheel.symlink_to(os.environ["wheel"])
    unpack(wheel)
    drop(os.environ["without"].split())
    relocate_all()
    # Files with a syntax of another Python are data of a test or a template: they stay as they are.
    compileall.compile_dir(OUT, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    propagate()


main()
