"""`repolaunch rename`, `archive`, `unarchive` and `projects`, as an operator types them, on the launcher's web."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from launcher.__main__ import projects as list_
from launcher.arranging import archive, rename, unarchive
from launcher.operate.installation import SERVICE, open_installation
from tests.fakes.web import Running, a_project
from tests.fixtures.web import OPERATOR_TOKEN

if TYPE_CHECKING:
    from pathlib import Path

    import click
    from click.testing import Result

    from tests.fixtures.web import Site

ID = "aaaaaaaaaa"


class Operator:
    """Types commands on the data folder of a site."""

    def __init__(self, site: Site, folder: Path) -> None:
        found = open_installation(folder)
        (folder / "secrets" / "operator-token").write_text(OPERATOR_TOKEN)
        noted = {"local_url": site.base, "base_url": "https://hub.example.org"}
        (found.path("run") / SERVICE).write_text(json.dumps(noted))
        self.folder = folder

    async def types(self, command: click.Command, *words: str) -> Result:
        argv = [*words, "--data", str(self.folder)]
        return await asyncio.to_thread(CliRunner().invoke, command, argv)

    async def told(self, command: click.Command, *words: str) -> str:
        """What it printed; it went well."""
        done = await self.types(command, *words)
        assert done.exit_code == 0, done.output
        return done.stdout


@pytest.fixture
def operator(site: Site, tmp_path: Path) -> Operator:
    site.projects.add(a_project(ID, "ada"))
    return Operator(site, tmp_path / "data")


async def test_named_put_away_and_taken_back(operator: Operator) -> None:
    assert await operator.told(rename, ID, "  My notes ") == f"{ID} is called “My notes” now.\n"
    row = f"{ID}  stopped   5555555555  https://github.com/ada/nice  My notes\n"
    assert await operator.told(list_) == row
    assert await operator.told(list_, "--archived") == "No project is archived.\n"
    assert await operator.told(archive, ID) == f"{ID} is archived; its files stay.\n"
    assert await operator.told(list_) == "There are no projects yet.\n"
    assert await operator.told(list_, "--archived") == row
    [one] = json.loads(await operator.told(list_, "--archived", "--json"))
    assert one["archived"] == "2023-11-14T22:16:40.000Z"
    assert await operator.told(unarchive, ID) == f"{ID} is back: /v2/gh/ada/nice/main leads to it.\n"
    assert await operator.told(list_) == row


async def test_as_json(operator: Operator) -> None:
    for command, words in ((rename, ("x",)), (archive, ()), (unarchive, ())):
        one = json.loads(await operator.told(command, ID, *words, "--json"))
        assert (one["id"], one["title"]) == (ID, "x")


async def test_a_refusal_is_a_sentence(site: Site, operator: Operator) -> None:
    site.sessions.running = [Running(ID)]
    done = await operator.types(archive, ID)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "The project's session runs. “nice” has a session that runs, or is just starting or stopping, "
        "so it was not archived. Stop it first.\n"
    )
    done = await operator.types(rename, ID, " ")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "title: String should have at least 1 character." in done.stderr
    done = await operator.types(unarchive, "bbbbbbbbbb")
    assert done.stderr.startswith("There is no such project.")


@pytest.mark.parametrize("command", [rename, archive, unarchive])
async def test_only_an_id_becomes_part_of_a_path(operator: Operator, command: click.Command) -> None:
    done = await operator.types(command, "../sessions/aaaaaaaaaa", *(["x"] if command is rename else []))
    assert done.exit_code == 2
    assert "is no project's id" in done.stderr
