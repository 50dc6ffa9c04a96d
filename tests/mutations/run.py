"""Takes each protection away from a copy of the project, and runs the one test that should notice.

`python -m tests.mutations.run [words]`. First every test runs with all protections there and has to pass: what fails
anyway notices nothing. A test notices by a failed assertion; one that breaks on its way, or waits for ever, does not.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.mutations.table import ROOT, Mutation, batches, read

if TYPE_CHECKING:
    from collections.abc import Iterator

LINKED = ("deploy/proxy/node_modules", "frontend/node_modules", "frontend/dist", "build")
LIMIT_S = 900
_clock = itertools.count(int(time.time()) + 10)


class Copy:
    """The project's files as they are here, with an environment whose `launcher` is the copy's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        # Hard links, with one file that says where the project is.
        shutil.copytree(ROOT / ".venv", folder / ".venv", symlinks=True, copy_function=os.link)
        for path in folder.glob(".venv/lib/python3*/site-packages/_editable_impl_repolaunch.pth"):
            path.unlink()
            path.write_text(f"{folder}\n")

    def change(self, file: str, text: str) -> None:
        """Each time newer than the last, so that nothing compiled is taken for it."""
        path, now = self.folder / file, next(_clock)
        path.write_text(text)
        os.utime(path, (now, now))

    def test(self, *tests: str) -> dict[str, str]:
        """Test → what it failed with, `""` where it passed; only tests that broke otherwise are not there."""
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix="rl-mutations-") as temporary:
            Path(temporary).chmod(0o755)  # some tests are other users
            argv = [
                str(self.folder / ".venv/bin/python"),
                "-m",
                "pytest",
                *tests,
                "-q",
                "-vv",
                "-m",
                "long or not long",
            ]
            argv += ["-p", "no:cacheprovider", f"--timeout={LIMIT_S}", f"--junitxml={report}"]
            argv += [f"--basetemp={temporary}/pytest", "-o", "junit_family=xunit1"]
            (self.folder / "said").write_text("")
            with (self.folder / "said").open("w") as said:
                subprocess.run(argv, cwd=self.folder, stdout=said, stderr=said, check=False)
        return dict(_outcomes(report)) if report.exists() else {}

    @property
    def said(self) -> str:
        """The end of what pytest printed last."""
        return (self.folder / "said").read_text()[-3000:]


def _outcomes(report: Path) -> Iterator[tuple[str, str]]:
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  # pytest wrote it
        failure, error, skipped = (case.find(one) for one in ("failure", "error", "skipped"))
        said = "" if failure is None else f"{failure.get('message')}\n{failure.text}"
        if skipped is None and (failure is not None or error is None) and "Failed: Timeout" not in said:
            name = f"{case.get('file')}::{case.get('name')}"
            yield name, said if failure is not None else ""


def _short(test: str) -> str:
    """Without what parametrizes it."""
    return test.partition("[")[0]


def _without(copy: Copy, batch: list[Mutation]) -> list[Mutation]:
    """Those of the batch that its test does not notice."""
    # The copy's own: the project itself may be worked on meanwhile.
    kept = {one.file: (copy.folder / one.file).read_text() for one in batch}
    changed = dict(kept)
    for one in batch:
        changed[one.file] = one.applied(changed[one.file])
    try:
        for file, text in changed.items():
            copy.change(file, text)
        said = "\n".join(copy.test(batch[0].test).values())
    finally:
        for file, text in kept.items():
            copy.change(file, text)
    return [one for one in batch if not said.strip() or one.says not in said]


def main(words: str = "") -> int:
    """Print a line for each protection. Returns the number of those whose absence nobody noticed."""
    chosen = read(words)
    if not chosen:  # pytest without a name would run everything
        print(f"No protection has {words!r} in its name or test.")
        return 1
    missed = 0
    with tempfile.TemporaryDirectory(prefix="rl-mutated-") as temporary:
        Path(temporary).chmod(0o755)
        copy = Copy(Path(temporary, "project"))
        tests = sorted({one.test for one in chosen})
        whole = copy.test(*tests)
        bad = {one for one in tests if _failed(one, whole)}
        if bad:
            print(f"With every protection there these do not pass: {', '.join(sorted(bad))}\n{copy.said}")
            missed += len(bad)
        for batch in batches([one for one in chosen if one.test not in bad]):
            unnoticed = _without(copy, batch)
            for one in batch:
                print(f"{'NOT NOTICED' if one in unnoticed else 'noticed':<11}  {one.name}  [{one.test}]", flush=True)
            if unnoticed:
                print(copy.said, flush=True)
            missed += len(unnoticed)
    print(f"{len(chosen)} protections taken away, {missed} not noticed.")
    return missed


def _failed(test: str, outcomes: dict[str, str]) -> bool:
    """Whether a test, or any of its cases, did not pass."""
    own = [said for name, said in outcomes.items() if test in {name, _short(name)}]
    return not own or any(own)


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])) > 0)
