"""A real Python environment of plain derivations, united with the notebook server, under a session's limits.

A stand-in: the authors write against the package set of `deploy/closure`, made of Debian's and PyPI's files, for a
closed network has no nixpkgs. Nix, its sandbox, the assembler and the engine are the real ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fixtures import cell
from tests.fixtures.authors import ANALYSIS, ANSWER, NO_KERNEL, built, layouts, write
from tests.fixtures.limited import image, in_session, run_cell

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from builders.interface import Workshop

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("whose_packages")]


async def test_a_kernel_has_the_authors_packages_and_none_of_the_servers(
    filled: Workshop, engine: docker.DockerClient, tmp_path: Path
) -> None:
    directory = write(tmp_path / "author", layouts(ANALYSIS)["default.nix"])
    with image(engine, f"{tmp_path.name}:1".lower()) as name:
        await built(directory, filled, name)
        assert run_cell(engine, filled, name) == (0, ANSWER)


@pytest.mark.long
async def test_without_a_kernel_there_are_none_and_a_shell_works(
    filled: Workshop, engine: docker.DockerClient, tmp_path: Path
) -> None:
    directory = write(tmp_path / "author", layouts(NO_KERNEL)["shell.nix"])
    with image(engine, f"{tmp_path.name}:1".lower()) as name:
        await built(directory, filled, name)
        assert run_cell(engine, filled, name) == (cell.NO_KERNEL, "")
        status, said = in_session(engine, filled, name, "sh", "-c", "python3 -c 'import numpy; print(1)'; ls / | wc -l")
        assert (status, said.split()[0]) == (0, "1")
