"""BuildKit's output as recorded from the real tool: what is told, and what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.errors import BaseImageMissing, BuilderError, BuildFailed, DiskFull, EngineDown
from builders.lines import Line, Log, Step
from builders.repo2docker.buildkit import Output

RECORDINGS = Path(__file__).parents[1] / "recordings" / "buildkit"


def read(name: str) -> tuple[list[Line], Output, int]:
    # Not splitlines: a carriage return is part of a line.
    *raw, last, _ = (RECORDINGS / f"{name}.txt").read_bytes().decode().split("\n")
    return *read_lines(raw), int(last.removeprefix("exit status "))


def read_lines(raw: list[str]) -> tuple[list[Line], Output]:
    output = Output("repo2docker")
    told = [line for text in raw if (line := output.read(text)) is not None]
    return told, output


def failed(name: str) -> BuilderError:
    _, output, status = read(name)
    assert status != 0
    return output.error(status)


@pytest.mark.parametrize(
    "name,image",
    [
        ("base-unreachable", "no-such-host.invalid/team/image:1"),
        ("base-on-docker-hub", "nosuchimage:3.2"),
        ("base-not-in-registry", "127.0.0.1:5000/team/nosuch:1"),
        ("stage-image-unreachable", "no-such-host.invalid/tool:2"),
        ("frontend-unreachable", "no-such-host.invalid/frontend:1"),
    ],
)
def test_an_image_that_cannot_be_had(name: str, image: str) -> None:
    error = failed(name)
    assert isinstance(error, BaseImageMissing)
    assert error.image == image


def test_a_step_that_fails() -> None:
    error = failed("run-fails")
    assert isinstance(error, BuildFailed)
    assert error.step.startswith("[3/3] RUN echo")
    assert error.status == 3
    assert error.tail[:2] == ("Collecting nosuch", "ERROR: no such package")
    assert error.tail[2].startswith("executor failed running")


def test_a_wrong_dockerfile() -> None:
    error = failed("syntax-error")
    assert isinstance(error, BuildFailed)
    assert (error.step, error.tail) == ("", ("line 2: unknown instruction: RUUN",))
    assert failed("empty-dockerfile").tail == ("the Dockerfile cannot be empty",)  # type: ignore[attr-defined]


def test_no_path_of_the_engine_is_told() -> None:
    told, output, status = read("copy-missing")
    error = output.error(status)
    assert isinstance(error, BuildFailed)
    assert error.tail == ("failed to walk no/such: lstat no/such: no such file or directory",)
    assert not any("/var/lib" in line.text for line in told if isinstance(line, Log | Step))


def test_what_a_step_prints_is_never_taken_for_buildkits_own_words() -> None:
    error = failed("spoofed")
    assert isinstance(error, BuildFailed)
    assert error.status == 4
    assert error.tail[0] == "#3 ERROR: not found"


def test_each_step_is_told_once() -> None:
    told, output, status = read("two-stages")
    steps = [line.text for line in told if isinstance(line, Step)]
    assert status == 0
    assert len(steps) == len(set(steps))
    assert "[first 2/2] RUN sleep 0.3; echo first done" in steps
    assert output.step == "[stage-1 3/3] COPY --from=first /etc/hostname /tmp/x"


def test_nothing_told_holds_an_escape() -> None:
    told, _, _ = read("run-fails")
    text = "\n".join(line.text for line in told if isinstance(line, Log | Step))
    assert "red" in text
    assert "spin done" in text
    assert not {"\x1b", "\r"} & set(text)


@pytest.mark.parametrize(
    "line",
    [
        "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF",
    ],
)
def test_an_engine_that_went_away(line: str) -> None:
    _, output = read_lines(["#1 [internal] load build definition from Dockerfile", line])
    assert isinstance(output.error(1), EngineDown)


def test_a_step_that_finds_no_room() -> None:
    _, output = read_lines(
        [
            "#5 [2/2] RUN head -c 300M /dev/zero > /tmp/large",
            "#5 0.812 head: write error: No space left on device",
            "#5 ERROR: executor failed running [/bin/sh -c head]: exit code: 1",
        ]
    )
    error = output.error(1)
    assert isinstance(error, DiskFull)
    assert (error.place, error.step) == ("container engine", "[2/2] RUN head -c 300M /dev/zero > /tmp/large")
    assert error.tail[0] == "head: write error: No space left on device"


@pytest.mark.parametrize(
    "words,place",
    [
        ("failed to solve: write /var/lib/docker/tmp/x: no space left on device", "container engine"),
        ("mkdir /srv/data/tmp/repolaunch-docker-abc/buildx: no space left on device", "data folder"),
    ],
)
def test_no_room_for_the_tool_itself(words: str, place: str) -> None:
    _, output = read_lines([f"ERROR: {words}"])
    error = output.error(1)
    assert isinstance(error, DiskFull)
    assert error.place == place
