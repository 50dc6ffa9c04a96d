"""Channels whose commits somebody has to have signed: Guix's own authentication, with keys of the test's own.

Stand-ins, as tests/fixtures/guix.py has them: the seeds, and what the channel has to offer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders.errors import EnvironmentBroken
from tests.fixtures.guix import CHANNEL, repository
from tests.fixtures.signed import SignedChannel, keyring
from tests.integration.test_guix_evaluate import MANIFEST, Guix

if TYPE_CHECKING:
    from pathlib import Path

    from builders.guix.evaluate import Evaluated
    from builders.guix.means import Means
    from builders.interface import Workshop

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(900)]
NOBODY = "0000 0000 0000 0000 0000 0000 0000 0000 0000 0000"


async def test_commits_that_the_maintainers_did_not_sign_are_refused(
    tmp_path: Path, guix_workshop: Workshop, guix_means: Means
) -> None:
    with keyring() as keys:
        channel = SignedChannel(tmp_path / "channel", keys)
        good = channel.commit("second", by="maintainer")
        unsigned = channel.branch("unsigned", good)
        stranger = channel.branch("stranger", good, by="stranger")
    seeds = {folder: seen for folder, seen in guix_means.folders.items() if seen != CHANNEL}
    means = replace(guix_means, authenticate=True, folders={**seeds, str(channel.folder): CHANNEL})
    guix = Guix(guix_workshop, means)

    async def evaluated(name: str, text: str) -> Evaluated:
        return await guix.evaluate(repository(tmp_path / name, channels_scm=text, manifest_scm=MANIFEST))

    async def refused(name: str, text: str) -> str:
        with pytest.raises(EnvironmentBroken) as caught:
            await evaluated(name, text)
        assert caught.value.path == "channels.scm"
        return caught.value.reason

    began = "a channel's commits are not all its maintainers': "
    assert await refused("unsigned", channel.scheme(unsigned)) == f"{began}commit {unsigned} lacks a signature"
    said = await refused("stranger", channel.scheme(stranger))
    assert said.startswith(f"{began}commit {stranger} not signed by an authorized key: ")
    said = await refused("introduced by nobody", channel.scheme(good, signer=NOBODY))
    assert said.startswith(f"{began}initial commit {channel.first} is signed by '{channel.signer[:4]}")
    said = await refused("missing", channel.scheme("1" * 40))
    assert said.startswith("a channel has not the commit that it is pinned to (")
    found = await evaluated("good", channel.scheme(good))
    assert (found.loose, found.advice) == ((), ())
