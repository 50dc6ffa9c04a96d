"""The steps of test_guix_evaluate.py with nothing stood in for: Guix's own channel, signatures and substitutes.

`make test-guix-real`, on a machine that reaches git.guix.gnu.org and bordeaux.guix.gnu.org. No other target runs it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders.guix.build import build
from builders.guix.evaluate import evaluate
from builders.guix.files import look
from builders.guix.means import Means
from builders.guix.source import prepare
from builders.guix.tool import tool
from builders.interface import Limits
from builders.sandbox import daemon
from tests.fixtures.guix import repository

if TYPE_CHECKING:
    from pathlib import Path

    from builders.interface import Workshop
    from builders.lines import Line

pytestmark = [
    pytest.mark.engine,
    pytest.mark.long,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not os.environ.get("TEST_GUIX_REAL"), reason="it needs the internet: make test-guix-real"),
]
MEANS = Means(substitutes=("https://bordeaux.guix.gnu.org", "https://ci.guix.gnu.org"))
CHANNELS = """(list (channel
 (name 'guix)
 (url "https://git.guix.gnu.org/guix.git")
 (branch "master")
 (commit "{}")
 (introduction
  (make-channel-introduction "9edb3f66fd807b096b48283debdcddccfea34bad"
   (openpgp-fingerprint "BBB0 2DDF 2CEA F6A8 0D1D  E643 A2A0 6DF2 A33A 54FA")))))
"""
# Guix 1.3.0 and Guix 1.4.0.
COMMITS = ("a0178d34f582b50e9bdbb0403943129ae5b560ff", "8e2f32cee982d42a79e53fc1e9aa7b8ff0514714")
MANIFEST = '(specifications->manifest \'("hello" "python" "python-ipykernel"))\n'


async def test_two_pinned_commits_of_guix_are_two_environments(tmp_path: Path, guix_workshop: Workshop) -> None:
    workshop = replace(guix_workshop, limits=Limits(memory=6 * 2**30))
    told: list[Line] = []
    derivations = set()
    for number, commit in enumerate(COMMITS):
        files = repository(tmp_path / str(number), channels_scm=CHANNELS.format(commit), manifest_scm=MANIFEST)
        found = look(files)
        assert found is not None
        async with daemon(tool(MEANS.substitutes), workshop, network=True) as of:
            evaluated = await evaluate(of, files, found, MEANS, told.append)
        assert (evaluated.loose, evaluated.advice) == ((), ())
        derivations.add(evaluated.derivation)
        async with daemon(tool(MEANS.substitutes), workshop, network=True) as of:
            prepare(of, None)
            profile = await build(of, evaluated.derivation, str(number), MEANS, told.append)
        assert (workshop.stores / profile.path[1:] / "bin" / "hello").is_symlink()
        assert any("python" in path for path in profile.closure.paths)
    assert len(derivations) == 2
