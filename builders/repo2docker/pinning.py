"""How firmly what repo2docker builds is pinned: which lines may mean something else tomorrow.

repo2docker starts from an image that it names by a tag, and a Dockerfile's commands download what they like: so nothing
that it builds is more than `not-pinned`; what is told here is why, line by line. Only reading: a line that is not
understood is not told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from builders.errors import EnvironmentBroken
from builders.folders import within
from builders.lines import LOOSE
from builders.repo2docker.purity import conda
from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    Lines = list[tuple[int, str]]
    Reader = Callable[[str], Iterator[tuple[int, str]]]

MOST = 20
"""Lines that are told."""
_MAX_FILE = 1024 * 1024
_LONGEST = 120
_COMMENT = re.compile(r"(?:^|\s)#.*")
_FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_ADD = re.compile(r"ADD\s+(?!.*--checksum=).*?(https?://\S+)", re.IGNORECASE)
_R, _RUNTIME = "install.R", "runtime.txt"
_DATED = re.compile(r"r-\S+-\d{4}-\d{2}-\d{2}|r-\d{4}-\d{2}-\d{2}")
ADVICE: Mapping[str, str] = {
    "Dockerfile": "FROM name@sha256:… instead of FROM name:tag",
    "requirements.txt": "python3 -m piptools compile --generate-hashes  (or: uv pip compile --generate-hashes)",
    "environment.yml": "conda env export --file environment.yml  (which writes name=version=build)",
    "environment.yaml": "conda env export --file environment.yaml  (which writes name=version=build)",
    _R: "runtime.txt: r-4.4-2025-01-10  (R of a version, with CRAN as it was on a date)",
    "Project.toml": "commit the Manifest.toml that Pkg.resolve() writes",
    "Pipfile": "pipenv lock, and commit the Pipfile.lock",
}
"""Lines that pin more of what a file of that name asks for."""
_LOCKS = (("Pipfile.lock", "Pipfile"), ("Manifest.toml", "Project.toml"), ("Manifest.toml", "JuliaProject.toml"))
"""Where the first is there, the second is no longer what decides."""


def loose(directory: Path, evidence: tuple[str, ...]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The verdict, what is not pinned (`file:line: what`, at most MOST), and lines that would pin it."""
    files = [name.rpartition("/")[2] for name in evidence]
    done = {wish for lock, wish in _LOCKS if lock in files}
    asked = [name for name in evidence if name.rpartition("/")[2] not in done]
    found = lines(directory, asked)
    advice = [
        ADVICE[name]
        for whole, name in zip(evidence, files, strict=True)
        if name in ADVICE and any(line.startswith(f"{whole}:") for line in found)
    ]
    if _R in files:
        what, helps = _of_r(directory, evidence)
        found.append(f"{evidence[files.index(_R)]}:1: {what}")
        advice += [ADVICE[_R]] if helps else []
    if "Dockerfile" not in files:
        found.append("repo2docker: the image that it starts from is named by a tag")
    if len(found) > MOST:
        found = [*found[: MOST - 1], f"and {len(found) - MOST + 1} more"]
    return LOOSE, tuple(found), tuple(advice)


def _of_r(directory: Path, evidence: tuple[str, ...]) -> tuple[str, bool]:
    """What is not pinned in an `install.R`, and whether a `runtime.txt` with a date would help."""
    for name in evidence:
        if name.endswith(_RUNTIME) and any(_DATED.fullmatch(line) for _, line in _joined(_text(directory, name))):
            return "its commands install what CRAN had on that date, and whatever is newest of anything else", False
    if any(name.endswith("DESCRIPTION") for name in evidence):
        return "its commands install whatever is newest that day", True
    return "nothing runs it: R is installed where a runtime.txt names its version and a date", True


def lines(directory: Path, names: Iterable[str]) -> list[str]:
    """What is not pinned in these files, each as `file:line: what`."""
    return [f"{name}:{where}: {what}" for name in names for where, what in _read(directory, name)]


def _read(directory: Path, name: str) -> Iterator[tuple[int, str]]:
    file = name.rpartition("/")[2]
    reader = _READERS.get(file)
    if reader is None:
        return
    for where, what in reader(_text(directory, name)):
        yield where, clean(what)[:_LONGEST]


def _text(directory: Path, name: str) -> str:
    """A file's beginning; `""` where it cannot be read: a link that leads out, say."""
    try:
        with within(directory, name).open("rb") as opened:
            return opened.read(_MAX_FILE).decode("utf-8", "replace")
    except (OSError, EnvironmentBroken):
        return ""


def _joined(text: str) -> Lines:
    """Numbered lines without comments; what ends in a backslash goes on in the next and has the first one's number."""
    lines: Lines = []
    going = False
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw).strip()
        if going and lines:
            lines[-1] = (lines[-1][0], f"{lines[-1][1].removesuffix(chr(92)).rstrip()} {line}")
            going = line.endswith("\\") or not line
        elif line:
            lines.append((number, line))
            going = line.endswith("\\")
    return [(number, line.removesuffix("\\").rstrip()) for number, line in lines]


def _dockerfile(text: str) -> Iterator[tuple[int, str]]:
    stages = {"scratch"}
    runs: tuple[int, str] | None = None
    for number, line in _joined(text):
        if match := _FROM.match(line):
            image, stage = match.groups()
            if image.lower() not in stages and "@sha256:" not in image:
                yield number, f"FROM {image} names an image by a tag, which can move"
            stages.add((stage or "").lower())
        elif match := _ADD.match(line):
            yield number, f"ADD {match[1]} has no --checksum"
        elif line.upper().startswith("RUN ") and runs is None:
            runs = (number, "RUN may download what is another thing tomorrow")
    if runs is not None:
        yield runs


def _requirements(text: str) -> Iterator[tuple[int, str]]:
    for number, line in _joined(text):
        if line.startswith("-"):
            if line.startswith(("-r", "-c", "-e", "--requirement", "--constraint", "--editable")):
                yield number, f"{line.split()[0]} leads to what is not looked at"
        elif "==" not in line and " @ " not in line:
            yield number, f"{line} has no exact version"
        elif "--hash=" not in line:
            yield number, f"{line} has no hash"


def _each(what: str) -> Reader:
    def read(text: str) -> Iterator[tuple[int, str]]:
        for number, line in _joined(text):
            yield number, f"{line} {what}"

    return read


def _whole(what: str) -> Reader:
    def read(text: str) -> Iterator[tuple[int, str]]:
        lines = _joined(text)
        yield (lines[0][0] if lines else 1), what

    return read


_READERS: Mapping[str, Reader] = {
    "Dockerfile": _dockerfile,
    "requirements.txt": _requirements,
    "requirements3.txt": _requirements,
    "environment.yml": conda.loose,
    "environment.yaml": conda.loose,
    "apt.txt": _each("is whatever the archive has that day"),
    "postBuild": _whole("its commands may download what is another thing tomorrow"),
    "setup.py": _whole("what it asks for is chosen that day"),
    "pyproject.toml": _whole("what it asks for is chosen that day"),
    "DESCRIPTION": _whole("what it asks for is chosen that day"),
    "Pipfile": _whole("it is a wish; Pipfile.lock is what was chosen"),
    "Project.toml": _whole("it is a wish; Manifest.toml is what was chosen"),
    "JuliaProject.toml": _whole("it is a wish; Manifest.toml is what was chosen"),
    "REQUIRE": _whole("it is a wish, and nothing says what was chosen"),
}
