"""Guix environments as images. Stand-ins, as tests/fixtures/guix.py has them: the seeds, and the channel `guix`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders.assembly import NO_KERNEL
from builders.detect import find
from builders.engine import this_platform
from builders.guix.builder import Guix
from builders.interface import Order
from builders.lines import Log
from builders.oci import record
from tests.fixtures.guix import repository

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from builders.guix.means import Means
    from builders.interface import Workshop
    from builders.lines import Line
    from tests.fixtures.guix import StandInChannel

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(900)]
MANIFEST = '(specifications->manifest \'("hello" "stand-in-busybox"))\n'


async def test_two_empty_stores_give_one_image_of_a_stand_in_channel(
    tmp_path: Path,
    engine: docker.DockerClient,
    guix_means: Means,
    guix_workshop: Workshop,
    channel: StandInChannel,
    installation: str,
) -> None:
    directory = repository(tmp_path / "r", channels_scm=channel.scheme(channel.commits[0]), manifest_scm=MANIFEST)
    told: list[Line] = []
    builder, ids = Guix(guix_means), []
    for number in (1, 2):
        workshop = replace(guix_workshop, stores=tmp_path / f"stores{number}")
        found, inputs = await find(directory, (builder,), this_platform(), workshop, told.append)
        assert (found.pinning, found.loose, found.evidence) == ("reproducible", (), ("channels.scm", "manifest.scm"))
        name = f"repolaunch-{installation}-env:{number}"
        order = Order(directory, found, inputs, name, {"who": str(number)}, number, workshop)
        ids.append(await builder.build(order, told.append))
        assert record.find(workshop.stores, ids[-1]) is not None
    assert ids[0] == ids[1]
    assert Log(NO_KERNEL) in told
    # What the manifest does not read is no part of the key.
    keys = []
    for text in ("{}", '{"cells": []}'):
        (directory / "notebook.ipynb").write_text(text)
        stores = replace(guix_workshop, stores=tmp_path / "stores1")
        keys.append((await find(directory, (builder,), this_platform(), stores, told.append))[0].key)
    assert keys == [labels_of(engine, ids[0])["org.repolaunch.key"]] * 2

    variables = dict(item.split("=", 1) for item in engine.images.get(ids[0]).attrs["Config"]["Env"])
    assert variables["PATH"].startswith("/gnu/store/")
    script = "hello; /usr/bin/env true; id -u; repolaunch-singleuser --version; command -v python3 || echo none"
    said = engine.containers.run(
        ids[0],
        ["sh", "-c", script],
        remove=True,
        read_only=True,
        network_disabled=True,
        cap_drop=["ALL"],
        tmpfs={"/tmp": "", "/home/jovyan": "uid=1000"},  # noqa: S108  # a container's own
        labels={"repolaunch.installation": installation},
        stderr=True,
    )
    lines = said.decode().splitlines()
    assert (lines[:2], lines[-1]) == (["hello, one", "1000"], "none"), lines


PACKAGE = """(use-modules (stand-in seeds))
(shell-package "mine" "1" "exit 1" #:inputs* `(("busybox" ,busybox)))
"""
ALONE = "(use-modules (stand-in seeds))\n(packages->manifest (list busybox))\n"


@pytest.mark.parametrize("files", [{"guix_scm": PACKAGE}, {"binder__manifest_scm": ALONE}], ids=["package", "manifest"])
async def test_two_empty_stores_give_one_image_of_an_author_without_channels(
    tmp_path: Path,
    engine: docker.DockerClient,
    guix_means: Means,
    guix_workshop: Workshop,
    installation: str,
    files: dict[str, str],
) -> None:
    directory = repository(tmp_path / "r", **files)
    builder, ids = Guix(guix_means), set()
    for number in (1, 2):
        workshop = replace(guix_workshop, stores=tmp_path / f"stores{number}")
        found, inputs = await find(directory, (builder,), this_platform(), workshop, lambda _: None)
        assert found.pinning == "not-pinned"
        name = f"repolaunch-{installation}-env:{number}"
        ids.add(await builder.build(Order(directory, found, inputs, name, {}, number, workshop), lambda _: None))
    assert len(ids) == 1
    engine.images.remove(ids.pop(), force=True)


def labels_of(engine: docker.DockerClient, image: str) -> dict[str, str]:
    labels: dict[str, str] = engine.images.get(image).attrs["Config"]["Labels"]
    return labels
