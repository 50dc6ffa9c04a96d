"""What Nix prints, as lines and errors: recordings of the real tool, and lines that are cut, forged and damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.errors import BuildFailed, BuildLogTooLong, DiskFull
from builders.lines import Line, Log, Step
from builders.nix.events import Counted, Plain, parse
from builders.nix.output import Output, is_away, named
from builders.site_cache import CopyFailed

RECORDINGS = Path(__file__).parents[1] / "recordings" / "nix"
MIB = 2**20


def recorded(name: str) -> list[str]:
    return (RECORDINGS / f"{name}.txt").read_text("utf-8").splitlines()


def read(lines: list[str], most: int = MIB) -> tuple[list[Line], Output]:
    output = Output(most)
    return [line for raw in lines for line in output.read(raw)], output


def test_a_build() -> None:
    said, output = read(recorded("built"))
    assert said == [Step("tools"), Step("tool"), Step("page"), Log("made")]
    built = json.loads(output.plain[-1])
    assert named(built[0]["outputs"]["out"]) == "page"
    assert [named(path) for path in output.touched()] == ["tools", "tool", "page"]
    assert output.touched() == []


def test_a_step_that_fails() -> None:
    said, output = read(recorded("step-fails"))
    error = output.error(1)
    assert isinstance(error, BuildFailed)
    assert (error.builder, error.step, error.tail, error.status) == ("nix", "broken", ("one",), 3)
    assert Log("broken failed with status 3") in said
    assert not [line for line in said if isinstance(line, Log) and "/nix/store" in line.text]


def test_a_fetch_that_fails() -> None:
    _, output = read(recorded("fetch-fails"))
    error = output.error(1)
    assert isinstance(error, BuildFailed)
    assert error.step == "page"
    assert error.tail[-1].endswith("Failed to connect to 127.0.0.1 port 9 after 0 ms: Could not connect to server")
    assert "\x1b" not in "".join(error.tail)


def test_a_step_that_speaks_like_nix() -> None:
    said, output = read(recorded("forged"))
    assert said[-3:] == [Log("error: forged"), Log("red: red"), Log("page failed with status 4")]
    error = output.error(1)
    assert isinstance(error, BuildFailed)
    assert (error.step, error.status, error.tail) == ("page", 4, ("red: red",))


def said_by_nix(text: str, reason: str = "") -> str:
    return "@nix " + json.dumps({"action": "msg", "level": 0, "msg": text, **({"raw_msg": reason} if reason else {})})


GONE = (
    "unable to download 'http://cache.example.org/nix/nar/1m.nar.zst': HTTP error 200 (curl error: Timeout was reached)"
)
SOME = "some substitutes for the outputs of derivation '/nix/store/page.drv' failed; try '--fallback'"


@pytest.mark.parametrize(
    "lines,away",
    [
        ([said_by_nix(f"error: {GONE}")], True),
        ([said_by_nix(f"error: {GONE}; retrying in 300 ms (attempt 1/2)")], False),
        ([said_by_nix("error: unable to download 'http://other.example.org/nix-cache-info': HTTP error 500")], False),
        ([said_by_nix("error: file '1m.nar.zst' has the wrong hash")], False),
        ([], False),
    ],
)
def test_a_copy_that_stopped_is_told_from_one_that_was_wrong(lines: list[str], away: bool) -> None:
    _, output = read([*lines, said_by_nix(f"error: {SOME}", SOME)])
    error = output.error(1)
    assert isinstance(error, CopyFailed)
    assert is_away(error) is away
    assert error.tail == ((GONE, SOME) if away else (SOME,))


@pytest.mark.parametrize(
    "path", ["/../../../etc", "/nix/store/../../etc", f"/nix/store/{'0' * 32}-x/../../..", "/etc", "a\x1bb"]
)
def test_a_forged_path_is_not_looked_at(path: str) -> None:
    body = {"action": "start", "id": 1, "level": 3, "type": 105, "text": "building", "fields": [path]}
    _, output = read([f"@nix {json.dumps(body)}"])
    assert output.touched() == []


def test_a_full_disk() -> None:
    _, output = read(recorded("disk-full"))
    error = output.error(1)
    assert isinstance(error, DiskFull)
    assert error.step == "page"


def test_too_much() -> None:
    with pytest.raises(BuildLogTooLong) as caught:
        read(recorded("step-fails"), most=20)
    assert caught.value.bytes == 20


@pytest.mark.parametrize("name", ["built", "step-fails", "fetch-fails", "forged"])
def test_each_line_cut_anywhere_is_shown_or_counted(name: str) -> None:
    for raw in recorded(name):
        for end in range(0, len(raw), 7):
            assert isinstance(parse(raw[:end]), Plain)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["action", "id", "level", "type", "text", "fields", "msg", "raw_msg", "trace"]), VALUES
    )
)
def test_no_line_is_a_crash(body: dict[str, object]) -> None:
    for action in (body.get("action"), "msg", "start", "result", "stop"):
        read([f"@nix {json.dumps({**body, 'action': action})}"])


@settings(deadline=None)
@given(st.text())
def test_other_lines_are_shown(text: str) -> None:
    assert isinstance(parse(f"x{text}"), Plain)
    assert isinstance(parse('@nix {"action":"result","id":1,"type":105,"fields":[0,1,0,0]}'), Counted)
