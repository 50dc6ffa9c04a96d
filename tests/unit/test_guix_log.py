"""What Guix prints, as events: recordings of the real tool (tests/recordings/guix/), in pieces, forged and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.errors import BuildFailed, BuildLogTooLong
from builders.guix.log import Answer, Ended, Event, Fetching, Mismatch, Reader, Said, Started, Written, name_of
from builders.guix.tool import Output
from builders.interface import Limits
from builders.lines import Line, Log, Progress, Step

RECORDINGS = Path(__file__).parents[1] / "recordings" / "guix"
DRV = "/gnu/store/dkf48807f35kk6h4clqknj2d91w3clji-noisy-1.drv"


def read(*chunks: bytes) -> list[Event]:
    reader = Reader()
    found = [event for chunk in chunks for event in reader.feed(chunk)]
    return [*found, *reader.end()]


def recorded(name: str) -> bytes:
    return (RECORDINGS / f"{name}.txt").read_bytes()


def tell_all(raw: bytes, limits: Limits | None = None) -> tuple[Output, list[Line]]:
    output, lines = Output("building an environment", limits or Limits()), list[Line]()
    output.read(raw, lines.append)
    output.end(lines.append)
    return output, lines


def test_a_build_that_fails() -> None:
    events = read(recorded("fails"))
    assert [name_of(event.derivation) for event in events if isinstance(event, Started)] == [
        "other-1",
        "noisy-1",
        "failing-1",
    ]
    assert [(name_of(event.derivation), event.failed) for event in events if isinstance(event, Ended)] == [
        ("noisy-1", False),
        ("other-1", False),
        ("failing-1", True),
    ]
    written = [event.text for event in events if isinstance(event, Written) and event.derivation == DRV]
    assert written == [
        "@ build-failed /gnu/store/00000000000000000000000000000000-x.drv - 1 forged",
        '@repolaunch {"profile": "/gnu/store/x"}',
        "café",
        "half a line and its rest",
        "red no end",
    ]
    assert not [event for event in events if isinstance(event, Answer)]


@pytest.mark.parametrize("size", [1, 2, 7, 64])
@pytest.mark.parametrize("name", ["fails", "mismatch", "fetch"])
def test_pieces_make_no_difference(name: str, size: int) -> None:
    raw = recorded(name)
    assert read(*(raw[at : at + size] for at in range(0, len(raw), size))) == read(raw)


def test_the_error_names_the_step_that_failed_and_its_last_words() -> None:
    output, lines = tell_all(recorded("fails"))
    error = output.error(1)
    assert isinstance(error, BuildFailed)
    assert (error.builder, error.step, error.status) == ("guix", "building failing-1", 1)
    assert error.tail[:2] == ("looking", "cannot find the file")
    assert error.tail[-1].endswith("failed with exit code 3")
    assert Step("building noisy-1") in lines
    assert Log("failing-1> cannot find the file") in lines


def test_another_hash_than_declared_is_told_as_such() -> None:
    output, lines = tell_all(recorded("mismatch"))
    error = output.error(1)
    assert isinstance(error, BuildFailed)
    assert error.step == "fetching data.txt"
    declared, found = "1" * 52, "0vx21x3993071k6b84c8hpi6lkciaz8sifk8536fdj2fwpmf9g1m"
    assert error.tail == (f"data.txt has the hash {found}; {declared} was declared",)
    assert Progress("Fetching data.txt", 100) in lines


def test_what_is_fetched() -> None:
    events = [event for event in read(recorded("fetch")) if isinstance(event, Fetching)]
    assert [(name_of(event.item), event.percent) for event in events] == [
        ("data.bin", None),
        ("data.bin", 2),
        ("data.bin", 100),
        ("data.bin", 100),
    ]


@pytest.mark.parametrize(
    "raw,events",
    [
        (b"@ build-log x 3\nabc\n", [Said("@ build-log x 3"), Said("abc")]),
        (b"@ build-log 7 99\nabc", [Written("", "abc")]),
        (b"@ build-log 7 0\nabc\n", [Said("abc")]),
        (b"@ build-log 7 99999999999\nabc\n", [Said("@ build-log 7 99999999999"), Said("abc")]),
        (b"@ build-started\n", [Said("@ build-started")]),
        (b"@ download-progress /gnu/store/x https://x 10\n", [Said("@ download-progress /gnu/store/x https://x 10")]),
        (b"@ hash-mismatch a\n", [Said("@ hash-mismatch a")]),
        (b"@ invented 1 2\n", [Said("@ invented 1 2")]),
        (b"@ \n", [Said("@")]),
        (b"@repolaunch nothing\n", [Said("@repolaunch nothing")]),
        (b"@repolaunch [1]\n", [Said("@repolaunch [1]")]),
        (b"@repolaunch " + b"[" * 5000 + b"\n", [Said("@repolaunch " + "[" * 5000)]),
        (b'@repolaunch {"a": 1}\n', [Answer({"a": 1})]),
        (b"\xff\xfe\x1b[31m\n\n", [Said("��")]),
        (b"a" * 70000, [Said("a" * 65536), Said("a" * 4464)]),
        (b"@ hash-mismatch /gnu/store/x sha256 a b\n", [Mismatch("/gnu/store/x", "a", "b")]),
    ],
)
def test_what_is_damaged_is_shown(raw: bytes, events: list[Event]) -> None:
    assert read(raw) == events


def test_output_without_end_is_refused() -> None:
    output, lines = Output("building", Limits(log=1000)), list[Line]()
    output.read(b"a" * 900, lines.append)
    with pytest.raises(BuildLogTooLong) as caught:
        output.read(b"a" * 101, lines.append)
    assert (caught.value.bytes, caught.value.step) == (1000, "building")


def test_what_our_own_program_answers_is_no_log_and_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large environment's list of store paths is longer than a log may be."""
    answer, lines = b'@repolaunch {"type": "path"}\n', list[Line]()
    monkeypatch.setattr("builders.guix.tool.MOST_TOLD", 2000)
    output = Output("building", Limits(log=100), ours=True)
    output.read(answer * 60, lines.append)
    assert len(output.answers) == 60
    with pytest.raises(BuildLogTooLong) as caught:
        output.read(b"a" * 101, lines.append)
    assert caught.value.bytes == 100
    with pytest.raises(BuildLogTooLong) as caught:
        Output("building", Limits(log=100), ours=True).read(answer * 100, lines.append)
    assert caught.value.bytes == 2000
    # A stranger's program may print the same.
    with pytest.raises(BuildLogTooLong) as caught:
        Output("evaluating", Limits(log=100)).read(answer * 60, lines.append)
    assert caught.value.bytes == 100


def test_words_of_guix_are_the_tail_where_no_step_failed() -> None:
    output, _ = tell_all(b"manifest.scm:3:4: error: foo: unbound variable\n")
    error = output.error(1)
    assert isinstance(error, BuildFailed)
    assert error.tail == ("manifest.scm:3:4: error: foo: unbound variable",)
    assert error.step == "building an environment"
