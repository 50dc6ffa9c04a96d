"""The commands for one launch or session: what is named has to be an id, or an address that has one."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from launcher.__main__ import main
from launcher.command_line import Id

LAUNCH = "0123456789abcdef" * 2
FORM = Id("launch", "[0-9a-f]{32}", "32 characters")


@pytest.mark.parametrize("command", ["cancel", "logs", "stop"])
@pytest.mark.parametrize(
    "said",
    [
        "../sessions/tbtswhas96",
        "../../x",
        "é",
        f"{LAUNCH}?y",
        f"{LAUNCH}\n",
        "",
        "http://site.example/../../sessions/x",
        f"http://site.example/?{LAUNCH}",
    ],
)
def test_only_an_id_becomes_part_of_a_path(command: str, said: str) -> None:
    done = CliRunner().invoke(main, [command, "--", said])
    assert done.exit_code == 2, done.output
    assert f"{said!r} is no {'project' if command == 'stop' else 'launch'}'s id" in done.output


@pytest.mark.parametrize(
    "said",
    [LAUNCH, f"https://site.example/tools/launches/{LAUNCH}", f"http://site.example/api/v1/launches/{LAUNCH}/page"],
)
def test_an_address_of_a_page_is_as_good_as_an_id(said: str) -> None:
    assert FORM.convert(said, None, None) == LAUNCH


def test_where_there_is_none() -> None:
    with pytest.raises(click.UsageError, match=r"about' is no launch's id, which is 32 characters\."):
        FORM.convert("https://site.example/about", None, None)


@pytest.mark.parametrize(
    "typed,meant",
    [(["luanch"], "'launch'"), (["admin", "bna"], "'ban'"), (["up", "--exampel"], "'--example'")],
)
def test_a_word_that_is_nearly_a_command_is_told_the_command(typed: list[str], meant: str) -> None:
    done = CliRunner().invoke(main, typed)
    assert done.exit_code == 2
    assert "Did you mean" in done.output
    assert meant in done.output
